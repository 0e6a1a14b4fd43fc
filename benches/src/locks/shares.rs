//! Counts the permits of each task, and measures the time.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use super::{TASKS, TIMES};
use crate::harness::{Measured, Stopwatch};

/// Made when the tasks start. The clock runs until the first task has acquired all its permits, because until
/// then all tasks compete.
pub struct Shares {
    stopwatch: Stopwatch,
    holders: Cell<usize>,
    most: usize,
    got: RefCell<Vec<u64>>,
    first: Cell<Option<(Duration, u64, u64)>>,
}

impl Shares {
    /// A count for at most `most` holders at the same time.
    pub fn new(most: usize) -> Rc<Self> {
        Rc::new(Self {
            stopwatch: Stopwatch::start(),
            holders: Cell::new(0),
            most,
            got: RefCell::new(vec![0; TASKS]),
            first: Cell::new(None),
        })
    }

    pub fn enter(&self) {
        self.holders.update(|holders| holders + 1);
        assert!(self.holders.get() <= self.most, "there are at most as many holders as permits");
    }

    pub fn leave(&self, task: usize) {
        self.holders.update(|holders| holders - 1);
        let mut got = self.got.borrow_mut();
        got[task] += 1;
        if got[task] == TIMES && self.first.get().is_none() {
            let least = got.iter().min().copied().unwrap_or_default();
            self.first.set(Some((self.stopwatch.elapsed(), got.iter().sum(), least)));
        }
    }

    pub fn measured(&self) -> Measured {
        assert!(self.got.borrow().iter().all(|got| *got == TIMES), "every task got all its permits");
        let (taken, sum, least) = self.first.get().expect("a task has finished");
        let starved = TIMES - least > 1;
        let note = starved.then(|| format!("unfair: one task has {least} when another has {TIMES}"));
        Measured::one(taken.as_nanos() as f64 / sum as f64).noted(note)
    }
}
