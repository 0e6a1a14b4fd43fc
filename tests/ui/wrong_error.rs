#![feature(coroutines)]
use tinyield::{Coro, coro};

#[derive(Debug)]
struct NoError;

#[coro]
fn raises() -> Coro<()> {
    yield;
    Err(NoError)?;
}

#[coro]
fn none() -> Coro<i32> {
    Some(1)?
}

fn main() {}
