//! Drops boxed coroutines. They see no cancellation.

use std::ops::{Coroutine, CoroutineState};
use std::pin::Pin;
use std::rc::Rc;

use super::{Alive, Guard, TASKS};
use crate::harness::{Measured, Stopwatch};

type Task = Pin<Box<dyn Coroutine<(), Yield = (), Return = ()>>>;

fn waiting(alive: Alive) -> Task {
    Box::pin(
        #[coroutine]
        static move || {
            let _guard = Guard::new(alive);
            yield;
        },
    )
}

pub fn cancel() -> Measured {
    let mut measured = None;
    for _ in 0..2 {
        let alive = Alive::default();
        let mut tasks: Vec<_> = (0..TASKS).map(|_| waiting(Rc::clone(&alive))).collect();
        for task in &mut tasks {
            assert_eq!(task.as_mut().resume(()), CoroutineState::Yielded(()));
        }
        let stopwatch = Stopwatch::start();
        drop(tasks);
        measured = Some(stopwatch.per(TASKS as u64));
        assert_eq!(alive.get(), 0);
    }
    measured.expect("it ran twice")
}
