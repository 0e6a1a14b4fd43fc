#![feature(coroutines)]
use tinyield::{Coro, co};

fn length(text: &str) -> Coro<usize> {
    co! {
        yield;
        text.len()
    }
}

fn main() {}
