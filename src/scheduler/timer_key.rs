//! The key of a timer. A [`Scope`](super::Scope) keeps the key of its time limit, and a timer may keep a scope.

/// Identifies a timer. After the timer has fired, the key identifies nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimerKey {
    pub(super) slot: u32,
    /// The number of the timer. Timers with equal deadlines fire in the order of their numbers, which is the order in which
    /// they were set.
    pub(super) stamp: u32,
}
