//! Simulations run a program with many seeds. They report a failure together with the order of turns that causes it.
//!
//! Most tests need only [`Simulation`].

mod hook;
mod report;
mod shrink;
mod trial;

use std::fmt;
use std::panic::Location;
use std::time::Duration;

use crate::error::Grouping;
use crate::event_loop::timer_slack;
use crate::scheduler::{Order, RoundOrder};
use crate::waiting::Wait;
// A `Trial` is one run. `shrink` looks for the smallest change of the order that makes the program fail. A `Report` describes the
// failure.
use report::Report;
use shrink::{Budget, Rounds};
use trial::{Mode, Program, Trial};

/// Runs a program in [simulated](crate::Builder::simulated) loops, with one seed after another, to find an order of turns in which
/// the program fails. It is for tests. By default, the seeds are 0 to 99.
///
/// Each run has a virtual clock, and an order of turns that is drawn from its seed. A run fails if it ends with an error or panics,
/// so an `assert!` in a coroutine is a check. When a run fails, [`check`](Simulation::check) panics with a report: the error with
/// its trace, the seed, and the fewest turns that have to change places to make the program fail.
///
/// ```should_panic
/// use std::cell::Cell;
/// use std::rc::Rc;
/// use tinyield::{Coro, Simulation, co, coro};
///
/// type Account = Rc<Cell<i32>>;
///
/// #[coro]
/// fn transfer(from: Account, to: Account, amount: i32) -> Coro<()> {
///     if from.get() >= amount {
///         yield; // other coroutines have their turns here
///         from.set(from.get() - amount);
///         to.set(to.get() + amount);
///     }
/// }
///
/// #[coro]
/// fn close(account: Account, other: Account) -> Coro<()> {
///     yield;
///     other.set(other.get() + account.replace(0));
/// }
///
/// /// Makes new accounts for each run.
/// fn close_during_a_transfer() -> Coro<()> {
///     let (savings, current) = (Account::new(Cell::new(100)), Account::new(Cell::new(0)));
///     co! {
///         yield (transfer(savings.clone(), current.clone(), 70), close(savings.clone(), current.clone()));
///         assert!(savings.get() >= 0, "the balance is {}", savings.get());
///     }
/// }
///
/// Simulation::new().seeds(0..1000).check(close_during_a_transfer);
/// ```
///
/// This example panics, because the assertion fails if `close` goes first. `cargo run --example bank` prints the report:
///
/// ```text
/// the simulation fails with seed 4 (run 5, 6 turns, hash aef7cefc556daa67)
///
/// `co!` panicked: the balance is -70
///   panicked at examples/bank.rs:34:9
///
/// fails when close (examples/bank.rs:25) goes before transfer (examples/bank.rs:17)
/// to run this seed alone: TINYIELD_SEED=4
/// ```
///
/// The hash is computed from the coroutine and the line of every turn. If it is the same on another machine, all turns were the
/// same.
///
/// A loop runs in rounds: in each round, every coroutine that was ready when the round began has one turn. A seed changes the order of
/// the turns within a round, but not the round in which a turn takes place. A coroutine that is started has its first turn in the next
/// round.
///
/// The seeds are the same each time, so the test gives the same result each time. To run only the seed of a report, with the usual
/// output of panics, set `TINYIELD_SEED`. The variable affects all simulations of the process, so name the test:
///
/// ```text
/// TINYIELD_SEED=4 cargo test close_during_a_transfer
/// ```
#[must_use = "nothing runs before `check`"]
pub struct Simulation {
    seeds: Box<dyn Iterator<Item = u64>>,
    grouping: Grouping,
    timer_slack: Duration,
    max_rounds: u64,
}

/// The result of a [`Simulation`] in which no run failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    runs: usize,
    came_from_outside: bool,
}

impl Checked {
    /// How many runs there were, one for each seed.
    #[must_use]
    pub fn runs(&self) -> usize {
        self.runs
    }

    /// Whether anything [came from outside](crate::Loop::came_from_outside) in any of the runs, such as from a thread. If so, the
    /// same seeds may take other turns the next time.
    #[must_use]
    pub fn came_from_outside(&self) -> bool {
        self.came_from_outside
    }
}

/// If this environment variable is set, [`Simulation::check`] runs only the seed in it.
const SEED_VARIABLE: &str = "TINYIELD_SEED";

impl Simulation {
    /// A simulation with the seeds from 0 to 99. [`seeds`](Simulation::seeds) sets others.
    pub fn new() -> Simulation {
        Simulation {
            seeds: Box::new(0..100),
            grouping: Grouping::default(),
            timer_slack: Duration::ZERO,
            max_rounds: 1 << 20,
        }
    }

    /// Sets the seeds. Seed 0 is first in, first out, as in a loop that is not simulated.
    pub fn seeds<S>(mut self, seeds: S) -> Simulation
    where
        S: IntoIterator<Item = u64>,
        S::IntoIter: 'static,
    {
        self.seeds = Box::new(seeds.into_iter());
        self
    }

    /// Several errors may come up while a loop stops. This sets which of them are kept and reported.
    pub fn grouping(mut self, grouping: Grouping) -> Simulation {
        self.grouping = grouping;
        self
    }

