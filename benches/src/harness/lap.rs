//! A clock for tasks that yield in turn.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::{Measured, Stopwatch};

/// Measures from the start of the last task to the end of the first, so that neither the creation nor
/// the drop of tasks is timed. Checks that they took turns. If they did not, it measures until the
/// last one ends.
pub struct Lap {
    tasks: usize,
    yields: u64,
    started: Cell<usize>,
    at_last_yield: Cell<usize>,
    ended: Cell<usize>,
    stopwatch: Cell<Option<Stopwatch>>,
    /// The time, and the number of yields in it.
    taken: Cell<Option<(Duration, u64)>>,
    in_turn: Cell<bool>,
}

impl Lap {
    /// A clock for `tasks` tasks with `yields` yields each.
    pub fn new(tasks: usize, yields: u64) -> Rc<Self> {
        Rc::new(Self {
            tasks,
            yields,
            started: Cell::new(0),
            at_last_yield: Cell::new(0),
            ended: Cell::new(0),
            stopwatch: Cell::new(None),
            taken: Cell::new(None),
            in_turn: Cell::new(true),
        })
    }

    /// Counts a task that starts. The task yields as often as the returned number says, then calls
    /// [`Lap::before_last`], yields once more, and calls [`Lap::end`].
    pub fn start(&self) -> u64 {
        assert_eq!(self.ended.get(), 0, "no task ends before all have started");
        self.started.update(|started| started + 1);
        if self.started.get() == self.tasks {
            self.stopwatch.set(Some(Stopwatch::start()));
        }
        self.yields - 1
    }

    /// Counts a task that is about to yield for the last time.
    pub fn before_last(&self) {
        self.at_last_yield.update(|tasks| tasks + 1);
    }

    /// Counts a task that ends.
    pub fn end(&self) {
        self.ended.update(|ended| ended + 1);
        let tasks = self.tasks as u64;
        if self.ended.get() == 1 {
            self.in_turn.set(self.at_last_yield.get() == self.tasks);
            self.stop(tasks * (self.yields - 1) + 1);
        } else if self.ended.get() == self.tasks && !self.in_turn.get() {
            self.stop(tasks * self.yields);
        }
    }

    fn stop(&self, yields: u64) {
        let stopwatch = self.stopwatch.get().expect("every task has started before one ends");
        self.taken.set(Some((stopwatch.elapsed(), yields)));
    }

    /// The nanoseconds per yield.
    pub fn per_yield(&self) -> Measured {
        assert_eq!(self.ended.get(), self.tasks, "every task has ended");
        let (taken, yields) = self.taken.get().expect("a task has ended");
        let note = (!self.in_turn.get()).then(|| "not in turn".to_owned());
        Measured::one(taken.as_nanos() as f64 / yields as f64).noted(note)
    }
}
