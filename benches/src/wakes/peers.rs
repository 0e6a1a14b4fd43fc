//! Tasks of the peers that await the futures.

use std::rc::Rc;

use super::{RALLIES, answer, serve, wake_self};
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

/// Runs once to warm up, and once with the clock.
pub fn ping_pong<P: Peer>() -> Measured {
    P::run(async |peer| {
        let mut measured = None;
        for _ in 0..2 {
            let stopwatch = Stopwatch::start();
            let (ping, pinged) = async_channel::bounded(1);
            let (pong, ponged) = async_channel::bounded(1);
            peer.detach(answer(pong, pinged));
            assert_eq!(peer.spawn(serve(ping, ponged)).await, RALLIES);
            measured = Some(stopwatch.per(2 * RALLIES));
        }
        measured.expect("it ran twice")
    })
}
