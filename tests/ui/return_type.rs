#![feature(coroutines)]
use tinyield::{Coro, coro};

#[coro]
fn value() -> i32 {
    yield;
    1
}

#[coro]
fn nothing() {
    yield;
}

#[coro]
fn result() -> Result<i32, std::io::Error> {
    yield;
    Ok(1)
}

#[coro]
fn bare() -> Coro {
    yield;
}

fn main() {}
