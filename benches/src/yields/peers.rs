//! Tasks that wake themselves, as `futures_lite::future::yield_now` does. tokio's own `yield_now` has a
//! function of its own, because it waits until the drivers have run.

use std::rc::Rc;

use futures::StreamExt;
use futures::executor::block_on;
use futures::stream::FuturesUnordered;
use futures_lite::future::yield_now;

use super::Counts;
use crate::harness::{Lap, Measured, Stopwatch, per_op};
use crate::peers::Peer;

async fn task(lap: Rc<Lap>, turn: impl AsyncFn()) {
    for _ in 0..lap.start() {
        turn().await;
    }
    lap.before_last();
    turn().await;
    lap.end();
}

pub fn yields<P: Peer>(tasks: usize, yields: u64) -> Measured {
    run(tasks, yields, async |peer: &P| peer.turn().await)
}

pub fn tokio_yield_now<P: Peer>(tasks: usize, yields: u64) -> Measured {
    run(tasks, yields, async |_: &P| tokio::task::yield_now().await)
}

fn run<P: Peer>(tasks: usize, yields: u64, turn: impl AsyncFn(&P) + Copy + 'static) -> Measured {
    P::run(move |peer| async move {
        let lap = Lap::new(tasks, yields);
        let spawn = |_| {
            let (lap, peer_of_task) = (Rc::clone(&lap), peer.clone());
            peer.spawn(task(lap, async move || turn(&peer_of_task).await))
        };
        let handles: Vec<_> = (0..tasks).map(spawn).collect();
        for handle in handles {
            handle.await;
        }
        lap.per_yield()
    })
}

/// Without a runtime: a set of futures in one task.
pub fn futures_unordered(tasks: usize, yields: u64) -> Measured {
    let lap = Lap::new(tasks, yields);
    let set: FuturesUnordered<_> = (0..tasks).map(|_| task(Rc::clone(&lap), yield_now)).collect();
    block_on(set.collect::<()>());
    lap.per_yield()
}

async fn counted(counts: Rc<Counts>, yields: u64, turn: impl AsyncFn()) {
    counts.start();
    for _ in 0..yields {
        turn().await;
    }
    counts.end();
}

/// Runs once to warm up, and once with the clock.
pub fn whole<P: Peer>(tasks: usize, yields: u64) -> Measured {
    P::run(move |peer| async move {
        let mut measured = None;
        for _ in 0..2 {
            let stopwatch = Stopwatch::start();
            let counts = Rc::<Counts>::default();
            let spawn = |_| {
                let of_task = peer.clone();
                peer.spawn(counted(Rc::clone(&counts), yields, async move || of_task.turn().await))
            };
            let handles: Vec<_> = (0..tasks).map(spawn).collect();
            for handle in handles {
                handle.await;
            }
            counts.check(tasks);
            measured = Some(stopwatch.per(tasks as u64 * yields));
        }
        measured.expect("it ran twice")
    })
}

pub fn whole_futures_unordered(tasks: usize, yields: u64) -> Measured {
    per_op(tasks as u64 * yields, || {
        let counts = Rc::<Counts>::default();
        let set: FuturesUnordered<_> = (0..tasks).map(|_| counted(Rc::clone(&counts), yields, yield_now)).collect();
        block_on(set.collect::<()>());
        counts.check(tasks);
    })
}
