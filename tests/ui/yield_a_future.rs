#![feature(coroutines)]
use tinyield::{Coro, coro};

#[coro]
fn ready() -> Coro<i32> {
    yield std::future::ready(1)
}

fn main() {}
