//! What a simulated loop keeps of its last run: when that run ended, and whether anything came from outside in it.

use std::time::Instant;

use crate::primitives::{Mutex, lock};

#[derive(Debug, Default)]
pub(crate) struct LastRun {
    end: Mutex<End>,
}

#[derive(Clone, Copy, Debug, Default)]
struct End {
    /// By the clock of the run. `None` if there was no run yet.
    time: Option<Instant>,
    came_from_outside: bool,
}

impl LastRun {
    /// The time at which the next run begins: the current time, or the time at which the last run ended by its own clock, if that
    /// is later.
    pub(crate) fn begin_next(&self) -> Instant {
        let now = Instant::now();
        lock(&self.end).time.map_or(now, |ended_at| ended_at.max(now))
    }

    pub(crate) fn set(&self, ended_at: Instant, came_from_outside: bool) {
        *lock(&self.end) = End { time: Some(ended_at), came_from_outside };
    }

    /// Whether anything came from outside in the last run.
    pub(crate) fn came_from_outside(&self) -> bool {
        lock(&self.end).came_from_outside
    }
}
