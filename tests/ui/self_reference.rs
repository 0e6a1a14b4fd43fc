#![feature(coroutines)]
use std::rc::Rc;
use tinyield::{Coro, coro};

struct Counter(i32);

impl Counter {
    #[coro]
    fn by_reference(&self) -> Coro<i32> {
        yield;
        self.0
    }

    #[coro]
    fn by_mutable_reference(&mut self) -> Coro<()> {
        yield;
        self.0 += 1;
    }

    #[coro]
    fn by_reference_to_rc(self: &Rc<Self>) -> Coro<i32> {
        yield;
        self.0
    }

    #[coro]
    fn right(self: Rc<Self>) -> Coro<i32> {
        yield;
        self.0
    }
}

fn main() {}
