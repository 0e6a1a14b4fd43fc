//! Computes what a program should do.
//!
//! The simulator is as simple as possible, so that it can be checked by reading. There are no counters, no wakers and no
//! queues of waiters: everything is in a list, and lists are searched. Nothing is ever removed from the lists of tasks
//! and scopes.
//!
//! It models
//! - turns and rounds: first in, first out, with each `yield` as a turn ([`turns`], [`drive`]);
//! - waits: gathers, events, permits handed over in order, timers, and what happens when a wait is given up
//!   ([`waits`]);
//! - internal tasks: what `finally` and `bracket` do one after the other ([`internal`]);
//! - streams: which reader gets which value, and what happens when a reader or the coroutine ends ([`streams`]);
//! - failure: which domain an error belongs to, and what is reported ([`ends`], [`scopes`]);
//! - cancellation: which tasks, in which order, and what is put off behind shields ([`cancel`]);
//! - deadlocks and cycles ([`deadlock`]);
//! - stopping and dropping the loop half-way ([`drive`]).
//!
//! Time stands still while anything is ready, and when the loop is idle it becomes the time of the next deadline. Each round is the
//! permutation that the seed gives ([`order`]). Traces, memory, threads and foreign futures are not modelled: programs do not have
//! them.

mod cancel;
mod deadlock;
mod describe;
mod drive;
mod ends;
mod internal;
mod order;
mod scopes;
mod state;
mod statements;
mod streams;
mod turns;
mod waits;

use std::collections::VecDeque;

use super::Observed;
use super::program::{EVENTS, PERMITS, Program, SHARED};
use state::{Scope, ScopeId, ScopeKind, Stream, StreamId, Task, TaskId, Timer, Waiter, Work};

const ROOT: ScopeId = 0;
const MAIN: TaskId = 0;

#[derive(Default)]
struct Simulator<'a> {
    program: Option<&'a Program>,
    tasks: Vec<Task<'a>>,
    scopes: Vec<Scope>,
    /// The tasks of the shared coroutines that have started.
    shared: Vec<Option<TaskId>>,
    /// The shared coroutines that were spawned. They run on without waiters.
    spawned: Vec<TaskId>,
    round: VecDeque<TaskId>,
    next_round: VecDeque<TaskId>,
    /// The tasks that have to see their cancellation.
    cancelling: VecDeque<TaskId>,
    running: Option<TaskId>,
    seed: u64,
    /// The number of rounds so far.
    rounds: u64,
    /// The time, in ticks.
    now: u64,
    /// The timers, in the order in which they were set.
    timers: Vec<Timer>,
    /// The timeouts that have run out, with the number of rounds since then.
    expired: Vec<(ScopeId, usize)>,
    is_set: [bool; EVENTS],
    event_waiters: Vec<Vec<Waiter>>,
    free: Vec<usize>,
    permit_waiters: Vec<Vec<Waiter>>,
    streams: Vec<Stream<'a>>,
    /// The streams that coroutines have left to all others, the oldest first.
    left_streams: VecDeque<StreamId>,
    is_stop_requested: bool,
    has_panicked: bool,
    /// The scope of each abortable that has begun, by its handle.
    abortables: Vec<Option<ScopeId>>,
    /// How many handles were called.
    aborted: usize,
    /// The first panic that no domain contained.
    escaped_panic: Option<&'static str>,
    /// The number of errors so far.
    failures: usize,
    /// The number of races so far.
    races: usize,
    observed: Observed,
}

pub fn run(program: &Program, seed: u64) -> Observed {
    let mut simulator = Simulator {
        program: Some(program),
        shared: vec![None; SHARED],
        seed,
        event_waiters: vec![Vec::new(); EVENTS],
        free: PERMITS.into(),
        permit_waiters: vec![Vec::new(); PERMITS.len()],
        ..Simulator::default()
    };
    simulator.add_scope(ScopeKind::Domain(program.grouping), None, None);
    simulator.start(Work::Body(&program.main), ROOT, true);
    let is_done = simulator.drive(program.drive);
    simulator.observed.result = match (simulator.escaped_panic, is_done) {
        (Some(panic), _) => panic.to_string(),
        (None, false) => "dropped".to_string(),
        (None, true) => match simulator.loop_error(ROOT) {
            Some(error) => error,
            None => format!("value {}", simulator.tasks[MAIN].output),
        },
    };
    simulator.observed
}
