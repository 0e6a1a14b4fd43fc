//! A queue of boxed coroutines.

use std::collections::VecDeque;
use std::ops::{Coroutine, CoroutineState};
use std::pin::Pin;
use std::rc::Rc;

use super::Counts;
use crate::harness::{Lap, Measured, per_op};

type Task = Pin<Box<dyn Coroutine<(), Yield = (), Return = ()>>>;

pub fn yields(tasks: usize, yields: u64) -> Measured {
    let lap = Lap::new(tasks, yields);
    let ready: VecDeque<Task> = (0..tasks).map(|_| task(Rc::clone(&lap))).collect();
    run(ready);
    lap.per_yield()
}

fn run(mut ready: VecDeque<Task>) {
    while let Some(mut task) = ready.pop_front() {
        match task.as_mut().resume(()) {
            CoroutineState::Yielded(()) => ready.push_back(task),
            CoroutineState::Complete(()) => {}
        }
    }
}

pub fn whole(tasks: usize, yields: u64) -> Measured {
    per_op(tasks as u64 * yields, || {
        let counts = Rc::<Counts>::default();
        run((0..tasks).map(|_| counted(Rc::clone(&counts), yields)).collect());
        counts.check(tasks);
    })
}

fn counted(counts: Rc<Counts>, yields: u64) -> Task {
    Box::pin(
        #[coroutine]
        static move || {
            counts.start();
            for _ in 0..yields {
                yield;
            }
            counts.end();
        },
    )
}

fn task(lap: Rc<Lap>) -> Task {
    Box::pin(
        #[coroutine]
        static move || {
            for _ in 0..lap.start() {
                yield;
            }
            lap.before_last();
            yield;
            lap.end();
        },
    )
}
