#![feature(coroutines)]
use tinyield::{Coro, Event, co, coro, race};

#[coro]
fn argument(text: String) -> Coro<()> {
    drop(text);
    yield;
    println!("{text}");
}

#[coro]
fn borrowed_argument(numbers: Vec<i32>) -> Coro<()> {
    let longest = numbers.iter().max();
    yield co! { println!("{longest:?}") };
}

#[coro]
fn captured(stop: Event) -> Coro<()> {
    loop {
        yield race([co! { yield stop.wait() }]);
    }
}

fn of_block(text: String) -> Coro<()> {
    co! {
        drop(text);
        println!("{text}");
    }
}

fn main() {}
