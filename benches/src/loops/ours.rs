//! Makes a loop, and runs a block that yields a child.

use std::hint::black_box;

use tinyield::{Coro, Loop, co, coro};

use super::LOOPS;
use crate::harness::{Measured, per_op};

#[coro]
fn child(i: u64) -> Coro<u64> {
    black_box(i)
}

pub fn trivial() -> Measured {
    per_op(LOOPS, || {
        for i in 0..LOOPS {
            assert_eq!(Loop::new().run(co! { yield child(i) }).expect("no error"), i);
        }
    })
}
