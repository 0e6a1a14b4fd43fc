#![feature(coroutines)]
use tinyield::{Coro, coro};

#[coro(foo)]
fn word() -> Coro<()> {
    yield;
}

#[coro(name = "bar")]
fn assignment() -> Coro<()> {
    yield;
}

fn main() {}
