//! Programs of coroutines, run on tinyield and on a naive simulator of what it promises, and compared.

pub mod interpreter;
pub mod program;
pub mod simulator;

use program::{Drive, Program};

/// What can be seen of a run.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    pub result: String,
    /// What happened, in order.
    pub log: Vec<String>,
    /// The machine did something else for so long that what was to happen one after the other may have happened at once.
    pub is_late: bool,
    /// Several coroutines are to blame, and nothing says which of them is called by its name.
    pub is_blame_open: bool,
    /// Nothing says what is to happen.
    pub is_undecided: bool,
}

/// In microseconds. What was late is tried again, slower.
const UNITS: [u64; 3] = [40, 400, 4_000];

/// How the program's two runs differ, if they do.
pub fn difference(program: &Program) -> Option<String> {
    let expected = simulator::run(program);
    if expected.is_undecided {
        return None;
    }
    let mut runs = UNITS.iter().map(|&unit| interpreter::run(program, unit));
    let observed = runs.find(|observed| !observed.is_late)?;
    compare(&expected, &observed)
}

fn compare(expected: &Observed, observed: &Observed) -> Option<String> {
    let blame = |text: &String| if expected.is_blame_open { without_names(text) } else { text.clone() };
    let mut lines = expected.log.iter().map(blame).zip(observed.log.iter().map(blame));
    let same = lines.position(|(expected, observed)| expected != observed);
    let length = expected.log.len().min(observed.log.len());
    let is_log_same = same.is_none() && expected.log.len() == observed.log.len();
    if is_log_same && blame(&expected.result) == blame(&observed.result) {
        return None;
    }
    let mut text = String::new();
    let same = same.unwrap_or(length);
    for line in &expected.log[..same] {
        text += &format!("  {line}\n");
    }
    for (who, log, result) in
        [("simulator", &expected.log, &expected.result), ("tinyield", &observed.log, &observed.result)]
    {
        if !is_log_same {
            text += &format!("{who} goes on:\n");
            for line in &log[same..] {
                text += &format!("  {line}\n");
            }
        }
        text += &format!("{who} ends: {result}\n");
    }
    Some(text)
}

/// With the names of those who failed left out.
fn without_names(text: &str) -> String {
    let mut parts = text.split("(failed ");
    let mut plain = parts.next().unwrap_or_default().to_string();
    for part in parts {
        plain += "(failed";
        plain += part.trim_start_matches(|c: char| c == 'c' || c.is_ascii_digit());
    }
    plain
}

/// If the runs of `program` differ: how those of a program do that is as small as could be made of it by leaving things out.
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

/// Whether ticks are told by the clock.
fn has_clock(drive: Drive) -> bool {
    drive != Drive::Run
}
