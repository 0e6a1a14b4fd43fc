//! The error of a loop that can never go on.

use std::fmt;

use super::provides_itself;
use crate::trace::Frame;

/// The error that stops a loop in which every coroutine waits for something that can no longer happen.
///
/// Its message lists the stuck coroutines. For each of them, it has the line at which the coroutine waits, and what the
/// coroutine waits on.
///
/// ```
/// use tinyield::{Deadlock, Event, Loop, co};
///
/// let event = Event::new();
/// let error = Loop::new().run(co! { yield event.wait(); }.named("listener")).unwrap_err();
/// let deadlock = error.error().downcast_ref::<Deadlock>().unwrap();
/// assert_eq!(deadlock.stuck()[0].frame().name(), "listener");
/// assert_eq!(deadlock.stuck()[0].waits_on(), "an event");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deadlock {
    stuck: Vec<Stuck>,
    cycle: Vec<String>,
    timers: NoDeadline,
}

/// Why no timer will wake the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoDeadline {
    NoTimerRuns,
    /// All timers are set beyond the end of the clock of a simulated loop.
    BeyondTheClock,
}

impl Deadlock {
    pub(crate) fn new(stuck: Vec<Stuck>, cycle: Vec<String>, timers: NoDeadline) -> Deadlock {
        Deadlock { stuck, cycle, timers }
    }

    /// The stuck coroutines, in the order in which they were started.
    #[must_use]
    pub fn stuck(&self) -> &[Stuck] {
        &self.stuck
    }

    /// The names of coroutines that wait on each other in a cycle. Empty if there is no cycle.
    #[must_use]
    pub fn cycle(&self) -> &[String] {
        &self.cycle
    }
}

impl fmt::Display for Deadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.cycle.is_empty() {
            write!(f, "deadlock, a cycle of coroutines that wait on each other: ")?;
            for name in &self.cycle {
                write!(f, "`{name}` -> ")?;
            }
            write!(f, "`{}`", self.cycle[0])?;
        } else {
            let timers = match self.timers {
                NoDeadline::NoTimerRuns => "no timer runs",
                NoDeadline::BeyondTheClock => {
                    "the only timers are set beyond the end of the simulated clock (584 years after its start; put a limit around a program without end, such as `timeout(program, duration)`)"
                }
            };
            write!(f, "deadlock: nothing is ready, {timers}, and nothing outside can wake the loop")?;
        }
        for stuck in &self.stuck {
            write!(f, "\n  {stuck}")?;
        }
        Ok(())
    }
}

provides_itself!(Deadlock);

/// One stuck coroutine of a [`Deadlock`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    frame: Frame,
    waits_on: String,
}

impl Stuck {
    pub(crate) fn new(frame: Frame, waits_on: String) -> Stuck {
        Stuck { frame, waits_on }
    }

    /// The name of the coroutine, and the line at which it waits.
    #[must_use]
    pub fn frame(&self) -> &Frame {
        &self.frame
    }

    /// What it waits on, in words. Examples: "an event", "`worker`".
    #[must_use]
    pub fn waits_on(&self) -> &str {
        &self.waits_on
    }
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let location = self.frame.location();
        write!(f, "`{}` waits at {}:{} on {}", self.frame.name(), location.file(), location.line(), self.waits_on)
    }
}
