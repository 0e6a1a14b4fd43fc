//! A gather of coroutines.

use std::rc::Rc;

use tinyield::{Coro, Loop, coro};

use crate::harness::{Lap, Measured};

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
