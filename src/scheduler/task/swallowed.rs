//! The cancellations that were raised in a task: how many in a row it has swallowed, and whether its end is checked as an answer
//! to one.

use super::state::State;
use super::{Cold, Header};

/// A cancelled coroutine that goes on waiting without a shield is dropped after this many cancellations in a row.
pub(crate) const MAX_SWALLOWED: u8 = 100;

impl Cold {
    fn has_swallowed_too_many(&self) -> bool {
        self.cancellations > MAX_SWALLOWED + 1
    }
}

impl Header {
    /// Counts one more cancellation. Returns whether it has swallowed too many.
    pub(in crate::scheduler) fn count_cancellation(&self) -> bool {
        self.cold_mut(|cold| {
            cold.cancellations = cold.cancellations.max(1).saturating_add(1);
            cold.has_swallowed_too_many()
        })
    }

    /// Whether it has swallowed so many cancellations that it is to be dropped.
    pub(in crate::scheduler) fn is_doomed(&self) -> bool {
        self.cold(|cold| cold.has_swallowed_too_many()).unwrap_or(false)
    }

    /// Whether a cancellation was raised in it, so that its end is checked as an answer to it.
    pub(in crate::scheduler) fn has_seen_cancellation(&self) -> bool {
        self.cold(|cold| cold.cancellations > 0).unwrap_or(false)
    }

    /// Notes that the value that the task is about to return is a proper answer to its cancellation, and that no waiter gets it.
    pub(crate) fn discard_value(&self) {
        self.cold(|cold| cold.cancellations = 0);
        self.set(State::DISCARDED);
    }

    /// Starts the count of cancellations in a row anew: it has waited at a shield.
    pub(crate) fn reset_cancel_count(&self) {
        self.cold(|cold| cold.cancellations = cold.cancellations.min(1));
    }
}
