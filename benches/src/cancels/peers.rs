//! Dropped handles. The executors drop the futures then or in their next turns.

use std::future::pending;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::task::JoinSet;

use super::{Alive, Guard, TASKS};
use crate::harness::{Measured, Stopwatch};
use crate::peers::Peer;

async fn waiting(alive: Alive) {
    let _guard = Guard::new(alive);
    pending().await
}

/// Runs once to warm up, and once with the clock.
fn timed<P: Peer, S: 'static>(start: impl Fn(&P, &Alive) -> S + 'static) -> Measured {
    P::run(move |peer| async move {
        let mut measured = None;
        for _ in 0..2 {
            let alive = Alive::default();
            let tasks = start(&peer, &alive);
            while alive.get() < TASKS {
                peer.turn().await;
            }
            let stopwatch = Stopwatch::start();
            drop(tasks);
            while alive.get() > 0 {
                peer.turn().await;
            }
            measured = Some(stopwatch.per(TASKS as u64));
        }
        measured.expect("it ran twice")
    })
}

pub fn drop_handles<P: Peer>() -> Measured {
    timed(|peer: &P, alive| -> Vec<_> { (0..TASKS).map(|_| peer.spawn(waiting(Rc::clone(alive)))).collect() })
}

pub fn drop_join_set<P: Peer>() -> Measured {
    timed(|_: &P, alive| {
        let mut set = JoinSet::new();
        for _ in 0..TASKS {
            set.spawn_local(waiting(Rc::clone(alive)));
        }
        set
    })
}

/// Without a runtime: the futures are not tasks.
pub fn drop_futures_unordered() -> Measured {
    let mut measured = None;
    for _ in 0..2 {
        let alive = Alive::default();
        let mut set: FuturesUnordered<_> = (0..TASKS).map(|_| waiting(Rc::clone(&alive))).collect();
        while alive.get() < TASKS {
            assert_eq!(set.poll_next_unpin(&mut Context::from_waker(Waker::noop())), Poll::Pending);
        }
        let stopwatch = Stopwatch::start();
        drop(set);
        measured = Some(stopwatch.per(TASKS as u64));
        assert_eq!(alive.get(), 0);
    }
    measured.expect("it ran twice")
}
