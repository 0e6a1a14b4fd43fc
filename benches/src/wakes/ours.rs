//! Coroutines that await the futures.

use std::rc::Rc;

use tinyield::{Coro, Loop, co, coro};

use super::{RALLIES, answer, by_futures, by_tokio, serve, wake_self};
use crate::harness::{Lap, Measured, per_op_in_one_run};

pub fn self_wake(tasks: usize, wakes: u64) -> Measured {
    let lap = Lap::new(tasks, wakes);
    let all: Vec<_> = (0..tasks).map(|_| task(Rc::clone(&lap))).collect();
    Loop::new().run(all).expect("no error");
    lap.per_yield()
}

#[coro]
fn task(lap: Rc<Lap>) -> Coro<()> {
    for _ in 0..lap.start() {
        wake_self().await;
    }
    lap.before_last();
    wake_self().await;
    lap.end();
}

fn check((ball, ()): (u64, ())) {
    assert_eq!(ball, RALLIES);
}

pub fn ping_pong() -> Measured {
    let work = || {
        let (ping, pinged) = async_channel::bounded(1);
        let (pong, ponged) = async_channel::bounded(1);
        (co! { serve(ping, ponged).await }, co! { answer(pong, pinged).await })
    };
    per_op_in_one_run(2 * RALLIES, work, check)
}

pub fn oneshot() -> Measured {
    let work = || {
        let (first, served) = futures::channel::oneshot::channel();
        (co! { by_futures::serve(first).await }, co! { by_futures::answer(served).await })
    };
    per_op_in_one_run(2 * RALLIES, work, check)
}

pub fn oneshot_of_tokio() -> Measured {
    let work = || {
        let (first, served) = tokio::sync::oneshot::channel();
        (co! { by_tokio::serve(first).await }, co! { by_tokio::answer(served).await })
    };
    per_op_in_one_run(2 * RALLIES, work, check)
}
