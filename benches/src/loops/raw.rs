//! A queue for one boxed coroutine.

use std::collections::VecDeque;
use std::hint::black_box;
use std::ops::{Coroutine, CoroutineState};
use std::pin::Pin;

use super::LOOPS;
use crate::harness::{Measured, per_op};

type Task = Pin<Box<dyn Coroutine<(), Yield = (), Return = u64>>>;

pub fn trivial() -> Measured {
    per_op(LOOPS, || {
        for i in 0..LOOPS {
            let mut ready = VecDeque::<Task>::new();
            ready.push_back(task(i));
            let mut value = None;
            while let Some(mut task) = ready.pop_front() {
                match task.as_mut().resume(()) {
                    CoroutineState::Yielded(()) => ready.push_back(task),
                    CoroutineState::Complete(i) => value = Some(i),
                }
            }
            assert_eq!(value, Some(i));
        }
    })
}

fn task(i: u64) -> Task {
    Box::pin(
        #[coroutine]
        static move || {
            if false {
                yield;
            }
            black_box(i)
        },
    )
}