    /// Sets the slack of the timers, as [`Builder::timer_slack`](crate::Builder::timer_slack) does. Use the slack of the loop that
    /// runs the program outside of tests: with it, timers that are close together fire in one round, in an order that depends on
    /// the seed.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tinyield::{Simulation, co, now, sleep};
    ///
    /// const MS: Duration = Duration::from_millis(1);
    ///
    /// Simulation::new().timer_slack(5 * MS).check(|| co! {
    ///     let start = yield now();
    ///     yield sleep(10 * MS);
    ///     assert_eq!((yield now()) - start, 15 * MS);
    /// });
    /// ```
    ///
    /// # Panics
    ///
    /// If `slack` is longer than a minute.
    #[track_caller]
    pub fn timer_slack(mut self, slack: Duration) -> Simulation {
        self.timer_slack = timer_slack::checked(slack);
        self
    }

    /// Sets for how many rounds the clock may stand still before the run fails with a livelock. The default is 1,048,576.
    ///
    /// A coroutine that checks a condition again and again, such as `while !is_done.get() { yield; }`, is always ready, so the
    /// clock never moves. A computation of very many turns looks like a livelock, too. So allow more rounds for such a computation.
    /// Rounds do not count while something outside, such as a thread, may wake the loop.
    ///
    /// # Panics
    ///
    /// If `rounds` is 0.
    pub fn livelock_after(mut self, rounds: u64) -> Simulation {
        assert!(rounds > 0, "a program needs a round to run; give it some, such as `.livelock_after(1_000_000)`");
        self.max_rounds = rounds;
        self
    }

    /// For each seed, calls `program`, and runs the wait that `program` returns. Make all state of a run inside of `program`: state
    /// that two runs share can make the runs differ.
    ///
    /// If a run fails, its seed is run again. If both runs took the same turns, further runs search for the fewest turns that have
    /// to change places to cause the same failure. The search takes at most 2,000 runs and 10 seconds.
    ///
    /// # Panics
    ///
    /// If a run fails: the message is the report. If there are no seeds. If the value of `TINYIELD_SEED` is not a seed.
    #[track_caller]
    pub fn check<W, P>(self, program: P) -> Checked
    where
        W: Wait,
        P: Fn() -> W,
    {
        let location = Location::caller();
        let Simulation { seeds, grouping, timer_slack, max_rounds } = self;
        let program = Program { build: &program, grouping, timer_slack, max_rounds, location };
        if let Some(seed) = seed_of(std::env::var_os(SEED_VARIABLE)) {
            return check_all(&program, [seed], true);
        }
        check_all(&program, seeds, false)
    }
}

impl Default for Simulation {
    fn default() -> Simulation {
        Simulation::new()
    }
}

impl fmt::Debug for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulation").field("grouping", &self.grouping).finish_non_exhaustive()
    }
}

/// The seed in the value of [`SEED_VARIABLE`].
#[track_caller]
fn seed_of(value: Option<std::ffi::OsString>) -> Option<u64> {
    let value = value?;
    match value.to_str().and_then(|text| text.trim().parse().ok()) {
        Some(seed) => Some(seed),
        None => panic!(
            "{SEED_VARIABLE} is {value:?}; it has to be one seed, a whole number from 0 to {}, such as {SEED_VARIABLE}=421; \
             unset it to run all seeds",
            u64::MAX
        ),
    }
}

/// If `is_loud`, panics are printed as usual.
#[track_caller]
fn check_all<W: Wait>(program: &Program<'_, W>, seeds: impl IntoIterator<Item = u64>, is_loud: bool) -> Checked {
    let mut checked = Checked { runs: 0, came_from_outside: false };
    let mut seed_0_passed = false;
    for seed in seeds {
        let trial = program.run(Order::of_seed(seed), Mode { prints: is_loud, ..program.check() });
        checked.runs += 1;
        checked.came_from_outside |= trial.came_from_outside;
        if trial.failure.is_some() {
            panic!("{}", investigate(program, seed, trial, checked.runs, seed_0_passed));
        }
        seed_0_passed |= seed == 0;
    }
    assert!(checked.runs > 0, "a simulation without seeds checks nothing; give it some, such as `.seeds(0..1000)`");
    checked
}

/// Runs the seed of the failed run `first` again, and searches for the smallest order that fails.
fn investigate<W: Wait>(program: &Program<'_, W>, seed: u64, first: Trial, runs: usize, seed_0_passed: bool) -> Report {
    let second = program.run(Order::of_seed(seed), program.check());
    let kind = first.kind().cloned();
    let mut report = Report::new(seed, runs, seed_0_passed, &first);
    if !report.compare(&first, &second) {
        return report;
    }
    let mut budget = Budget::new();
    let mode = program.search(&first);
    let all: Rounds = first.record.reordered.iter().map(|round| (round.number, RoundOrder::Drawn(seed))).collect();
    let fails = |rounds: &Rounds| {
        let trial = program.run(Order::given(rounds.clone()), mode);
        (trial.kind() == kind.as_ref()).then_some(trial)
    };
    let smallest = shrink::shrink(all, first, fails, &mut budget);
    let passing = smallest.record.reordered.is_empty().then(|| {
        let passes = |rounds: &Rounds| {
            let trial = program.run(Order::given(rounds.clone()), mode);
            trial.failure.is_none().then_some(trial)
        };
        shrink::find_passing(&smallest, passes, &mut budget)
    });
    report.explain(&smallest, passing.flatten().as_ref(), budget.exceeded());
    report
}
