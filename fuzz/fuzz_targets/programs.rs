//! Makes a program from bytes, runs it on tinyield and on a naive simulator, and compares the two runs.
#![feature(coroutines)]
#![no_main]

#[path = "../../tests/model/mod.rs"]
mod model;

use libfuzzer_sys::fuzz_target;
use model::program::Program;

fuzz_target!(|bytes: &[u8]| {
    if let Some(difference) = model::smallest_difference(Program::from_bytes(bytes)) {
        panic!("{difference}");
    }
});
