//! Ready tasks that yield to each other.

use std::hint::black_box;

use tinyield::{Coro, Loop, coro};

#[coro]
fn task(turns: u64) -> Coro<()> {
    for turn in 0..turns {
        black_box(turn);
        yield;
    }
}

fn tasks(count: u64, turns: u64) -> u64 {
    let all: Vec<_> = (0..count).map(|_| task(turns)).collect();
    Loop::new().run(all).expect("no error");
    count * turns
}

pub fn alone(rounds: u64) -> u64 {
    tasks(1, rounds)
}

pub fn hundred(rounds: u64) -> u64 {
    tasks(100, rounds)
}
