//! Shrinks the order of turns in which a program fails.
//!
//! Most bugs need only one task out of place. So orders with a single task out of place are tried first, from the last round to the
//! first, because the last rounds are the nearest to the failure. If none of them fails, whole rounds are set back to first in,
//! first out, as long as the program still fails (delta debugging: Zeller, Hildebrandt, "Simplifying and isolating failure-inducing
//! input", 2002). In the remaining rounds, tasks are put back to their places. If more than two tasks are still out of place,
//! orders with two tasks out of place are tried.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use super::trial::Trial;
use crate::scheduler::{Record, RoundOrder, RoundSize};

/// The rounds that are not first in, first out, by their number.
pub(super) type Rounds = BTreeMap<u64, RoundOrder>;

/// The limits of a search.
pub(super) struct Budget {
    runs: usize,
    until: Instant,
    exceeded: Option<Limit>,
}

/// The limit that cut a search short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    Runs,
    Time,
}

impl Budget {
    const RUNS: usize = 2_000;
    const TIME: Duration = Duration::from_secs(10);

    pub(super) fn new() -> Budget {
        Budget { runs: Budget::RUNS, until: Instant::now() + Budget::TIME, exceeded: None }
    }

    /// Takes one run out of the budget. False if there is none left.
    fn take_run(&mut self) -> bool {
        if self.runs == 0 {
            self.exceeded.get_or_insert(Limit::Runs);
        } else if Instant::now() >= self.until {
            self.exceeded.get_or_insert(Limit::Time);
        } else {
            self.runs -= 1;
        }
        self.exceeded.is_none()
    }

    /// The limit that was exceeded, if any was.
    pub(super) fn exceeded(&self) -> Option<Limit> {
        self.exceeded
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Limit::Runs => "it took too many runs",
            Limit::Time => "it took too long",
        })
    }
}

/// The smallest failing run that the search finds, starting from the run `first` with the order `all`. `fails` runs the program. If
/// the program fails in the same way, `fails` returns the run.
pub(super) fn shrink(
    all: Rounds,
    first: Trial,
    fails: impl FnMut(&Rounds) -> Option<Trial>,
    budget: &mut Budget,
) -> Trial {
    let sizes = first.record.sizes();
    let mut search = Search { fails, budget, best: first, rounds: all };
    if search.accept(Rounds::new()) || search.try_single_moves(&sizes) {
        return search.best;
    }
    search.drop_rounds();
    search.fix_orders();
    loop {
        let before = search.moves();
        search.put_back();
        search.drop_rounds();
        if search.moves() >= before {
            break;
        }
    }
    if search.moves() > 2 {
        search.try_pairs_of_moves(&sizes);
    }
    search.best
}

/// Searches for a run that passes, in which a single task is out of place. `failing` is the run in the order first in, first out,
/// which fails. `passes` runs the program, and returns the run if it passes.
pub(super) fn find_passing(
    failing: &Trial,
    passes: impl FnMut(&Rounds) -> Option<Trial>,
    budget: &mut Budget,
) -> Option<Trial> {
    let mut search = Search { fails: passes, budget, best: Trial::default(), rounds: Rounds::new() };
    search.try_single_moves(&failing.record.sizes()).then_some(search.best)
}

struct Search<'a, F> {
    /// Runs the program, and returns the run if the search looks for such a run.
    fails: F,
    budget: &'a mut Budget,
    /// The run with the order `rounds`.
    best: Trial,
    rounds: Rounds,
}

