//! Yields children: one, two at once, or a vector.

use std::hint::black_box;

use tinyield::{Coro, Shared, co, coro};

use super::{
    BRANCHES, CHAINS, CHILDREN, DEPTH, GATHERS, LEVELS, LINKS, NESTED, NESTS, NODES, SHARED, SPAWNS, TREES, WAITERS,
};
use crate::harness::{Measured, per_op_in_one_run};

/// Runs the coroutine of `make` `times` times, which does `ops` operations in total.
fn timed(ops: u64, times: u64, make: impl Fn() -> Coro<u64> + Copy + 'static, expected: u64) -> Measured {
    let work = move || {
        co! {
            for _ in 0..times {
                assert_eq!(yield make(), expected);
            }
        }
    };
    per_op_in_one_run(ops, work, |()| {})
}

#[coro]
fn trivial(i: u64) -> Coro<u64> {
    black_box(i)
}

pub fn spawn() -> Measured {
    let parent = || {
        co! {
            let mut sum = 0;
            for i in 0..SPAWNS {
                sum += yield trivial(i);
            }
            sum
        }
    };
    timed(SPAWNS, 1, parent, SPAWNS * (SPAWNS - 1) / 2)
}

#[coro]
fn yielding(i: u64) -> Coro<u64> {
    yield;
    i
}

pub fn gather() -> Measured {
    let parent = || {
        co! {
            let mut sum = 0;
            for _ in 0..GATHERS {
                let children: Vec<_> = (0..CHILDREN).map(yielding).collect();
                sum += (yield children).iter().sum::<u64>();
            }
            sum
        }
    };
    timed(CHILDREN * GATHERS, 1, parent, GATHERS * CHILDREN * (CHILDREN - 1) / 2)
}

#[coro]
fn level(levels: u32) -> Coro<u64> {
    if levels == 0 {
        yield;
        return 1;
    }
    let children: Vec<_> = (0..BRANCHES).map(|_| level(levels - 1)).collect();
    (yield children).iter().sum::<u64>() + 1
}

pub fn nested() -> Measured {
    timed(NESTED * NESTS, NESTS, || level(LEVELS), NESTED)
}

#[coro]
fn node(depth: u32) -> Coro<u64> {
    if depth == 0 {
        return 1;
    }
    let (left, right) = yield (node(depth - 1), node(depth - 1));
    left + right + 1
}

pub fn tree() -> Measured {
    timed(NODES * TREES, TREES, || node(DEPTH), NODES)
}

#[coro]
fn link(further: u64) -> Coro<u64> {
    if further == 0 {
        return 1;
    }
    (yield link(further - 1)) + 1
}

pub fn chain() -> Measured {
    timed(LINKS * CHAINS, CHAINS, || link(LINKS - 1), LINKS)
}

#[coro]
fn waiter(shared: Shared<u64>) -> Coro<u64> {
    yield shared
}

pub fn shared() -> Measured {
    let parent = || {
        co! {
            let mut sum = 0;
            for i in 0..SHARED {
                let shared = yielding(i).shared();
                let waiters: Vec<_> = (0..WAITERS).map(|_| waiter(shared.clone())).collect();
                sum += (yield waiters).iter().sum::<u64>();
            }
            sum
        }
    };
    timed(WAITERS * SHARED, 1, parent, WAITERS * SHARED * (SHARED - 1) / 2)
}
