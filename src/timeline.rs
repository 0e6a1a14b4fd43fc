//! What a simulated loop keeps from one run to the next: the time, and whether anything came from outside in the last run.

use std::time::Instant;

use crate::primitives::{Mutex, lock};

#[derive(Debug, Default)]
pub(crate) struct Timeline {
    last_run: Mutex<LastRun>,
}

#[derive(Clone, Copy, Debug, Default)]
struct LastRun {
    ended_at: Option<Instant>,
    came_from_outside: bool,
}

impl Timeline {
    /// The time at which the next run begins: the current time, or the time at which the last run ended by its own clock, if that
    /// is later.
    pub(crate) fn begin_run(&self) -> Instant {
        let now = Instant::now();
        lock(&self.last_run).ended_at.map_or(now, |ended_at| ended_at.max(now))
    }

    pub(crate) fn end_run(&self, ended_at: Instant, came_from_outside: bool) {
        *lock(&self.last_run) = LastRun { ended_at: Some(ended_at), came_from_outside };
    }

    /// Whether anything came from outside in the last run.
    pub(crate) fn came_from_outside(&self) -> bool {
        lock(&self.last_run).came_from_outside
    }
}
