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

    /// The limit that refused a run.
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

/// For a program that fails first in, first out, as in the run `failing`: searches for a run with a single task out of place that
/// passes. `passes` runs the program, and returns the run if it passes.
pub(super) fn find_passing(
    failing: &Trial,
    passes: impl FnMut(&Rounds) -> Option<Trial>,
    budget: &mut Budget,
) -> Option<Trial> {
    let mut search = Search { fails: passes, budget, best: Trial::default(), rounds: Rounds::new() };
    search.try_single_moves(&failing.record.sizes()).then_some(search.best)
}

struct Search<'a, F> {
    /// Runs the program, and returns the run if it is one that the search looks for.
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
                    out_of_place.chunks(size).any(|tasks| self.accept_order(number, without(&order, tasks)));
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
            let home = without(&order, &[task]).iter().position(|&other| other == task).unwrap_or(at);
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

/// The most single moves that are tried. Each round of several tasks has at least one single move, so no more rounds than this are
/// looked at.
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

/// The fewest tasks that have to be taken out of `order` so that the others are in place: all but a longest increasing sequence.
pub(super) fn moved(order: &[usize]) -> Vec<usize> {
    // For each length, the position of the smallest task that ends an increasing sequence of that length.
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
fn without(order: &[usize], tasks: &[usize]) -> Vec<usize> {
    let mut rest: Vec<usize> = order.iter().copied().filter(|task| !tasks.contains(task)).collect();
    let mut tasks = tasks.to_vec();
    tasks.sort_unstable();
    for task in tasks {
        // Finds the place at which the fewest other tasks are on the wrong side of `task`. Each step to the right passes one of
        // them.
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
mod tests {
    use super::*;

    #[test]
    fn a_task_out_of_place_is_found() {
        assert!(moved(&[0, 1, 2, 3]).is_empty());
        assert_eq!(moved(&[3, 0, 1, 2]), [3]);
        assert_eq!(moved(&[1, 2, 3, 0]), [0]);
        assert_eq!(moved(&[0, 3, 1, 2, 4]), [3]);
        assert_eq!(moved(&[3, 2, 1, 0]).len(), 3);
    }

    #[test]
    fn tasks_are_put_back_to_their_places() {
        assert_eq!(without(&[3, 0, 1, 2], &[3]), [0, 1, 2, 3]);
        assert_eq!(without(&[1, 2, 3, 0], &[0]), [0, 1, 2, 3]);
        assert_eq!(without(&[3, 2, 1, 0], &[3, 2]), [1, 0, 2, 3]);
        assert_eq!(with_task_at(&[0, 1, 2, 3], 3, 1), [0, 3, 1, 2]);
    }

    /// Shrinks the order of one round. A run fails if `is_failure` is true for its order.
    fn shrunk(order: Vec<usize>, is_failure: fn(&[usize]) -> bool) -> Vec<usize> {
        let size = order.len();
        let trial = |order: Option<&Vec<usize>>| {
            let mut trial = Trial::default();
            trial.record.add_size(1, size);
            if let Some(order) = order.filter(|order| !order.is_sorted()) {
                let round = crate::scheduler::Round { number: 1, order: order.clone(), tasks: Vec::new() };
                trial.record.reordered.push(round);
            }
            trial
        };
        let first_in_first_out: Vec<usize> = (0..size).collect();
        let fails = |rounds: &Rounds| match rounds.get(&1) {
            Some(RoundOrder::Exactly(order)) => is_failure(order).then(|| trial(Some(order))),
            Some(RoundOrder::Drawn(_)) => Some(trial(Some(&order))),
            None => is_failure(&first_in_first_out).then(|| trial(None)),
        };
        let smallest =
            shrink(Rounds::from([(1, RoundOrder::Drawn(1))]), trial(Some(&order)), fails, &mut Budget::new());
        smallest.record.reordered.first().map(|round| round.order.clone()).unwrap_or_default()
    }

    #[test]
    fn an_order_that_plays_no_part_is_left_out() {
        assert!(shrunk(vec![2, 1, 0], |_| true).is_empty());
    }

    #[test]
    fn a_budget_names_the_limit_that_ended_it() {
        let mut few = Budget { runs: 1, ..Budget::new() };
        assert!(few.take_run());
        assert_eq!(few.exceeded(), None);
        assert!(!few.take_run());
        assert_eq!(few.exceeded(), Some(Limit::Runs));
        let mut short = Budget { until: Instant::now(), ..Budget::new() };
        assert!(!short.take_run());
        assert_eq!(short.exceeded(), Some(Limit::Time));
    }

    #[test]
    fn one_exchange_is_all_that_is_left_of_a_long_order() {
        let order = vec![7, 3, 9, 0, 5, 1, 8, 2, 6, 4];
        let goes_before = |order: &[usize]| {
            let place = |task| order.iter().position(|&other| other == task);
            place(5) < place(4)
        };
        assert_eq!(shrunk(order, goes_before), [0, 1, 2, 3, 5, 4, 6, 7, 8, 9]);
    }

    #[test]
    fn single_moves_are_all_orders_with_a_task_at_the_begin_or_the_end_from_the_last_round_on() {
        let sizes = [RoundSize { number: 1, size: 2 }, RoundSize { number: 4, size: 3 }];
        let orders: Vec<(u64, Vec<usize>)> = single_moves(&sizes)
            .flatten()
            .map(|(number, order)| match order {
                RoundOrder::Exactly(order) => (number, order),
                RoundOrder::Drawn(seed) => panic!("drawn with {seed}"),
            })
            .collect();
        let of_three = [[1, 0, 2], [2, 0, 1], [1, 2, 0], [0, 2, 1]].map(|order| (4, order.to_vec()));
        assert_eq!(orders, [&of_three[..], &[(1, vec![1, 0])]].concat());
    }

    #[test]
    fn many_rounds_that_play_no_part_are_dropped_in_few_runs() {
        const ROUNDS: u64 = 256;
        let swapped = |number| crate::scheduler::Round { number, order: vec![1, 0], tasks: Vec::new() };
        let trial = |rounds: &Rounds| {
            let mut trial = Trial::default();
            trial.record.reordered.extend(rounds.keys().copied().map(swapped));
            trial
        };
        let mut runs = 0;
        let all: Rounds = (0..ROUNDS).map(|number| (number, RoundOrder::Exactly(vec![1, 0]))).collect();
        let fails = |rounds: &Rounds| {
            runs += 1;
            rounds.contains_key(&100).then(|| trial(rounds))
        };
        let smallest = shrink(all.clone(), trial(&all), fails, &mut Budget::new());
        let numbers: Vec<u64> = smallest.record.reordered.iter().map(|round| round.number).collect();
        assert_eq!(numbers, [100]);
        assert!(runs <= 40, "{runs} runs");
    }

    #[test]
    fn two_moves_in_two_rounds_are_found_although_no_step_leads_there() {
        let order_of = |rounds: &Rounds, number| match rounds.get(&number) {
            Some(RoundOrder::Exactly(order)) => order.clone(),
            _ => vec![0, 1, 2],
        };
        let is_failure =
            |orders: &[Vec<usize>; 2]| *orders == [[2, 1, 0], [2, 1, 0]] || *orders == [[1, 0, 2], [0, 2, 1]];
        let trial = |orders: [Vec<usize>; 2]| {
            let mut trial = Trial::default();
            for (number, order) in (1..).zip(orders) {
                trial.record.add_size(number, 3);
                trial.record.reordered.push(crate::scheduler::Round { number, order, tasks: Vec::new() });
            }
            trial
        };
        let fails = |rounds: &Rounds| {
            let orders = [1, 2].map(|number| order_of(rounds, number));
            is_failure(&orders).then(|| trial(orders))
        };
        let all = Rounds::from([1, 2].map(|number| (number, RoundOrder::Exactly(vec![2, 1, 0]))));
        let first = trial([1, 2].map(|number| order_of(&all, number)));
        let smallest = shrink(all, first, fails, &mut Budget::new());
        let orders: Vec<Vec<usize>> = smallest.record.reordered.into_iter().map(|round| round.order).collect();
        assert_eq!(orders, [[1, 0, 2], [0, 2, 1]]);
    }
}
