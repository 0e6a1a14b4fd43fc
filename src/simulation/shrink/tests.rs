//! Which orders the search tries, and in how many runs.

use super::*;

#[test]
fn moved_finds_the_tasks_that_are_out_of_place() {
    assert!(moved(&[0, 1, 2, 3]).is_empty());
    assert_eq!(moved(&[3, 0, 1, 2]), [3]);
    assert_eq!(moved(&[1, 2, 3, 0]), [0]);
    assert_eq!(moved(&[0, 3, 1, 2, 4]), [3]);
    assert_eq!(moved(&[3, 2, 1, 0]).len(), 3);
}

#[test]
fn tasks_are_put_back_to_their_places() {
    assert_eq!(restored(&[3, 0, 1, 2], &[3]), [0, 1, 2, 3]);
    assert_eq!(restored(&[1, 2, 3, 0], &[0]), [0, 1, 2, 3]);
    assert_eq!(restored(&[3, 2, 1, 0], &[3, 2]), [1, 0, 2, 3]);
    // The other tasks stay out of place. The task goes to the place at which the fewest of the others are on its wrong side.
    assert_eq!(restored(&[2, 0, 1], &[1]), [1, 2, 0]);
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
    let smallest = shrink(Rounds::from([(1, RoundOrder::Drawn(1))]), trial(Some(&order)), fails, &mut Budget::new());
    smallest.record.reordered.first().map(|round| round.order.clone()).unwrap_or_default()
}

#[test]
fn a_failure_in_every_order_is_shrunk_to_no_reordering() {
    assert!(shrunk(vec![2, 1, 0], |_| true).is_empty());
}

#[test]
fn a_budget_reports_which_limit_was_exceeded() {
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
fn a_long_order_is_shrunk_to_one_exchange() {
    let order = vec![7, 3, 9, 0, 5, 1, 8, 2, 6, 4];
    let goes_before = |order: &[usize]| {
        let place = |task| order.iter().position(|&other| other == task);
        place(5) < place(4)
    };
    assert_eq!(shrunk(order, goes_before), [0, 1, 2, 3, 5, 4, 6, 7, 8, 9]);
}

#[test]
fn single_moves_put_one_task_first_or_last_and_begin_with_the_last_round() {
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
fn many_irrelevant_rounds_are_dropped_in_few_runs() {
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
fn two_moves_in_two_rounds_are_found_although_neither_fails_alone() {
    let order_of = |rounds: &Rounds, number| match rounds.get(&number) {
        Some(RoundOrder::Exactly(order)) => order.clone(),
        _ => vec![0, 1, 2],
    };
    let is_failure = |orders: &[Vec<usize>; 2]| *orders == [[2, 1, 0], [2, 1, 0]] || *orders == [[1, 0, 2], [0, 2, 1]];
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
