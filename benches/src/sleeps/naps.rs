//! A clock for tasks that sleep again and again.

use std::cell::Cell;
use std::process;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::nap;
use crate::harness::{Measured, Stopwatch};

/// So many tasks, each of which sleeps again and again, for less than so long. So many of their sleeps are measured.
#[derive(Clone, Copy)]
pub struct Plan {
    pub tasks: usize,
    pub sleeps: u64,
    pub longest: Duration,
}

/// Runs when all tasks have started and, to warm up, as many sleeps are over as will be measured. So making tasks is
/// not timed, and all the while each of them sleeps or is due.
pub struct Naps {
    plan: Plan,
    made: Instant,
    started: Cell<usize>,
    begun: Cell<usize>,
    /// How many sleeps are over, since all tasks have started.
    over: Cell<u64>,
    /// As long as all that are over were meant to be, since the first.
    meant: Cell<Duration>,
    stopwatch: Cell<Option<Stopwatch>>,
}

impl Naps {
    pub fn new(plan: Plan) -> Rc<Self> {
        Rc::new(Self {
            plan,
            made: Instant::now(),
            started: Cell::new(0),
            begun: Cell::new(0),
            over: Cell::new(0),
            meant: Cell::new(Duration::ZERO),
            stopwatch: Cell::new(None),
        })
    }

    /// A task starts.
    pub fn start(&self) {
        self.started.update(|started| started + 1);
    }

    /// How long a task has to sleep now.
    pub fn next(&self) -> Duration {
        self.begun.update(|begun| begun + 1);
        nap(self.begun.get(), self.plan.longest)
    }

    /// A task has slept for that long. Ends the process when there were enough: the sleepers may have seconds to go.
    pub fn woken(&self, nap: Duration) {
        self.meant.update(|meant| meant + nap);
        if self.started.get() < self.plan.tasks {
            return;
        }
        self.over.update(|over| over + 1);
        if self.over.get() == self.plan.sleeps {
            self.stopwatch.set(Some(Stopwatch::start()));
        } else if self.over.get() == 2 * self.plan.sleeps {
            self.tell();
            process::exit(0);
        }
    }

    fn tell(&self) {
        let stopwatch = self.stopwatch.get().expect("it has warmed up");
        let taken = stopwatch.elapsed().as_nanos() as f64;
        let tasks = u32::try_from(self.plan.tasks).expect("not that many");
        assert!(self.meant.get() <= self.made.elapsed() * tasks, "they sleep as long as they are told");
        Measured::one(taken / self.plan.sleeps as f64).tell();
    }
}
