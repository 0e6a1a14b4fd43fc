//! The same coroutines in a loop under `Loop::run`, and in a loop that smol polls.

use std::rc::Rc;

use tinyield::{Coro, Loop, coro, to_smol};

use super::{TASKS, YIELDS};
use crate::harness::{Lap, Measured};

#[coro]
fn task(lap: Rc<Lap>) -> Coro<()> {
    for _ in 0..lap.start() {
        yield;
    }
    lap.before_last();
    yield;
    lap.end();
}

fn tasks(lap: &Rc<Lap>) -> Vec<Coro<()>> {
    (0..TASKS).map(|_| task(Rc::clone(lap))).collect()
}

pub fn alone() -> Measured {
    let lap = Lap::new(TASKS, YIELDS);
    Loop::new().run(tasks(&lap)).expect("no error");
    lap.per_yield()
}

pub fn in_smol() -> Measured {
    let lap = Lap::new(TASKS, YIELDS);
    async_io::block_on(to_smol(tasks(&lap))).expect("no error");
    lap.per_yield()
}
