//! The figures of a workload, over all rounds.

use super::args::Args;
use super::child;
use super::workload::{Contender, Kind, Measured, Workload};

/// The runs of one contender.
pub struct Entry {
    pub name: &'static str,
    pub kind: Kind,
    runs: Vec<Measured>,
    pub failure: Option<String>,
}

impl Entry {
    fn new(contender: &Contender) -> Self {
        Self { name: contender.name, kind: contender.kind, runs: vec![], failure: None }
    }

    /// Adds one more run, unless one has failed.
    fn add(&mut self, measure: impl FnOnce() -> Result<Measured, String>) {
        if self.failure.is_none() {
            match measure() {
                Ok(measured) => self.runs.push(measured),
                Err(complaint) => self.failure = Some(complaint),
            }
        }
    }

    pub fn note(&self) -> Option<&str> {
        self.runs.iter().find_map(|run| run.note.as_deref())
    }

    /// The figures in one unit, in the order of the rounds.
    pub fn figures(&self, unit: usize) -> Vec<f64> {
        self.runs.iter().map(|run| run.figures[unit]).collect()
    }

    /// Minimum, median and maximum. `None` if a run failed.
    pub fn spread(&self, unit: usize) -> Option<[f64; 3]> {
        let mut figures = self.figures(unit);
        if self.failure.is_some() || figures.is_empty() {
            return None;
        }
        figures.sort_by(f64::total_cmp);
        let middle = figures.len() / 2;
        let median =
            if figures.len() % 2 == 1 { figures[middle] } else { f64::midpoint(figures[middle - 1], figures[middle]) };
        Some([figures[0], median, figures[figures.len() - 1]])
    }
}

/// Runs every contender once per round, in an order that rotates from round to round, so that
/// other load on the machine affects all of them alike.
pub fn gather(workload: &Workload, args: &Args) -> Vec<Entry> {
    let wanted = workload.contenders.iter().filter(|contender| args.wants_contender(contender.name));
    let (contenders, mut entries): (Vec<&Contender>, Vec<Entry>) =
        wanted.map(|contender| (contender, Entry::new(contender))).unzip();
    let count = contenders.len();
    for round in 0..args.rounds {
        for turn in 0..count {
            let turn = (round + turn) % count;
            entries[turn].add(|| child::measure(workload, contenders[turn]));
        }
    }
    entries
}

/// The best median of the contenders of one kind.
pub fn best(entries: &[Entry], kind: Kind, unit: usize) -> Option<f64> {
    let medians = entries.iter().filter(|entry| entry.kind == kind).filter_map(|entry| Some(entry.spread(unit)?[1]));
    medians.min_by(f64::total_cmp)
}
