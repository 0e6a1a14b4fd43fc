//! The report of a failure.

use std::borrow::Cow;
use std::fmt;

use super::shrink::{Limit, moved};
use super::trial::{Kind, Trial};
use crate::scheduler::{Record, Round};
use crate::trace::Frame;

pub(super) struct Report {
    seed: u64,
    /// How many runs there were, including the one with this seed.
    runs: usize,
    failure: String,
    turns: usize,
    hash: u64,
    came_from_outside: bool,
    /// Whether an earlier run, with seed 0, has passed.
    seed_0_passed: bool,
    finding: Finding,
}

enum Finding {
    /// The second run with the same seed took other turns.
    NotRepeatable(String),
    /// The pairs of tasks that have to change places for the program to fail. In the failing run, the first of a pair goes before
    /// the second.
    Reordered { exchanges: Vec<(Frame, Frame)>, cut_short: Option<Limit> },
    /// The program fails in the order first in, first out. It passes when the tasks of `passes` change places. `passes` is empty if
    /// no such tasks were found. `passed_before` says whether an earlier run with seed 0 had passed.
    InPlace { passes: Vec<(Frame, Frame)>, cut_short: Option<Limit>, passed_before: bool },
}

impl Report {
    pub(super) fn new(seed: u64, runs: usize, seed_0_passed: bool, trial: &Trial) -> Report {
        Report {
            seed,
            runs,
            failure: trial.failure.as_ref().map(|failure| failure.text.clone()).unwrap_or_default(),
            turns: trial.record.turn_count(),
            hash: trial.record.hash(),
            came_from_outside: trial.came_from_outside,
            seed_0_passed,
            finding: Finding::Reordered { exchanges: Vec::new(), cut_short: None },
        }
    }

    /// Returns whether both runs with the seed were the same. If not, their difference becomes the finding of the report.
    pub(super) fn compare(&mut self, first: &Trial, second: &Trial) -> bool {
        self.came_from_outside |= second.came_from_outside;
        let (one, two) = (first.record.turns(), second.record.turns());
        let same = one.iter().zip(two).take_while(|(one, two)| one == two).count();
        let difference = if same < one.len().max(two.len()) {
            let (one, two) = (did_at(&first.record, same), did_at(&second.record, same));
            format!("they differ from turn {} on: the first {one}, the second {two}", same + 1)
        } else if first.record.hash() != second.record.hash() {
            format!("they differ somewhere after turn {same}")
        } else if first.kind() != second.kind() {
            match &second.failure {
                None => "the second took the same turns and did not fail".to_string(),
                Some(failure) => format!("the second took the same turns and failed differently: {}", failure.text),
            }
        } else {
            return true;
        };
        self.finding = Finding::NotRepeatable(difference);
        false
    }

    /// Finds the tasks that changed places in `smallest`, the smallest failing run. If the order of `smallest` is first in, first
    /// out, `passing` is a run that passes with a single task out of place, if such a run was found.
    pub(super) fn explain(&mut self, smallest: &Trial, passing: Option<&Trial>, cut_short: Option<Limit>) {
        // A livelock keeps the text of the first run, because this text has the number of rounds, and the runs of the search end
        // after fewer rounds.
        if let Some(failure) = smallest.failure.as_ref().filter(|failure| failure.kind != Kind::Livelock) {
            self.failure.clone_from(&failure.text);
        }
        let exchanges_of = |trial: &Trial| trial.record.reordered.iter().flat_map(exchanges).collect::<Vec<_>>();
        self.finding = if smallest.record.reordered.is_empty() {
            let passes = passing.map(exchanges_of).unwrap_or_default();
            Finding::InPlace { passes, cut_short, passed_before: self.seed_0_passed }
        } else {
            Finding::Reordered { exchanges: exchanges_of(smallest), cut_short }
        };
    }
}

