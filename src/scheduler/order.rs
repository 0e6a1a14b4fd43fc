//! The order of the turns in a round: first in, first out, or a permutation that is drawn from a seed.
//!
//! The order that a seed gives never changes: a seed gives the same turns in each later version. The generator is SplitMix64
//! (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014). Let `s` be the first number that it gives for
//! the seed. The permutation of round `r`, counted from 1, is drawn by a generator that starts at `s + r`. The index `last`
//! goes from the number of tasks less one down to 1. For each `last`, that generator gives a number `x`, and the tasks at
//! `last` and at `x * (last + 1) / 2^64` are exchanged (Fisher, Yates). Seed 0 draws nothing, and neither does a round of one
//! task.
//!
//! The order of each round is drawn independently of the other rounds. So one round can be set back to first in, first out,
//! without a change of the others.

use std::collections::BTreeMap;
use std::rc::Rc;

/// The order of the rounds of a run.
#[derive(Clone, Debug, Default)]
pub(crate) enum Order {
    #[default]
    FirstInFirstOut,
    /// Each round is drawn from the seed.
    Seeded(u64),
    /// The order of each listed round, by its number. All other rounds are first in, first out.
    Given(Rc<BTreeMap<u64, RoundOrder>>),
}

/// The order of one round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RoundOrder {
    Drawn(u64),
    /// For each turn, the index of its task in the order in which the tasks became ready.
    Exactly(Vec<usize>),
}

impl Order {
    pub(crate) fn of_seed(seed: u64) -> Order {
        if seed == 0 { Order::FirstInFirstOut } else { Order::Seeded(seed) }
    }

    pub(crate) fn given(rounds: BTreeMap<u64, RoundOrder>) -> Order {
        Order::Given(Rc::new(rounds))
    }

    /// The seed that gives this order, if there is such a seed.
    pub(super) fn seed(&self) -> Option<u64> {
        match self {
            Order::FirstInFirstOut => Some(0),
            Order::Seeded(seed) => Some(*seed),
            Order::Given(_) => None,
        }
    }

    pub(super) fn is_first_in_first_out(&self) -> bool {
        matches!(self, Order::FirstInFirstOut)
    }

    /// The order of the round with number `round` and `count` tasks: for each turn, the index of its task. `None` means first
    /// in, first out.
    pub(super) fn of_round(&self, round: u64, count: usize) -> Option<Vec<usize>> {
        let order = match self {
            Order::FirstInFirstOut => None,
            Order::Seeded(seed) => Some(draw(*seed, round, count)),
            Order::Given(rounds) => rounds.get(&round).map(|order| match order {
                RoundOrder::Drawn(seed) => draw(*seed, round, count),
                RoundOrder::Exactly(order) => fitted(order, count),
            }),
        };
        order.filter(|order| !order.is_sorted())
    }
}

/// Fits `order` to a round of `count` tasks. The round may have fewer or more tasks than `order`.
fn fitted(order: &[usize], count: usize) -> Vec<usize> {
    order.iter().copied().filter(|&index| index < count).chain(order.len()..count).collect()
}

/// Draws a permutation of the numbers from 0 to `count - 1`.
fn draw(seed: u64, round: u64, count: usize) -> Vec<usize> {
    let mut numbers = SplitMix64(SplitMix64(seed).next().wrapping_add(round));
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        order.swap(last, numbers.below(last + 1));
    }
    order
}

/// A generator of random numbers. The field is its state.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ (number >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        let product = u128::from(self.next()) * limit as u128;
        (product >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference implementation gives these numbers for the state 1234567.
    #[test]
    fn the_numbers_are_those_of_split_mix_64() {
        let mut numbers = SplitMix64(1_234_567);
        let first: Vec<u64> = (0..3).map(|_| numbers.next()).collect();
        assert_eq!(first, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn the_permutations_of_a_seed_stay_the_same() {
        assert_eq!(draw(421, 1, 8), [7, 1, 2, 4, 0, 3, 6, 5]);
    }

    #[test]
    fn each_permutation_of_a_round_is_drawn_equally_often() {
        let mut counts = BTreeMap::new();
        for seed in 1..=6_000 {
            *counts.entry(draw(seed, 1, 3)).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 6);
        assert!(counts.values().all(|count| (850..1_150).contains(count)), "{counts:?}");
    }

    #[test]
    fn an_exact_order_fits_rounds_of_other_lengths() {
        assert_eq!(fitted(&[2, 0, 1], 3), [2, 0, 1]);
        assert_eq!(fitted(&[2, 0, 1], 2), [0, 1]);
        assert_eq!(fitted(&[2, 0, 1], 5), [2, 0, 1, 3, 4]);
    }

    #[test]
    fn first_in_first_out_is_seed_0() {
        assert_eq!(Order::of_seed(0).of_round(1, 9), None);
        assert!(Order::of_seed(1).of_round(1, 9).is_some());
    }
}
