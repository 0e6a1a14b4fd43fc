//! A gather of coroutines.

use std::rc::Rc;

use tinyield::{Coro, Loop, coro};

use super::Counts;
use crate::harness::{Lap, Measured, per_op};

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
    let mut event_loop = Loop::new();
    per_op(tasks as u64 * yields, || {
        let counts = Rc::<Counts>::default();
        let all: Vec<_> = (0..tasks).map(|_| counted(Rc::clone(&counts), yields)).collect();
        event_loop.run(all).expect("no error");
        counts.check(tasks);
    })
}

#[coro]
fn counted(counts: Rc<Counts>, yields: u64) -> Coro<()> {
    counts.start();
    for _ in 0..yields {
        yield;
    }
    counts.end();
}
