#![feature(coroutines)]
use tinyield::{Coro, coro};

#[coro]
fn tail() -> Coro<i32> {
    yield;
    "one"
}

#[coro]
fn returned() -> Coro<i32> {
    if true {
        return "one";
    }
    1
}

#[coro]
fn missing() -> Coro<i32> {
    yield;
}

#[coro]
fn of_a_wait() -> Coro<i32> {
    let text: String = yield returned();
    text.len()
}

#[coro]
fn of_a_wait_after_it() -> Coro<String> {
    returned().yield
}

fn main() {}
