#![feature(coroutines)]
use tinyield::{Coro, coro};
use tracing::instrument;

#[coro]
#[instrument]
fn below(x: u32) -> Coro<u32> {
    yield;
    x
}

#[tracing::instrument(skip(x), level = "info")]
#[coro]
fn above(x: u32) -> Coro<u32> {
    yield;
    x
}

#[instrument(ret)]
#[coro]
fn with_its_value(x: u32) -> Coro<u32> {
    yield;
    x
}

fn main() {}
