//! Counts the cancellations that a task has swallowed in a row. Also notes whether a cancellation was raised in the task: if so,
//! the end of the task is checked.

use super::Header;
use super::state::State;

/// A cancelled coroutine that has swallowed this number of cancellations in a row is dropped when it waits again without a
/// shield.
pub(crate) const MAX_SWALLOWED: i8 = 100;

impl Header {
    /// Counts one more cancellation. Returns whether the task has swallowed too many.
    pub(in crate::scheduler) fn count_cancellation(&self) -> bool {
        if !self.has_seen_cancellation() {
            // Most tasks end after their first cancellation. To count that one, no cold part is needed.
            self.set(State::SAW_CANCELLATION);
            return false;
        }
        self.cold_mut(|cold| cold.swallowed = cold.swallowed.saturating_add(1));
        self.has_swallowed_too_many()
    }

    /// Whether the task has swallowed so many cancellations that it has to be dropped.
    pub(in crate::scheduler) fn has_swallowed_too_many(&self) -> bool {
        self.cold(|cold| cold.swallowed >= MAX_SWALLOWED).unwrap_or(false)
    }

    /// Whether a cancellation was raised in the task. If so, the end of the task is checked.
    pub(in crate::scheduler) fn has_seen_cancellation(&self) -> bool {
        self.has(State::SAW_CANCELLATION)
    }

    /// Notes that the value that the task is about to return is a proper answer to its cancellation, and that no waiter gets it.
    pub(crate) fn discard_value(&self) {
        self.cold(|cold| cold.swallowed = 0);
        self.change(State::SAW_CANCELLATION, State::DISCARDED);
    }

    /// Restarts the count of cancellations in a row, because the task has waited at a shield.
    pub(crate) fn reset_cancel_count(&self) {
        if self.has_seen_cancellation() {
            self.cold_mut(|cold| cold.swallowed = -1);
        }
    }
}
