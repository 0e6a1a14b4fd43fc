#![feature(coroutines)]
use tinyield::{Coro, coro};

#[coro]
fn one() -> Coro<i32> {
    1
}

#[coro]
fn two() -> Coro<i32> {
    one().await + 1
}

fn main() {}
