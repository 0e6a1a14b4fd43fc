//! Random programs of coroutines do on tinyield what a naive simulator says that they do.
//!
//! `TINYIELD_PROGRAMS` says how many, if it is set.
#![feature(coroutines)]

#[path = "model/mod.rs"]
mod model;

use model::program::Program;
use proptest::collection::vec;
use proptest::num::u8::ANY;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};

const PROGRAMS: u32 = 3_000;

#[test]
fn random_programs_do_what_the_simulator_says() {
    let programs = std::env::var("TINYIELD_PROGRAMS").map(|count| count.parse().expect("a number of programs"));
    // What differs is made smaller as a program: of bytes, nothing could be left out without changing all that comes after.
    let config = Config {
        cases: programs.unwrap_or(PROGRAMS),
        max_shrink_iters: 0,
        failure_persistence: None,
        ..Config::default()
    };
    let result = TestRunner::new(config).run(&vec(ANY, 0..400), |bytes| {
        match model::smallest_difference(Program::from_bytes(&bytes)) {
            Some(difference) => Err(TestCaseError::fail(difference)),
            None => Ok(()),
        }
    });
    match result {
        Ok(()) => {}
        Err(TestError::Fail(difference, _)) => panic!("{difference}"),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}
