//! [`Statistics`], the figures of a run.

use std::time::Duration;

/// Figures of one run of a loop.
///
/// [`Loop::statistics`](crate::Loop::statistics) returns the figures of the last run, and
/// [`Dump::statistics`](crate::Dump::statistics) returns the figures at the moment of the dump.
///
/// ```
/// use tinyield::{Loop, co};
///
/// let mut event_loop = Loop::new();
/// event_loop.run(co! { yield; yield; }).unwrap();
/// assert_eq!(event_loop.statistics().turns(), 3);
/// assert_eq!(event_loop.statistics().rounds(), 3);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    pub(crate) turns: u64,
    pub(crate) rounds: u64,
    pub(crate) tasks: usize,
    pub(crate) timers: usize,
    pub(crate) longest_turn: Option<Duration>,
}

impl Statistics {
    /// How many turns were taken. A turn goes from one `yield` of a coroutine to its next `yield`.
    ///
    /// The cancellation of a coroutine that has not begun also counts as a turn.
    #[must_use]
    pub fn turns(&self) -> u64 {
        self.turns
    }

    /// How many rounds have begun. In a round, each coroutine that was ready at the beginning of the round has one turn.
    #[must_use]
    pub fn rounds(&self) -> u64 {
        self.rounds
    }

    /// How many tasks are alive: coroutines, and the internal tasks that the library starts for some waits. 0 when the run is over.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.tasks
    }

    /// How many timers are set. 0 when the run is over.
    #[must_use]
    pub fn timers(&self) -> usize {
        self.timers
    }

    /// The longest turn so far. `None` if the loop does not measure its turns. It measures them if it has a
    /// [`View`](crate::View), a [watchdog](crate::Builder::watchdog) or a [`Recorder`](crate::Recorder).
    #[must_use]
    pub fn longest_turn(&self) -> Option<Duration> {
        self.longest_turn
    }
}
