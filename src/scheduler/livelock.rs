//! Livelocks: coroutines of a simulated loop are ready again and again, so the clock of the loop cannot move. The usual cause
//! is a coroutine that waits for a time, or for another coroutine, by a `yield` in a loop.
//!
//! A long computation with many turns looks the same. So there are two reactions. A run of a `Simulation` fails after a number of
//! rounds. Few tests need so many rounds, and a test can set the number. The limit is a number of rounds, and not a time, so that
//! a seed gives the same result on each machine. Any other loop prints a warning, once, and goes on.

use std::cell::Cell;
use std::io::Write;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::wait_graph::place_of;
use super::{Scheduler, TaskRef};
use crate::error::{Error, Livelock};
use crate::trace::Frame;

/// The rounds of a simulated loop during which its clock stood still.
pub(super) struct Standstill {
    /// How many rounds have begun since one of these events last happened: the clock moved, something came from outside, or
    /// nothing was ready.
    rounds: Cell<u64>,
    /// The real time of the first check.
    since: Cell<Option<Instant>>,
    is_reported: Cell<bool>,
    /// The run fails after this many rounds.
    max_rounds: Option<u64>,
}

/// How many rounds pass between two checks.
const ROUNDS_PER_LOOK: u64 = 1 << 12;

/// How long, and for how many rounds, the clock stands still before the loop prints a warning.
const BEFORE_REPORT: (Duration, u64) = (Duration::from_secs(3), 1_000_000);

impl Standstill {
    pub(super) fn new(max_rounds: Option<u64>) -> Standstill {
        Standstill { rounds: Cell::new(0), since: Cell::new(None), is_reported: Cell::new(false), max_rounds }
    }

    /// Counts a round. Returns the number of rounds when a check is due.
    #[inline]
    pub(super) fn count_round(&self) -> Option<u64> {
        let rounds = self.rounds.get() + 1;
        self.rounds.set(rounds);
        let is_looked_at = rounds.is_multiple_of(ROUNDS_PER_LOOK) || Some(rounds) == self.max_rounds;
        is_looked_at.then_some(rounds)
    }

    pub(super) fn end(&self) {
        self.rounds.set(0);
        self.since.set(None);
    }

    /// For how many whole seconds the clock has stood still, if a warning is due.
    fn seconds_to_report(&self, rounds: u64) -> Option<u64> {
        if self.is_reported.get() {
            return None;
        }
        let now = Instant::now();
        let since = self.since.get().unwrap_or(now);
        self.since.set(Some(since));
        let time = now - since;
        // If rounds are limited, there is no warning before the limit: the run may fail there, with a report of its own.
        let is_long = time >= BEFORE_REPORT.0 && rounds >= self.max_rounds.unwrap_or(BEFORE_REPORT.1);
        is_long.then_some(time.as_secs())
    }
}

impl Scheduler {
    /// Called when a round has begun. The clock has stood still for `rounds` rounds, including this one. If these are too many,
    /// stops the run or prints a warning.
    #[cold]
    #[inline(never)]
    pub(super) fn look_for_livelock(self: &Rc<Scheduler>, standstill: &Standstill, rounds: u64) {
        if standstill.max_rounds.is_some_and(|max| rounds >= max) && !self.may_be_woken_now() {
            standstill.end();
            return self.stop_livelocked(rounds);
        }
        let Some(seconds) = standstill.seconds_to_report(rounds) else { return };
        standstill.is_reported.set(true);
        let seed = self.seed().map(|seed| format!(" with seed {seed}")).unwrap_or_default();
        let livelock = Livelock::new(rounds, self.ready_tasks().iter().map(place_of).collect());
        // `eprintln!` is not used here, because a test keeps its output until the test ends.
        let _ = writeln!(
            std::io::stderr(),
            "tinyield: the clock of a simulated loop{seed} has stood still for {seconds} s, so this may be a {livelock}"
        );
    }

    fn stop_livelocked(self: &Rc<Scheduler>, rounds: u64) {
        let ready: Vec<Frame> = self.ready_tasks().iter().map(place_of).collect();
        let (name, location) = match ready.first() {
            Some(frame) => (frame.name().to_string(), frame.location()),
            None => ("run".to_string(), self.location),
        };
        let error = Error::at(Box::new(Livelock::new(rounds, ready)), location);
        let what = "was ready again and again behind a shield, while the clock stood still";
        self.stop_for_good(error, name, || self.unfinished_tasks(), what);
    }

    /// The tasks that are ready in the round that has begun.
    fn ready_tasks(&self) -> Vec<TaskRef> {
        let round = self.run_queue.take_round();
        let ready = round.iter().filter(|task| Scheduler::is_ready(task)).cloned().collect();
        self.run_queue.put_round(round);
        ready
    }
}
