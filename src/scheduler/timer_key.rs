//! The key of a timer. It has a file of its own, because [`scope`](super::scope) and [`timers`](super::timers) both use it: a
//! scope stores the key of its timer, and a timer may store a scope.

/// Identifies a timer. After the timer has fired or was cancelled, the key identifies nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimerKey {
    pub(super) slot: u32,
    /// The number of the timer. Timers with equal deadlines fire in the order of their numbers, which is the order in which
    /// they were set.
    pub(super) stamp: u32,
}
