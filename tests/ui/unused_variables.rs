#![feature(coroutines)]
#![deny(warnings)]
use tinyield::{Coro, coro};

#[coro]
pub fn of_the_user(unused: i32, _silent: i32, mut changed: i32, in_text: i32, (left, right): (i32, i32)) -> Coro<()> {
    let local = 1;
    let mut constant = 2;
    yield;
    println!("{in_text} {constant} {left}");
}

#[coro]
pub fn unreachable() -> Coro<i32> {
    return 1;
    yield;
}

fn main() {}
