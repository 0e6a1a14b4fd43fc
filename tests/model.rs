//! Random programs, and programs that the fuzzer kept, do on tinyield what a naive simulator computes.
//!
//! `TINYIELD_PROGRAMS` sets the number of random programs, and `PROPTEST_RNG_SEED` their seed.
#![feature(coroutines)]

#[path = "model/mod.rs"]
mod model;
#[path = "common/random.rs"]
mod random;

use std::path::Path;

use model::program::Program;
use proptest::collection::vec;
use proptest::num::u8::ANY;
use proptest::prop_oneof;
use proptest::sample::select;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};
use random::with_fixed_seed;

const PROGRAMS: u32 = 3_000;

/// Bytes of all values, or of a few values. With few values, a program has few kinds of statements, and more statements of each kind. So it
/// finds defects that many kinds at once would hide ("Swarm Testing", Groce et al., 2012).
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let few_values = vec(ANY, 4..32).prop_flat_map(|few| vec(select(few), 0..400));
    prop_oneof![vec(ANY, 0..400), few_values]
}

#[test]
fn random_programs_match_the_simulator() {
    let programs = std::env::var("TINYIELD_PROGRAMS").map(|count| count.parse().expect("a number of programs"));
    // The program is made smaller, not its bytes: if one byte were removed, all later bytes would have another meaning.
    let config = Config {
        cases: programs.unwrap_or(PROGRAMS),
        max_shrink_iters: 0,
        failure_persistence: None,
        ..Config::default()
    };
    let result = TestRunner::new(with_fixed_seed(config)).run(&bytes(), |bytes| {
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
fn programs_kept_by_the_fuzzer_match_the_simulator() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    if !fuzz.exists() {
        // The package does not contain the corpus.
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
