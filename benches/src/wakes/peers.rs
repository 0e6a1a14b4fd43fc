//! Tasks of the peers that await the futures.

use std::rc::Rc;

use super::{RALLIES, answer, by_futures, by_tokio, serve, wake_self};
use crate::harness::{Lap, Measured, Stopwatch};
use crate::peers::Peer;

async fn task(lap: Rc<Lap>) {
    for _ in 0..lap.start() {
        wake_self().await;
    }
    lap.before_last();
    wake_self().await;
    lap.end();
}

pub fn self_wake<P: Peer>(tasks: usize, wakes: u64) -> Measured {
    P::run(move |peer| async move {
        let lap = Lap::new(tasks, wakes);
        let handles: Vec<_> = (0..tasks).map(|_| peer.spawn(task(Rc::clone(&lap)))).collect();
        for handle in handles {
            handle.await;
        }
        lap.per_yield()
    })
}

/// Runs once to warm up, and once with the clock. `start` starts one task, and returns the other.
fn rallies<P: Peer, F>(start: impl Fn(&P) -> F + 'static) -> Measured
where
    F: Future<Output = u64> + 'static,
{
    P::run(move |peer| async move {
        let mut measured = None;
        for _ in 0..2 {
            let stopwatch = Stopwatch::start();
            let serving = start(&peer);
            assert_eq!(peer.spawn(serving).await, RALLIES);
            measured = Some(stopwatch.per(2 * RALLIES));
        }
        measured.expect("it ran twice")
    })
}

pub fn ping_pong<P: Peer>() -> Measured {
    rallies(|peer: &P| {
        let (ping, pinged) = async_channel::bounded(1);
        let (pong, ponged) = async_channel::bounded(1);
        peer.detach(answer(pong, pinged));
        serve(ping, ponged)
    })
}

pub fn oneshot<P: Peer>() -> Measured {
    rallies(|peer: &P| {
        let (first, served) = futures::channel::oneshot::channel();
        peer.detach(by_futures::answer(served));
        by_futures::serve(first)
    })
}

pub fn oneshot_of_tokio<P: Peer>() -> Measured {
    rallies(|peer: &P| {
        let (first, served) = tokio::sync::oneshot::channel();
        peer.detach(by_tokio::answer(served));
        by_tokio::serve(first)
    })
}
