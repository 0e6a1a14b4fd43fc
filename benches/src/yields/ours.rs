//! A gather of coroutines.

use std::rc::Rc;

use tinyield::{Coro, Loop, co, coro};

use super::Counts;
use crate::harness::{Lap, Measured, per_op_in_one_run};

pub fn yields(tasks: usize, yields: u64) -> Measured {
    let lap = Lap::new(tasks, yields);
    let all: Vec<_> = (0..tasks).map(|_| task(Rc::clone(&lap))).collect();
    Loop::new().run(all).expect("no error");
    lap.per_yield()
}

#[coro]
fn task(lap: Rc<Lap>) -> Coro<()> {
    for _ in 0..lap.start() {
        yield;
    }
    lap.before_last();
    yield;
    lap.end();
}

pub fn whole(tasks: usize, yields: u64) -> Measured {
    let work = move || {
        co! {
            let counts = Rc::<Counts>::default();
            let all: Vec<_> = (0..tasks).map(|_| counted(Rc::clone(&counts), yields)).collect();
            yield all;
            counts.check(tasks);
        }
    };
    per_op_in_one_run(tasks as u64 * yields, work, |()| {})
}

#[coro]
fn counted(counts: Rc<Counts>, yields: u64) -> Coro<()> {
    counts.start();
    for _ in 0..yields {
        yield;
    }
    counts.end();
}
