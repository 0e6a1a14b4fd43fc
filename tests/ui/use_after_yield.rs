#![feature(coroutines)]
use tinyield::{Coro, coro};

#[coro]
fn ready() -> Coro<i32> {
    1
}

#[coro]
fn twice() -> Coro<i32> {
    let once = ready();
    let first = yield once;
    first + yield once
}

fn main() {}
