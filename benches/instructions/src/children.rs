//! Children, and loops that run a child.

use std::hint::black_box;

use tinyield::{Coro, Loop, co, coro};

#[coro]
fn trivial(i: u64) -> Coro<u64> {
    black_box(i)
}

pub fn spawn(rounds: u64) -> u64 {
    let main = co! {
        for i in 0..rounds {
            assert_eq!(yield trivial(i), i);
        }
    };
    Loop::new().run(main).expect("no error");
    rounds
}

const CHILDREN: u64 = 1_000;

#[coro]
fn yielding(i: u64) -> Coro<u64> {
    yield;
    i
}

pub fn gather(rounds: u64) -> u64 {
    let main = co! {
        for _ in 0..rounds {
            let children: Vec<_> = (0..CHILDREN).map(yielding).collect();
            assert_eq!((yield children).iter().sum::<u64>(), CHILDREN * (CHILDREN - 1) / 2);
        }
    };
    Loop::new().run(main).expect("no error");
    CHILDREN * rounds
}

#[coro]
fn node(depth: u32) -> Coro<u64> {
    if depth == 0 {
        return 1;
    }
    let (left, right) = yield (node(depth - 1), node(depth - 1));
    left + right + 1
}

pub fn tree(rounds: u64) -> u64 {
    const DEPTH: u32 = 9;
    const NODES: u64 = (1 << (DEPTH + 1)) - 1;

    for _ in 0..rounds {
        assert_eq!(Loop::new().run(node(DEPTH)).expect("no error"), NODES);
    }
    NODES * rounds
}

pub fn run(rounds: u64) -> u64 {
    for i in 0..rounds {
        assert_eq!(Loop::new().run(trivial(i)).expect("no error"), i);
    }
    rounds
}
