#![feature(coroutines)]
use tinyield::{Coro, coro};

#[coro]
fn keep<T>(value: T) -> Coro<()> {
    yield;
    drop(value);
}

fn main() {}
