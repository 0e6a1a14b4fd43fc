//! A clock for tasks that sleep repeatedly.

use std::cell::Cell;
use std::process;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::nap;
use crate::harness::{Measured, Stopwatch};

/// `tasks` tasks sleep repeatedly, for less than `longest` each time. `sleeps` of their sleeps are measured.
#[derive(Clone, Copy)]
pub struct Plan {
    pub tasks: usize,
    pub sleeps: u64,
    pub longest: Duration,
}

/// The clock starts after a warm-up: all tasks have started, and as many sleeps have ended as will be measured. So the creation of tasks is
/// not timed, and during the measurement, every task sleeps or is due.
pub struct Naps {
    plan: Plan,
    made: Instant,
    started: Cell<usize>,
    begun: Cell<usize>,
    /// The number of sleeps that have ended since all tasks have started.
    over: Cell<u64>,
    /// The sum of the requested durations of all sleeps that have ended, from the first one on.
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

    /// Counts a task that starts.
    pub fn start(&self) {
        self.started.update(|started| started + 1);
    }

    /// The duration of the next sleep of a task.
    pub fn next(&self) -> Duration {
        self.begun.update(|begun| begun + 1);
        nap(self.begun.get(), self.plan.longest)
    }

    /// Counts a sleep that has ended. After the last measured sleep, it ends the process, because other tasks may still sleep for seconds.
    pub fn woken(&self, nap: Duration) {
        self.meant.update(|meant| meant + nap);
        if self.started.get() < self.plan.tasks {
            return;
        }
        self.over.update(|over| over + 1);
        if self.over.get() == self.plan.sleeps {
            self.stopwatch.set(Some(Stopwatch::start()));
        } else if self.over.get() == 2 * self.plan.sleeps {
            self.print_figure();
            process::exit(0);
        }
    }

    fn print_figure(&self) {
        let stopwatch = self.stopwatch.get().expect("the warm-up is over");
        let taken = stopwatch.elapsed().as_nanos() as f64;
        let tasks = u32::try_from(self.plan.tasks).expect("the number of tasks fits");
        assert!(self.meant.get() <= self.made.elapsed() * tasks, "sleeps are not too short");
        Measured::one(taken / self.plan.sleeps as f64).print();
    }
}
