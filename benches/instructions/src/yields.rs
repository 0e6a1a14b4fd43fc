//! Ready tasks that yield to each other.

use std::hint::black_box;

use tinyield::{Coro, Loop, Recorder, coro};

#[coro]
fn task(turns: u64) -> Coro<()> {
    for turn in 0..turns {
        black_box(turn);
        yield;
    }
}

fn tasks(count: u64, turns: u64) -> u64 {
    tasks_on(Loop::new(), count, turns)
}

fn tasks_on(mut event_loop: Loop, count: u64, turns: u64) -> u64 {
    let all: Vec<_> = (0..count).map(|_| task(turns)).collect();
    event_loop.run(all).expect("no error");
    count * turns
}

pub fn alone(rounds: u64) -> u64 {
    tasks(1, rounds)
}

pub fn hundred(rounds: u64) -> u64 {
    tasks(100, rounds)
}

pub fn viewed(rounds: u64) -> u64 {
    let mut event_loop = Loop::new();
    let _view = event_loop.view();
    tasks_on(event_loop, 100, rounds)
}

pub fn recorded(rounds: u64) -> u64 {
    let recorder = Recorder::last(10_000);
    tasks_on(Loop::builder().record(&recorder).build(), 100, rounds)
}
