#![feature(coroutines)]
use tinyield::{Coro, JoinHandle, coro};

#[coro]
fn in_a_function(handle: JoinHandle<i32>) -> Coro<i32> {
    match yield handle {
        1 => 2,
        other => other,
    }
}

fn main() {}
