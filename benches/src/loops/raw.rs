//! A queue for two boxed coroutines.

use std::collections::VecDeque;
use std::hint::black_box;
use std::ops::{Coroutine, CoroutineState};
use std::pin::Pin;

use super::LOOPS;
use crate::harness::{Measured, per_op};

/// A coroutine that yields a child, and is resumed with its value.
type Task = Pin<Box<dyn Coroutine<u64, Yield = Child, Return = u64>>>;

struct Child(Task);

pub fn trivial() -> Measured {
    per_op(LOOPS, || {
        for i in 0..LOOPS {
            let mut ready = VecDeque::from([main(i)]);
            let mut waiting = None;
            let mut value = 0;
            while let Some(mut task) = ready.pop_front() {
                match task.as_mut().resume(value) {
                    CoroutineState::Yielded(Child(child)) => {
                        waiting = Some(task);
                        ready.push_back(child);
                    }
                    CoroutineState::Complete(i) => {
                        value = i;
                        ready.extend(waiting.take());
                    }
                }
            }
            assert_eq!(value, i);
        }
    })
}

fn main(i: u64) -> Task {
    Box::pin(
        #[coroutine]
        static move |_: u64| yield Child(child(i)),
    )
}

fn child(i: u64) -> Task {
    Box::pin(
        #[coroutine]
        static move |_: u64| {
            if false {
                yield Child(child(i));
            }
            black_box(i)
        },
    )
}
