//! The same tasks on every peer. Handles are awaited.

use std::hint::black_box;

use futures::FutureExt;
use futures::StreamExt;
use futures::future;
use futures::stream::FuturesUnordered;
use futures_lite::future::{block_on, yield_now};

use super::{
    BRANCHES, CHAINS, CHILDREN, DEPTH, GATHERS, LEVELS, LINKS, NESTED, NESTS, NODES, SHARED, SPAWNS, TREES, WAITERS,
};
use crate::harness::{Measured, Stopwatch, per_op};
use crate::peers::Peer;

/// As [`per_op`], inside a task.
async fn timed(ops: u64, mut work: impl AsyncFnMut()) -> Measured {
    work().await;
    let stopwatch = Stopwatch::start();
    work().await;
    stopwatch.per(ops)
}

pub fn spawn<P: Peer>() -> Measured {
    P::run(|peer| {
        timed(SPAWNS, async move || {
            let mut sum = 0;
            for i in 0..SPAWNS {
                sum += peer.spawn(async move { black_box(i) }).await;
            }
            assert_eq!(sum, SPAWNS * (SPAWNS - 1) / 2);
        })
    })
}

pub fn gather<P: Peer>() -> Measured {
    P::run(|peer| {
        timed(CHILDREN * GATHERS, async move || {
            for _ in 0..GATHERS {
                let child = |i| {
                    let of_child = peer.clone();
                    peer.spawn(async move {
                        of_child.turn().await;
                        i
                    })
                };
                let children: Vec<_> = (0..CHILDREN).map(child).collect();
                let mut sum = 0;
                for child in children {
                    sum += child.await;
                }
                assert_eq!(sum, CHILDREN * (CHILDREN - 1) / 2);
            }
        })
    })
}

async fn child(i: u64) -> u64 {
    yield_now().await;
    i
}

/// Without a runtime: the waiting future polls its children.
pub fn join_all() -> Measured {
    per_op(CHILDREN * GATHERS, || {
        for _ in 0..GATHERS {
            let sum: u64 = block_on(future::join_all((0..CHILDREN).map(child))).into_iter().sum();
            assert_eq!(sum, CHILDREN * (CHILDREN - 1) / 2);
        }
    })
}

/// The same, in order of completion.
pub fn futures_unordered() -> Measured {
    per_op(CHILDREN * GATHERS, || {
        for _ in 0..GATHERS {
            let children: FuturesUnordered<_> = (0..CHILDREN).map(child).collect();
            let sum = block_on(children.fold(0, async |sum, i| sum + i));
            assert_eq!(sum, CHILDREN * (CHILDREN - 1) / 2);
        }
    })
}

fn level<P: Peer>(peer: &P, levels: u32) -> P::Handle<u64> {
    let of_level = peer.clone();
    peer.spawn(async move {
        if levels == 0 {
            of_level.turn().await;
            return 1;
        }
        let children: Vec<_> = (0..BRANCHES).map(|_| level(&of_level, levels - 1)).collect();
        let mut sum = 1;
        for child in children {
            sum += child.await;
        }
        sum
    })
}

pub fn nested<P: Peer>() -> Measured {
    P::run(|peer| {
        timed(NESTED * NESTS, async move || {
            for _ in 0..NESTS {
                assert_eq!(level(&peer, LEVELS).await, NESTED);
            }
        })
    })
}

/// The handle of a task, as a `Shared` of `futures`.
pub fn shared<P: Peer>() -> Measured {
    P::run(|peer| {
        timed(WAITERS * SHARED, async move || {
            let mut sum = 0;
            for i in 0..SHARED {
                let of_child = peer.clone();
                let shared = peer.spawn(async move {
                    of_child.turn().await;
                    i
                });
                let shared = shared.shared();
                let waiters: Vec<_> = (0..WAITERS).map(|_| peer.spawn(shared.clone())).collect();
                for waiter in waiters {
                    sum += waiter.await;
                }
            }
            assert_eq!(sum, WAITERS * SHARED * (SHARED - 1) / 2);
        })
    })
}

fn node<P: Peer>(peer: &P, depth: u32) -> P::Handle<u64> {
    let of_node = peer.clone();
    peer.spawn(async move {
        if depth == 0 {
            return 1;
        }
        let left = node(&of_node, depth - 1);
        let right = node(&of_node, depth - 1);
        left.await + right.await + 1
    })
}

pub fn tree<P: Peer>() -> Measured {
    P::run(|peer| {
        timed(NODES * TREES, async move || {
            for _ in 0..TREES {
                assert_eq!(node(&peer, DEPTH).await, NODES);
            }
        })
    })
}

fn link<P: Peer>(peer: &P, further: u64) -> P::Handle<u64> {
    let of_link = peer.clone();
    peer.spawn(async move { if further == 0 { 1 } else { link(&of_link, further - 1).await + 1 } })
}

pub fn chain<P: Peer>() -> Measured {
    P::run(|peer| {
        timed(LINKS * CHAINS, async move || {
            for _ in 0..CHAINS {
                assert_eq!(link(&peer, LINKS - 1).await, LINKS);
            }
        })
    })
}
