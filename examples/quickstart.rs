//! Two coroutines run at the same time: this takes one second, not two.
#![feature(coroutines)]

use std::time::{Duration, Instant};

use tinyield::{Coro, Loop, coro, sleep};

#[coro]
fn slow_add_one(x: i32) -> Coro<i32> {
    yield sleep(Duration::from_secs(1));
    x + 1
}

#[coro]
fn foo() -> Coro<(i32, i32)> {
    yield (slow_add_one(3), slow_add_one(4)) // both at once, with their types
}

fn main() -> Result<(), tinyield::LoopError> {
    let start = Instant::now();
    let sums = Loop::new().run(foo())?;
    assert_eq!(sums, (4, 5));
    println!("{sums:?} after {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}
