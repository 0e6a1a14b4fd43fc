//! The error of a simulated loop whose clock cannot move.

use std::error::Error as StdError;
use std::fmt;

use crate::trace::Frame;

/// The error that stops a run of a [`Simulation`](crate::Simulation) in which coroutines are ready again and again, while the clock
/// stands still.
#[derive(Debug)]
pub(crate) struct Livelock {
    rounds: u64,
    /// The coroutines that are ready, with the lines at which they continue.
    ready: Vec<Frame>,
}

impl Livelock {
    pub(crate) fn new(rounds: u64, ready: Vec<Frame>) -> Livelock {
        Livelock { rounds, ready }
    }
}

impl fmt::Display for Livelock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MAX_LINES: usize = 20;
        write!(
            f,
            "livelock: the clock has not moved for {} rounds, because these coroutines are ready again and again:",
            self.rounds
        )?;
        for frame in self.ready.iter().take(MAX_LINES) {
            let location = frame.location();
            write!(f, "\n  `{}` at {}:{}", frame.name(), location.file(), location.line())?;
        }
        if self.ready.len() > MAX_LINES {
            write!(f, "\n  and {} more", self.ready.len() - MAX_LINES)?;
        }
        f.write_str(
            "\na `yield` in a loop keeps the clock from moving: to wait for a time, sleep; to wait for another coroutine, use an event, \
             a channel or its handle",
        )
    }
}

impl StdError for Livelock {}
