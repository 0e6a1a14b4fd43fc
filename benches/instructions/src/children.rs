//! Children, and loops that run one.

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

pub fn run(rounds: u64) -> u64 {
    for i in 0..rounds {
        assert_eq!(Loop::new().run(trivial(i)).expect("no error"), i);
    }
    rounds
}
