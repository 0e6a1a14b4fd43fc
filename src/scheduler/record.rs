//! What a simulated run did: its turns, and the rounds that were not first in, first out.
//!
//! Some runs never end, and the record of such a run must not use up the memory. So the record keeps the first turns and
//! rounds, and a hash of all later turns.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::panic::Location;

use crate::trace::Frame;

#[derive(Debug, Default)]
pub(crate) struct Record {
    /// The first turns.
    turns: Vec<Turn>,
    turn_count: usize,
    hash_of_later_turns: u64,
    /// The name of each task that had one of the first turns, by its id.
    names: BTreeMap<u64, Cow<'static, str>>,
    /// The last rounds in which several tasks were ready when they began.
    sizes: VecDeque<RoundSize>,
    /// The first rounds that were not first in, first out.
    pub(crate) reordered: Vec<Round>,
    /// How many tasks are in the orders of these rounds.
    reordered_tasks: usize,
    /// Whether to note the tasks of the reordered rounds.
    pub(super) with_tasks: bool,
}

/// One turn: the id of the task, and the line at which the task continued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) task: u64,
    pub(crate) location: &'static Location<'static>,
}

/// How many tasks were ready when a round began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RoundSize {
    pub(crate) number: u64,
    pub(crate) size: usize,
}

/// A round that was not first in, first out.
#[derive(Clone, Debug)]
pub(crate) struct Round {
    pub(crate) number: u64,
    /// For each turn, the index of its task in the order in which the tasks became ready.
    pub(crate) order: Vec<usize>,
    /// The tasks, in the order in which they became ready: the name of each, and the line at which it continues. Empty if tasks
    /// are not noted.
    pub(crate) tasks: Vec<Frame>,
}

impl Record {
    /// How many turns are kept.
    pub(crate) const MAX_TURNS: usize = 1 << 20;
    /// The maximum number of tasks in all kept orders together.
    const MAX_REORDERED_TASKS: usize = 1 << 20;
    /// How many rounds of several tasks are kept. The search for a failing order does not look at more rounds.
    pub(crate) const MAX_SIZES: usize = 800;

    pub(crate) fn new(with_tasks: bool) -> Record {
        Record { with_tasks, ..Record::default() }
    }

    /// `is_first` says whether this is the first turn of its task. If it is, and if the turn is kept, `name` is called for the
    /// name of the task.
    pub(super) fn add_turn(&mut self, turn: Turn, is_first: bool, name: impl FnOnce() -> Cow<'static, str>) {
        self.turn_count += 1;
        if self.turns.len() == Record::MAX_TURNS {
            let words = [turn.task, u64::from(turn.location.line()), u64::from(turn.location.column())];
            self.hash_of_later_turns = words.into_iter().fold(self.hash_of_later_turns, hash_word);
            return;
        }
        self.turns.push(turn);
        if is_first {
            self.names.insert(turn.task, name());
        }
    }

    pub(crate) fn add_size(&mut self, number: u64, size: usize) {
        if size > 1 {
            self.sizes.push_back(RoundSize { number, size });
            if self.sizes.len() > Record::MAX_SIZES {
                self.sizes.pop_front();
            }
        }
    }

    pub(super) fn add_reordered(&mut self, round: Round) {
        self.reordered_tasks = self.reordered_tasks.saturating_add(round.order.len());
        if self.reordered_tasks <= Record::MAX_REORDERED_TASKS {
            self.reordered.push(round);
        }
    }

    /// The first turns, up to [`MAX_TURNS`](Record::MAX_TURNS).
    pub(crate) fn turns(&self) -> &[Turn] {
        &self.turns
    }

    pub(crate) fn turn_count(&self) -> usize {
        self.turn_count
    }

    /// The name of a task that had one of the first turns.
    pub(crate) fn name_of(&self, task: u64) -> Option<&Cow<'static, str>> {
        self.names.get(&task)
    }

    /// The last rounds in which several tasks were ready, first to last.
    pub(crate) fn sizes(&self) -> Vec<RoundSize> {
        self.sizes.iter().copied().collect()
    }

    /// A hash of all turns (FNV-1a). It does not depend on the machine.
    pub(crate) fn hash(&self) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325;
        for Turn { task, location } in &self.turns {
            hash = location.file().bytes().map(u64::from).fold(hash, hash_word);
            let numbers = [*task, u64::from(location.line()), u64::from(location.column())];
            hash = numbers.iter().flat_map(|number| number.to_le_bytes()).map(u64::from).fold(hash, hash_word);
        }
        if self.turn_count > self.turns.len() { hash_word(hash, self.hash_of_later_turns) } else { hash }
    }
}

/// One step of FNV-1a, for a whole word instead of a byte.
fn hash_word(hash: u64, word: u64) -> u64 {
    (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(task: u64) -> Turn {
        Turn { task, location: Location::caller() }
    }

    #[test]
    fn a_record_keeps_a_bounded_number_of_turns_and_a_hash_of_all() {
        let record = |last: u64| {
            let mut record = Record::default();
            for task in 0..Record::MAX_TURNS as u64 + 10 {
                record.add_turn(turn(task % 3), false, || unreachable!());
            }
            record.add_turn(turn(last), true, || unreachable!());
            record
        };
        let (one, same, other) = (record(1), record(1), record(2));
        assert_eq!(one.turns().len(), Record::MAX_TURNS);
        assert_eq!(one.turn_count(), Record::MAX_TURNS + 11);
        assert_eq!(one.hash(), same.hash());
        assert_ne!(one.hash(), other.hash());
    }

    #[test]
    fn a_record_keeps_the_last_rounds_of_several_tasks() {
        let mut record = Record::default();
        for number in 1..=2_000 {
            record.add_size(number, if number % 2 == 0 { 3 } else { 1 });
        }
        let sizes = record.sizes();
        assert_eq!(sizes.len(), Record::MAX_SIZES);
        assert_eq!(sizes.last(), Some(&RoundSize { number: 2_000, size: 3 }));
    }

    #[test]
    fn a_record_keeps_a_bounded_number_of_orders() {
        let mut record = Record::default();
        for number in 1..=3_000 {
            record.add_reordered(Round { number, order: (0..1_000).rev().collect(), tasks: Vec::new() });
        }
        assert_eq!(record.reordered.len(), Record::MAX_REORDERED_TASKS / 1_000);
    }
}