impl<F: FnMut(&Rounds) -> Option<Trial>> Search<'_, F> {
    /// Runs the program with the order `rounds`. If `fails` returns the run, `rounds` is the best order from now on.
    fn accept(&mut self, rounds: Rounds) -> bool {
        if !self.budget.take_run() {
            return false;
        }
        let Some(trial) = (self.fails)(&rounds) else { return false };
        (self.best, self.rounds) = (trial, rounds);
        true
    }

    /// How many tasks are out of place.
    fn moves(&self) -> usize {
        self.best.record.reordered.iter().map(|round| moved(&round.order).len()).sum()
    }

    /// Sets rounds back to first in, first out: half of them at a time, then a quarter, and so on.
    fn drop_rounds(&mut self) {
        let mut parts = 2;
        while self.rounds.len() > 1 {
            let numbers: Vec<u64> = self.rounds.keys().copied().collect();
            let size = numbers.len().div_ceil(parts);
            let is_smaller = numbers.chunks(size).any(|dropped| {
                let mut rounds = self.rounds.clone();
                rounds.retain(|number, _| !dropped.contains(number));
                self.accept(rounds)
            });
            match is_smaller {
                true => parts = 2.max(parts - 1),
                false if size == 1 => break,
                false => parts = (2 * parts).min(numbers.len()),
            }
        }
    }

    /// Fixes the order of each round to that of the best run, so that it stays the same when other rounds change.
    fn fix_orders(&mut self) {
        let exact = |round: &crate::scheduler::Round| (round.number, RoundOrder::Exactly(round.order.clone()));
        let rounds: Rounds = self.best.record.reordered.iter().map(exact).collect();
        self.accept(rounds);
    }

    /// The order of a round, if it is fixed.
    fn order(&self, number: u64) -> Option<Vec<usize>> {
        match self.rounds.get(&number) {
            Some(RoundOrder::Exactly(order)) => Some(order.clone()),
            _ => None,
        }
    }

    fn accept_order(&mut self, number: u64, order: Vec<usize>) -> bool {
        let mut rounds = self.rounds.clone();
        if order.is_sorted() {
            rounds.remove(&number);
        } else {
            rounds.insert(number, RoundOrder::Exactly(order));
        }
        self.accept(rounds)
    }

    /// Puts tasks back to their places, first many at a time and then one by one. Tasks that have to stay out of place are moved as
    /// near to their places as possible.
    fn put_back(&mut self) {
        for number in self.rounds.keys().copied().collect::<Vec<_>>() {
            let Some(order) = self.order(number) else { continue };
            let mut size = moved(&order).len().div_ceil(2);
            while size > 0 {
                let Some(order) = self.order(number) else { break };
                let out_of_place = moved(&order);
                let is_smaller =
                    out_of_place.chunks(size).any(|tasks| self.accept_order(number, restored(&order, tasks)));
                if !is_smaller {
                    size /= 2;
                }
            }
            let Some(order) = self.order(number) else { continue };
            for task in moved(&order) {
                self.move_less(number, task);
            }
        }
    }

    /// Moves `task` towards its place: by half of the way, then by a quarter, and so on.
    fn move_less(&mut self, number: u64, task: usize) {
        let mut step = usize::MAX;
        while step > 0 {
            let Some(order) = self.order(number) else { return };
            let Some(at) = order.iter().position(|&other| other == task) else { return };
            let home = restored(&order, &[task]).iter().position(|&other| other == task).unwrap_or(at);
            step = step.min(home.abs_diff(at) / 2);
            if step == 0 {
                step = usize::from(home.abs_diff(at) > 1);
            }
            if step == 0 {
                return;
            }
            let to = if home > at { at + step } else { at - step };
            if !self.accept_order(number, with_task_at(&order, task, to)) {
                if step == 1 {
                    return;
                }
                step /= 2;
            }
        }
    }

    /// Tries each order with a single task out of place.
    fn try_single_moves(&mut self, sizes: &[RoundSize]) -> bool {
        let is_found = single_moves(sizes).take(MAX_SINGLE_MOVES).any(|moves| self.accept(moves));
        if is_found {
            self.put_back();
        }
        is_found
    }

    /// Tries each order with two tasks out of place, in two rounds.
    fn try_pairs_of_moves(&mut self, sizes: &[RoundSize]) {
        let moves: Vec<Rounds> = single_moves(sizes).take(MAX_SINGLE_MOVES).collect();
        for (index, one) in moves.iter().enumerate() {
            for other in &moves[..index] {
                let both: Rounds = one.iter().chain(other).map(|(number, order)| (*number, order.clone())).collect();
                if both.len() == 2 && self.accept(both) {
                    return self.put_back();
                }
                if self.budget.exceeded().is_some() {
                    return;
                }
            }
        }
    }
}

/// How many single moves are tried at most. Each round of several tasks has at least one single move, so the search never needs the
/// sizes of more rounds than this.
const MAX_SINGLE_MOVES: usize = Record::MAX_SIZES;

/// The orders in which a single task has the first or the last turn of its round, for rounds of these sizes, from the last round
/// to the first.
fn single_moves(sizes: &[RoundSize]) -> impl Iterator<Item = Rounds> {
    sizes.iter().rev().flat_map(|&RoundSize { number, size }| {
        let tasks = move || 0..size;
        let first = tasks().skip(1).map(move |task| (task, 0));
        // In a round of two tasks, these orders are the same as those of `first`.
        let last = tasks().take(if size > 2 { size - 1 } else { 0 }).map(move |task| (task, size - 1));
        first.chain(last).map(move |(task, at)| {
            let order = with_task_at(&(0..size).collect::<Vec<_>>(), task, at);
            Rounds::from([(number, RoundOrder::Exactly(order))])
        })
    })
}

/// The fewest tasks that have to be taken out of `order` so that the others are in place: all tasks outside of a longest increasing
/// subsequence.
pub(super) fn moved(order: &[usize]) -> Vec<usize> {
    // For each length, the position of the smallest task that ends an increasing subsequence of that length.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(order.len());
    for (at, task) in order.iter().enumerate() {
        let length = ends.partition_point(|&end| order[end] < *task);
        before.push(length.checked_sub(1).map(|last| ends[last]));
        match ends.get_mut(length) {
            Some(end) => *end = at,
            None => ends.push(at),
        }
    }
    let mut in_place = BTreeSet::new();
    let mut next = ends.last().copied();
    while let Some(at) = next {
        in_place.insert(order[at]);
        next = before[at];
    }
    order.iter().copied().filter(|task| !in_place.contains(task)).collect()
}

/// `order`, with each of `tasks` put back to its place among the others.
fn restored(order: &[usize], tasks: &[usize]) -> Vec<usize> {
    let mut rest: Vec<usize> = order.iter().copied().filter(|task| !tasks.contains(task)).collect();
    let mut tasks = tasks.to_vec();
    tasks.sort_unstable();
    for task in tasks {
        // Finds the place at which the fewest other tasks are on the wrong side of `task`. Each step to the right passes one of the
        // other tasks.
        let mut wrong = rest.iter().filter(|&&other| other < task).count();
        let (mut at, mut fewest) = (0, wrong);
        for (passed, &other) in rest.iter().enumerate() {
            wrong = if other < task { wrong - 1 } else { wrong + 1 };
            if wrong < fewest {
                (at, fewest) = (passed + 1, wrong);
            }
        }
        rest.insert(at, task);
    }
    rest
}

/// `order` with `task` at another place.
fn with_task_at(order: &[usize], task: usize, at: usize) -> Vec<usize> {
    let mut order: Vec<usize> = order.iter().copied().filter(|&other| other != task).collect();
    order.insert(at.min(order.len()), task);
    order
}

#[cfg(test)]
mod tests;
