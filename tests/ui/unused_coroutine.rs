#![feature(coroutines)]
#![deny(unused_must_use)]
use tinyield::{Coro, co, coro, run_in_thread};

#[coro]
fn ready() -> Coro<i32> {
    1
}

#[coro]
fn forgets() -> Coro<()> {
    ready();
    co! { yield ready(); };
    run_in_thread(|| 1);
    vec![ready(), ready()];
    (ready(), ready());
    yield ready();
}

fn main() {}
