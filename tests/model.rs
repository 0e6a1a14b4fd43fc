//! Programs of coroutines do on tinyield what a naive simulator says that they do: random ones, and those that the fuzzer kept.
//!
//! `TINYIELD_PROGRAMS` says how many random ones, if it is set.
#![feature(coroutines)]

#[path = "model/mod.rs"]
mod model;

use std::path::Path;

use model::program::Program;
use proptest::collection::vec;
use proptest::num::u8::ANY;
use proptest::prop_oneof;
use proptest::sample::select;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};

const PROGRAMS: u32 = 3_000;

/// Of any bytes; or of a few, so that a program has a few kinds of statements, and more of each. In what has everything, one thing
/// gets in the way of another ("Swarm Testing", Groce et al., 2012).
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let of_a_few = vec(ANY, 4..32).prop_flat_map(|few| vec(select(few), 0..400));
    prop_oneof![vec(ANY, 0..400), of_a_few]
}

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
    let result = TestRunner::new(config).run(&bytes(), |bytes| {
        let difference = model::smallest_difference(Program::from_bytes(&bytes));
        difference.map_or(Ok(()), |difference| Err(TestCaseError::fail(difference)))
    });
    match result {
        Ok(()) => {}
        Err(TestError::Fail(difference, _)) => panic!("{difference}"),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}

#[test]
fn programs_that_the_fuzzer_kept_do_what_the_simulator_says() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    if !fuzz.exists() {
        // It is not in the package.
        return;
    }
    let mut count = 0;
    for entry in std::fs::read_dir(fuzz.join("corpus/programs")).unwrap() {
        let path = entry.unwrap().path();
        let program = Program::from_bytes(&std::fs::read(&path).unwrap());
        if let Some(difference) = model::smallest_difference(program) {
            panic!("{}: {difference}", path.display());
        }
        count += 1;
    }
    assert!(count >= 100, "only {count} programs were kept");
}