/// Describes what the run did in its turn number `index`.
fn did_at(record: &Record, index: usize) -> String {
    let Some(turn) = record.turns().get(index) else { return "was over".into() };
    let name = record.name_of(turn.task).cloned().unwrap_or(Cow::Borrowed("a coroutine"));
    format!("ran {}", Place(&Frame::new(name, turn.location)))
}

/// The tasks of `round` that are out of place, each in a pair with a task that it changed places with. The first of a pair goes
/// before the second.
fn exchanges(round: &Round) -> Vec<(Frame, Frame)> {
    let frame = |task: usize| round.tasks.get(task).cloned();
    let exchange = |task: usize| {
        let at = round.order.iter().position(|&other| other == task)?;
        let (before, after) = round.order.split_at(at);
        // The nearest task that was ready earlier than `task`, but goes after it in this round.
        let passed = after.iter().copied().find(|&other| other < task).map(|other| (task, other));
        let (first, second) =
            passed.or_else(|| before.iter().rev().copied().find(|&other| other > task).map(|other| (other, task)))?;
        Some((frame(first)?, frame(second)?))
    };
    moved(&round.order).into_iter().filter_map(exchange).collect()
}

/// `pay (bank.rs:12)`
struct Place<'a>(&'a Frame);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let location = self.0.location();
        write!(f, "{} ({}:{})", self.0.name(), location.file(), location.line())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { seed, runs, failure, turns, hash, .. } = self;
        writeln!(f, "the simulation fails with seed {seed} (run {runs}, {turns} turns, hash {hash:016x})")?;
        writeln!(f, "\n{failure}\n")?;
        match &self.finding {
            Finding::NotRepeatable(difference) => {
                writeln!(f, "two runs with this seed are not the same: {difference}")?;
                f.write_str(if self.came_from_outside {
                    "this is because something came from outside of the loop, such as from a thread or a foreign waker: no seed decides \
                     when it comes\n"
                } else {
                    "so the program depends on something besides the seed: the order of a `HashMap`, the time of the machine, a random \
                     number, or what an earlier run has left behind\n"
                })?;
            }
            Finding::InPlace { passed_before: true, .. } => {
                f.write_str(
                    "fails without any reordering, although seed 0 passed before, in the same order: an earlier run has left something \
                     behind; make all that a run uses inside of the program\n",
                )?;
            }
            Finding::InPlace { passes, cut_short, .. } => {
                if passes.is_empty() {
                    writeln!(f, "fails without any reordering: also with seed 0, first in, first out")?;
                    if let Some(limit) = cut_short {
                        writeln!(f, "(the search for an order in which it passes was cut short, as {limit})")?;
                    }
                } else {
                    for (first, second) in passes {
                        let (first, second) = (Place(first), Place(second));
                        writeln!(f, "fails when {second} goes before {first}, and passes the other way round")?;
                    }
                    writeln!(f, "(that is their order without any reordering, with seed 0)")?;
                }
            }
            Finding::Reordered { exchanges, cut_short } => {
                for (index, (first, second)) in exchanges.iter().enumerate() {
                    let begin = if index == 0 { "fails when" } else { "       and" };
                    write!(f, "{begin} {} goes before {}", Place(first), Place(second))?;
                    writeln!(f, "{}", if first == second { ", which was ready earlier" } else { "" })?;
                }
                if exchanges.is_empty() {
                    writeln!(f, "fails in an order for which no simpler one was found")?;
                }
                if let Some(limit) = cut_short {
                    writeln!(f, "(the search for a simpler order was cut short, as {limit})")?;
                }
            }
        }
        let is_explained = matches!(self.finding, Finding::NotRepeatable(_));
        if self.came_from_outside && !is_explained {
            f.write_str(
                "something came from outside, such as from a thread or a foreign future: another run with this seed need not fail\n",
            )?;
        }
        write!(f, "to run this seed alone: {}={seed}", super::SEED_VARIABLE)
    }
}
