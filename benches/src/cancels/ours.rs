//! An abort of a gather: each task is cancelled at its wait.

use std::future::pending;
use std::rc::Rc;

use tinyield::{Coro, Loop, abortable, co, coro, spawn};

use super::{Alive, Guard, TASKS};
use crate::harness::{Measured, Stopwatch};

#[coro]
fn waiting(alive: Alive) -> Coro<()> {
    let _guard = Guard::new(alive);
    pending::<()>().await;
}

pub fn cancel() -> Measured {
    let main = co! {
        let mut measured = None;
        for _ in 0..2 {
            let alive = Alive::default();
            let tasks: Vec<_> = (0..TASKS).map(|_| waiting(Rc::clone(&alive))).collect();
            let (tasks, handle) = abortable(tasks);
            let tasks = yield spawn(tasks);
            while alive.get() < TASKS {
                yield;
            }
            let stopwatch = Stopwatch::start();
            handle.abort();
            assert!((yield tasks).is_err());
            measured = Some(stopwatch.per(TASKS as u64));
            assert_eq!(alive.get(), 0);
        }
        measured.expect("it ran twice")
    };
    Loop::new().run(main).expect("no error")
}
