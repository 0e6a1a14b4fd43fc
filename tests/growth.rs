//! The growth of the cost of operations. The cost is counted in iterations of the library and in allocations, never in time.
//!
//! In a release build the library counts no iterations, and only the allocations are compared.
#![feature(coroutines)]

mod common;

#[path = "common/allocations.rs"]
mod allocations;
#[path = "growth/as_completed.rs"]
mod as_completed;
#[path = "growth/beside_others.rs"]
mod beside_others;
#[path = "growth/cancellation.rs"]
mod cancellation;
#[path = "growth/errors.rs"]
mod errors;
#[path = "growth/gather.rs"]
mod gather;
#[path = "growth/memory.rs"]
mod memory;
#[path = "growth/remote_handles.rs"]
mod remote_handles;
#[path = "growth/reports.rs"]
mod reports;
#[path = "growth/streams.rs"]
mod streams;

use std::cell::Cell;
use std::rc::Rc;

use tinyield::{Coro, Grouping, Loop, LoopError};

#[derive(Clone, Copy, Debug)]
struct Cost {
    iterations: u64,
    allocations: usize,
}

fn iterations() -> u64 {
    tinyield::__private::iterations().unwrap_or(0)
}

fn total_cost() -> Cost {
    Cost { iterations: iterations(), allocations: allocations::count() }
}

fn cost_since(before: Cost) -> Cost {
    let after = total_cost();
    Cost { iterations: after.iterations - before.iterations, allocations: after.allocations - before.allocations }
}

fn cost_of(work: impl FnOnce()) -> Cost {
    let before = total_cost();
    work();
    cost_since(before)
}

const FEW: usize = 200;
const MANY: usize = 10 * FEW;

/// Work on ten times as many items costs at most twenty times as much. Quadratic work would cost a hundred times as
/// much.
#[track_caller]
fn assert_linear(work: impl Fn(usize)) {
    work(FEW);
    let (few, many) = (cost_of(|| work(FEW)), cost_of(|| work(MANY)));
    let is_linear = many.iterations <= 20 * few.iterations + 100 && many.allocations <= 20 * few.allocations + 100;
    assert!(is_linear, "{FEW}: {few:?}; {MANY}: {many:?}");
}

/// An operation costs the same beside ten times as many others. `beside` returns its cost beside this number of others.
#[track_caller]
fn assert_independent(beside: impl Fn(usize) -> Cost) {
    let (few, many) = (beside(FEW), beside(MANY));
    // A larger map may take a few iterations more.
    let is_same = many.iterations <= few.iterations + few.iterations / 10 && many.allocations <= few.allocations + 10;
    assert!(is_same, "beside {FEW}: {few:?}; beside {MANY}: {many:?}");
}

fn run<T: 'static>(coro: Coro<T>) -> Result<T, LoopError> {
    Loop::builder().grouping(Grouping::Always).build().run(coro)
}

/// Reads everything of an error that a user may read, except the traces of the other errors.
fn look_at(error: &LoopError) -> usize {
    error.to_string().len() + error.others().len() + error.error().trace().len()
}

/// Runs `main`, which does its work `count` times, and stores in the cell how many bytes are allocated then. Returns how many of these bytes
/// were not allocated before the run.
fn kept_by(main: impl Fn(usize, Rc<Cell<isize>>) -> Coro<()>, count: usize) -> isize {
    let before = allocations::live();
    let kept = Rc::new(Cell::new(0));
    drop(Loop::new().run(main(count, kept.clone())));
    assert_ne!(kept.get(), 0);
    kept.get() - before
}

/// Asserts that a program that does its work ten times as often keeps no more memory.
#[track_caller]
fn assert_keeps_the_same(main: impl Fn(usize, Rc<Cell<isize>>) -> Coro<()>) {
    let warm_up = kept_by(&main, FEW);
    let (few, many) = (kept_by(&main, FEW), kept_by(&main, MANY));
    assert!(many <= few + 1_000, "{FEW}: {few} bytes (at first {warm_up}); {MANY}: {many} bytes");
}
