//! Ways to drive a [`Runtime`].

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll, Waker};

use tinyield::{Idle, Loop, LoopError, Runtime, Step};

/// A loop with a virtual clock, whose turns are first in, first out.
pub fn simulated() -> Loop {
    Loop::builder().simulated(0).build()
}

/// Steps until the loop is idle. Returns the number of steps that ran.
pub fn to_idle<T>(runtime: &mut Runtime<'_, T>) -> (usize, Idle) {
    let mut steps = 0;
    loop {
        match runtime.step() {
            Step::Ran => steps += 1,
            Step::Idle(idle) => return (steps, idle),
            Step::Done(_) => panic!("the run is over after {steps} steps"),
        }
    }
}

/// Steps until the end, and blocks when the loop is idle. Returns the number of steps that ran, and the result.
pub fn to_end<T>(runtime: &mut Runtime<'_, T>) -> (usize, Result<T, LoopError>) {
    let mut steps = 0;
    loop {
        match runtime.step() {
            Step::Ran => steps += 1,
            Step::Idle(idle) => idle.wait(),
            Step::Done(result) => return (steps, result),
        }
    }
}

/// One step. Fails if no coroutine ran in it.
#[track_caller]
pub fn ran<T>(runtime: &mut Runtime<'_, T>) {
    match runtime.step() {
        Step::Ran => {}
        Step::Idle(_) => panic!("the loop is idle"),
        Step::Done(_) => panic!("the run is over"),
    }
}

/// How a run ended: with its result, or with the payload of a panic.
type Ended<T> = Result<Result<T, LoopError>, Box<dyn Any + Send>>;

/// As [`to_end`], but before each step, calls `before` with the number of steps so far. Stops early if `before` returns false.
/// The result is `None` then.
pub fn run_steps<T>(runtime: &mut Runtime<'_, T>, mut before: impl FnMut(usize) -> bool) -> (usize, Option<Ended<T>>) {
    let mut steps = 0;
    loop {
        if !before(steps) {
            return (steps, None);
        }
        match catch_unwind(AssertUnwindSafe(|| runtime.step())) {
            Err(payload) => return (steps, Some(Err(payload))),
            Ok(Step::Ran) => steps += 1,
            Ok(Step::Idle(idle)) => idle.wait(),
            Ok(Step::Done(result)) => return (steps, Some(Ok(result))),
        }
    }
}

pub fn poll<T>(runtime: &mut Runtime<'_, T>, waker: &Waker) -> Poll<Result<T, LoopError>> {
    runtime.poll(&mut Context::from_waker(waker))
}
