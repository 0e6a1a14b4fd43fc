//! A queue of boxed coroutines.

use std::collections::VecDeque;
use std::ops::{Coroutine, CoroutineState};
use std::pin::Pin;
use std::rc::Rc;

use crate::harness::{Lap, Measured};

type Task = Pin<Box<dyn Coroutine<(), Yield = (), Return = ()>>>;

pub fn yields(tasks: usize, yields: u64) -> Measured {
    let lap = Lap::new(tasks, yields);
    let mut ready: VecDeque<Task> = (0..tasks).map(|_| task(Rc::clone(&lap))).collect();
    while let Some(mut task) = ready.pop_front() {
        match task.as_mut().resume(()) {
            CoroutineState::Yielded(()) => ready.push_back(task),
            CoroutineState::Complete(()) => {}
        }
    }
    lap.per_yield()
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
