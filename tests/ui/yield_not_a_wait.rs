#![feature(coroutines)]
use tinyield::{Coro, coro};

#[coro]
fn prefix() -> Coro<()> {
    yield 5;
}

#[coro]
fn postfix() -> Coro<()> {
    "five".yield;
}

#[coro]
fn in_a_macro() -> Coro<()> {
    println!("{}", yield 'c');
}

fn main() {}
