#![feature(coroutines)]
use std::borrow::Cow;
use tinyield::{Coro, coro};

#[coro]
fn shared(text: &str) -> Coro<usize> {
    yield;
    text.len()
}

#[coro]
fn mutable(list: &mut Vec<i32>) -> Coro<()> {
    yield;
    list.push(1);
}

#[coro]
fn named<'a>(text: &'a str, cow: Cow<'a, str>) -> Coro<usize> {
    yield;
    text.len() + cow.len()
}

#[coro]
fn inside(pair: (i32, Option<&str>), cow: Cow<'_, str>) -> Coro<usize> {
    yield;
    pair.1.map_or(0, str::len) + cow.len()
}

#[coro]
fn right(text: &'static str, f: fn(&str) -> &str, g: Box<dyn for<'a> Fn(&'a str) -> &'a str>) -> Coro<usize> {
    yield;
    f(text).len() + g(text).len()
}

fn main() {}
