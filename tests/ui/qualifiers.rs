#![feature(coroutines)]
use tinyield::{Coro, coro};

#[coro]
async fn asynchronous() -> Coro<()> {
    yield;
}

#[coro]
const fn constant() -> Coro<()> {
    yield;
}

trait Job {
    #[coro]
    fn bodiless() -> Coro<()>;
}

#[coro]
struct NotAFunction;

fn main() {}
