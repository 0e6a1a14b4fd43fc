//! A queue of boxed coroutines and a binary heap of deadlines.

use std::cell::Cell;
use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};
use std::hint::black_box;
use std::ops::{Coroutine, CoroutineState};
use std::pin::Pin;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use super::memory::Memory;
use super::naps::{Naps, Plan};
use super::{LONG, LONGEST, SLEEPERS, TIMEOUTS, nap};
use crate::harness::{Measured, Stopwatch, machine, per_op};

/// A coroutine that yields its deadline.
type Task = Pin<Box<dyn Coroutine<(), Yield = Instant, Return = ()>>>;

struct Sleeper {
    deadline: Instant,
    task: Task,
}

/// The earliest deadline is the greatest, for `BinaryHeap`.
impl Ord for Sleeper {
    fn cmp(&self, other: &Self) -> Ordering {
        other.deadline.cmp(&self.deadline)
    }
}

impl PartialOrd for Sleeper {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Sleeper {
    fn eq(&self, other: &Self) -> bool {
        self.deadline == other.deadline
    }
}

impl Eq for Sleeper {}

#[derive(Default)]
struct Scheduler {
    ready: VecDeque<Task>,
    sleepers: BinaryHeap<Sleeper>,
}

impl Scheduler {
    /// Runs until all tasks sleep or have ended.
    fn run_ready(&mut self) {
        while let Some(mut task) = self.ready.pop_front() {
            if let CoroutineState::Yielded(deadline) = task.as_mut().resume(()) {
                self.sleepers.push(Sleeper { deadline, task });
            }
        }
    }

    fn run(&mut self) {
        self.run_ready();
        while let Some(first) = self.sleepers.peek() {
            thread::sleep(first.deadline.saturating_duration_since(Instant::now()));
            let now = Instant::now();
            while let Some(due) = self.sleepers.peek()
                && due.deadline <= now
            {
                self.ready.extend(self.sleepers.pop().map(|sleeper| sleeper.task));
            }
            self.run_ready();
        }
    }
}

/// The duration is computed when the task starts, so that each task stores only a number.
fn sleeper(number: usize, time: impl Fn(usize) -> Duration + 'static, woken: Rc<Cell<usize>>) -> Task {
    Box::pin(
        #[coroutine]
        static move || {
            yield Instant::now() + time(number);
            woken.update(|woken| woken + 1);
        },
    )
}

pub fn sleeps() -> Measured {
    let stopwatch = Stopwatch::start();
    let woken = Rc::new(Cell::new(0));
    let mut scheduler = Scheduler::default();
    scheduler.ready.extend((0..SLEEPERS).map(|i| sleeper(i, |number| nap(number, LONGEST), Rc::clone(&woken))));
    scheduler.run();
    assert_eq!(woken.get(), SLEEPERS);
    Measured { figures: vec![stopwatch.elapsed().as_secs_f64(), machine::peak_mib()], note: None }
}

fn napper(naps: Rc<Naps>) -> Task {
    Box::pin(
        #[coroutine]
        static move || {
            naps.start();
            loop {
                let nap = naps.next();
                yield Instant::now() + nap;
                naps.woken(nap);
            }
        },
    )
}

pub fn naps(plan: Plan) -> Measured {
    let naps = Naps::new(plan);
    let mut scheduler = Scheduler::default();
    scheduler.ready.extend((0..plan.tasks).map(|_| napper(Rc::clone(&naps))));
    scheduler.run();
    unreachable!("the process has ended");
}

pub fn bytes(sleepers: usize) -> Measured {
    let before = Memory::now();
    let woken = Rc::new(Cell::new(0));
    let mut scheduler = Scheduler::default();
    // Started one by one, so that the memory of a long queue does not count.
    for i in 0..sleepers {
        scheduler.ready.push_back(sleeper(i, |_| LONG, Rc::clone(&woken)));
        scheduler.run_ready();
    }
    assert_eq!((woken.get(), scheduler.sleepers.len()), (0, sleepers));
    before.per_task(sleepers)
}

pub fn now() -> Measured {
    per_op(TIMEOUTS, || {
        for _ in 0..TIMEOUTS {
            black_box(Instant::now());
        }
    })
}
