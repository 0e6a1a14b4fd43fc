//! The cancellations that were raised in a task: how many in a row it has swallowed, and whether its end is checked as an answer
//! to one.

use super::Header;
use super::state::State;

/// A cancelled coroutine that goes on waiting without a shield is dropped after this many cancellations in a row.
pub(crate) const MAX_SWALLOWED: i8 = 100;

impl Header {
    /// Counts one more cancellation. Returns whether it has swallowed too many.
    pub(in crate::scheduler) fn count_cancellation(&self) -> bool {
        if !self.has_seen_cancellation() {
            // Most tasks end after the first, so that one needs no cold part.
            self.set(State::SAW_CANCELLATION);
            return false;
        }
        self.cold_mut(|cold| cold.swallowed = cold.swallowed.saturating_add(1));
        self.is_doomed()
    }

    /// Whether it has swallowed so many cancellations that it is to be dropped.
    pub(in crate::scheduler) fn is_doomed(&self) -> bool {
        self.cold(|cold| cold.swallowed >= MAX_SWALLOWED).unwrap_or(false)
    }

    /// Whether a cancellation was raised in it, so that its end is checked as an answer to it.
    pub(in crate::scheduler) fn has_seen_cancellation(&self) -> bool {
        self.has(State::SAW_CANCELLATION)
    }

    /// Notes that the value that the task is about to return is a proper answer to its cancellation, and that no waiter gets it.
    pub(crate) fn discard_value(&self) {
        self.cold(|cold| cold.swallowed = 0);
        self.change(State::SAW_CANCELLATION, State::DISCARDED);
    }

    /// Starts the count of cancellations in a row anew: it has waited at a shield.
    pub(crate) fn reset_cancel_count(&self) {
        if self.has_seen_cancellation() {
            self.cold_mut(|cold| cold.swallowed = -1);
        }
    }
}
