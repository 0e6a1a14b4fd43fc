#![feature(coroutines)]
use tinyield::{Coro, co, coro};

#[coro]
fn ready() -> Coro<i32> {
    1
}

#[coro]
fn closure() -> Coro<Vec<i32>> {
    (0..3).map(|_| yield ready()).collect()
}

#[coro]
fn postfix() -> Coro<i32> {
    let later = || ready().yield;
    later()
}

#[coro]
fn async_block() -> Coro<i32> {
    async { yield ready() }.await
}

fn main() {
    drop(co! { Some(1).map(|x| x + (yield ready())) });
}
