#![feature(coroutines)]
#![deny(unused_must_use)]
use tinyield::{Coro, coro};

#[coro]
fn ready() -> Coro<i32> {
    1
}

#[coro]
fn forgets() -> Coro<()> {
    ready();
    yield ready();
}

fn main() {}
