//! Programs of coroutines, run on tinyield and on a naive simulator of its guarantees. Both runs have to be the same.
//!
//! - [`program`] is the language: what a program is, how it is made from bytes, how it is made smaller, how it is
//!   printed.
//! - [`interpreter`] runs a program on tinyield.
//! - [`simulator`] computes what the run should look like. It uses nothing of tinyield.
//!
//! Both write a log: which coroutine begins, what each `yield` gives or raises, and how each coroutine ends, in order.
//! This module compares the two logs and results, and looks for the smallest program that shows a difference.
//!
//! The fuzzer includes this module by its path, so it uses nothing of the other tests.

pub mod interpreter;
pub mod program;
pub mod simulator;

use program::Program;

/// What can be seen of a run.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    pub result: String,
    /// What happened, in order.
    pub log: Vec<String>,
    /// Simulator only: several coroutines could be named as the one that failed, and the choice is not specified.
    pub is_blame_open: bool,
    /// Simulator only: the result is not specified. Any run is right.
    pub is_undecided: bool,
}

/// The seeds that each program is run with. Seed 0 is first in, first out.
const SEEDS: [u64; 3] = [0, 1, 421];

/// The difference between the two runs of `program` with the same seed, in words, if there is one.
pub fn difference(program: &Program) -> Option<String> {
    SEEDS.into_iter().find_map(|seed| {
        let expected = simulator::run(program, seed);
        if expected.is_undecided {
            return None;
        }
        let difference = compare(&expected, &interpreter::run(program, seed))?;
        Some(format!("with seed {seed}:\n{difference}"))
    })
}

fn compare(expected: &Observed, observed: &Observed) -> Option<String> {
    let without_blame = |text: &String| if expected.is_blame_open { without_names(text) } else { text.clone() };
    let mut lines = expected.log.iter().map(without_blame).zip(observed.log.iter().map(without_blame));
    let first_different = lines.position(|(expected, observed)| expected != observed);
    let is_log_same = first_different.is_none() && expected.log.len() == observed.log.len();
    if is_log_same && without_blame(&expected.result) == without_blame(&observed.result) {
        return None;
    }
    let mut text = String::new();
    let same = first_different.unwrap_or(expected.log.len().min(observed.log.len()));
    for line in &expected.log[..same] {
        text += &format!("  {line}\n");
    }
    for (name, run) in [("simulator", expected), ("tinyield", observed)] {
        if !is_log_same {
            text += &format!("{name} goes on:\n");
            for line in &run.log[same..] {
                text += &format!("  {line}\n");
            }
        }
        text += &format!("{name} ends: {}\n", run.result);
    }
    Some(text)
}

/// `text` without the names of the coroutines that failed.
fn without_names(text: &str) -> String {
    let mut parts = text.split("(failed ");
    let mut plain = parts.next().unwrap_or_default().to_string();
    for part in parts {
        plain += "(failed";
        plain += part.trim_start_matches(|c: char| c == 'c' || c.is_ascii_digit());
    }
    plain
}

/// If the runs of `program` differ: the smallest program found that still shows a difference, printed, and that
/// difference.
///
/// It leaves out one thing at a time for as long as the runs differ.
pub fn smallest_difference(mut program: Program) -> Option<String> {
    let mut found = difference(&program)?;
    loop {
        let smaller = program.smaller().find_map(|smaller| difference(&smaller).map(|found| (smaller, found)));
        match smaller {
            Some(smaller) => (program, found) = smaller,
            None => return Some(format!("simulator and tinyield differ:\n{program}\n{found}")),
        }
    }
}
