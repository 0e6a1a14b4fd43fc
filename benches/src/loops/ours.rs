//! A loop and a block.

use std::hint::black_box;

use tinyield::{Loop, co};

use super::LOOPS;
use crate::harness::{Measured, per_op};

pub fn trivial() -> Measured {
    per_op(LOOPS, || {
        for i in 0..LOOPS {
            assert_eq!(Loop::new().run(co! { black_box(i) }).expect("no error"), i);
        }
    })
}
