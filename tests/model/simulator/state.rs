//! The state of a simulated run, as plain data: tasks, waits, scopes, streams, timers.

use std::collections::VecDeque;

use crate::model::program::{Body, Grouping};

/// The index in the list of tasks. Tasks are numbered in the order in which they start.
pub type TaskId = usize;
/// The index in the list of scopes.
pub type ScopeId = usize;
/// The index in the list of streams.
pub type StreamId = usize;

/// A task that waits, and the index of the part of its wait.
pub type Waiter = (TaskId, usize);

/// An error.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Clones have the same id: they are the same error.
    pub id: usize,
    pub text: String,
    pub is_cancelled: bool,
}

/// A coroutine that was started.
pub struct Task<'a> {
    pub work: Work<'a>,
    /// The index of the current statement.
    pub at: usize,
    /// The number of times that it still has to do this statement.
    pub repeats: usize,
    pub scope: ScopeId,
    /// It is the first task of its scope.
    pub is_root: bool,
    pub has_begun: bool,
    pub has_ended: bool,
    pub is_queued: bool,
    pub is_cancelled: bool,
    /// A cancellation was raised in it.
    pub has_seen_cancellation: bool,
    /// The number of cancellations in a row that it has caught.
    pub swallowed: usize,
    /// The error that it raised, if it has ended with one.
    pub error: Option<Failure>,
    /// Its value, if it has ended with one.
    pub output: String,
    pub wait: Option<ActiveWait<'a>>,
    pub waiters: Vec<Waiter>,
    /// It outlived its cancellation: the cancellation of these tasks is put off until it has ended.
    pub holds: Option<Vec<TaskId>>,
    /// Its own cancellation is put off.
    pub is_deferred: bool,
    pub permits: VecDeque<usize>,
    pub handles: VecDeque<TaskId>,
    /// The streams that it keeps, the oldest first.
    pub streams: VecDeque<StreamId>,
    /// The stream of which it is the coroutine, until its body is dropped.
    pub emits: Option<StreamId>,
    /// The error that it caught last.
    pub caught: Option<Failure>,
    /// For an internal task: how many of its waits are over, and what the work of a `finally` or a `bracket` gave.
    pub stage: usize,
    pub result: Option<Result<String, Failure>>,
}

impl<'a> Task<'a> {
    pub fn new(work: Work<'a>, scope: ScopeId, is_root: bool) -> Task<'a> {
        Task {
            work,
            at: 0,
            repeats: 0,
            scope,
            is_root,
            has_begun: false,
            has_ended: false,
            is_queued: false,
            is_cancelled: false,
            has_seen_cancellation: false,
            swallowed: 0,
            error: None,
            output: String::new(),
            wait: None,
            waiters: Vec::new(),
            holds: None,
            is_deferred: false,
            permits: VecDeque::new(),
            handles: VecDeque::new(),
            streams: VecDeque::new(),
            emits: None,
            caught: None,
            stage: 0,
            result: None,
        }
    }
}

/// What a task does. All but a body are internal: they have no name, and log nothing.
#[derive(Clone, Copy)]
pub enum Work<'a> {
    Body(&'a Body),
    /// Does nothing but wait for this.
    Leaf(TimedLeaf),
    /// Only waits for this coroutine.
    Carry(&'a Body),
    Finally(&'a [Body; 2]),
    Bracket(&'a [Body; 3]),
}

/// A time in ticks since the start, or `None` for never.
pub type Deadline = Option<u64>;

/// A leaf whose deadline was computed when the wait was made.
#[derive(Clone, Copy)]
pub enum TimedLeaf {
    Sleep(Deadline),
    Event(usize),
    EventTimeout(usize, Deadline),
}

/// What a task waits for: all parts at once.
pub struct ActiveWait<'a> {
    pub parts: Vec<WaitPart<'a>>,
    pub is_shield: bool,
    /// The wait is a race of leaves: it is over when any part is over.
    pub is_race: bool,
}

pub struct WaitPart<'a> {
    pub awaited: Awaited<'a>,
    /// An error of this part is caught.
    pub catches: bool,
    pub is_ready: bool,
}

/// One part of a wait, before and after it begins.
pub enum Awaited<'a> {
    Turn,
    /// A coroutine that starts when the wait begins.
    Start(Work<'a>),
    Shared(usize),
    Task(TaskId),
    Spawn(&'a Body),
    SpawnShared(usize),
    /// A coroutine that was spawned: its task, if the program keeps a handle of it.
    Spawned(Option<TaskId>),
    Sleep(Deadline),
    Event(usize),
    /// The flag says whether the event was set in time.
    EventTimeout(usize, Deadline, bool),
    /// The flag says whether the task has the permit.
    Acquire(usize, bool),
    Timeout(Work<'a>, Deadline),
    Isolate(&'a Body, Grouping),
    Contain(&'a Body),
    /// The number is that of its handle.
    Abortable(&'a Body, usize),
    Shield(Work<'a>),
    Race(&'a [Body]),
    /// Work that is followed by a cleanup.
    Guarded(Work<'a>),
    Next(StreamId),
    Emit(StreamId),
    /// An [`Emit`](Awaited::Emit) that has begun.
    Offered(StreamId),
    /// The result of a [`Next`](Awaited::Next): a value, the end, or an error.
    Read(Result<Option<String>, Failure>),
    /// A timeout, isolate or shield that has begun: its scope and the first task in it.
    Scope(ScopeId, TaskId),
    /// A race that has begun.
    Runners(Vec<(ScopeId, TaskId)>),
}

impl From<TimedLeaf> for Awaited<'_> {
    fn from(leaf: TimedLeaf) -> Self {
        match leaf {
            TimedLeaf::Sleep(deadline) => Awaited::Sleep(deadline),
            TimedLeaf::Event(event) => Awaited::Event(event),
            TimedLeaf::EventTimeout(event, deadline) => Awaited::EventTimeout(event, deadline, false),
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
pub enum ScopeKind {
    Domain(Grouping),
    Timeout,
    /// It ends when all tasks in it have ended.
    Abortable,
    /// The work of a `finally`. It ends when all tasks in it have ended.
    Guarded,
    Runner,
    Shield,
    /// Of a shared coroutine, right below a domain or a shield.
    Shared,
    /// An empty scope that keeps its parent from ending before the scope of a shared coroutine.
    Placeholder,
}

/// Tasks that are cancelled together. Scopes are a tree.
pub struct Scope {
    pub kind: ScopeKind,
    pub parent: Option<ScopeId>,
    /// The task that waits for the scope to end.
    pub owner: Option<Waiter>,
    /// The reason, if it was cancelled.
    pub cancelled: Option<String>,
    /// The first error of a domain.
    pub failure: Option<Failure>,
    /// A panic inside is an error of this domain.
    pub contains_panics: bool,
    /// The errors of a domain that were raised after the first.
    pub others: Vec<Failure>,
    pub has_ended: bool,
    /// The race of which this scope is a runner.
    pub race: Option<usize>,
    pub has_won: bool,
    /// It was cancelled because its own time was up, or by its own handle.
    pub has_expired: bool,
    /// For a shared coroutine: the placeholders in the scopes of tasks that gave up on it. They end when this scope ends.
    pub placeholders: Vec<ScopeId>,
}

impl Scope {
    pub fn new(kind: ScopeKind, parent: Option<ScopeId>, owner: Option<Waiter>) -> Scope {
        Scope {
            kind,
            parent,
            owner,
            cancelled: None,
            failure: None,
            contains_panics: false,
            others: Vec::new(),
            has_ended: false,
            race: None,
            has_won: false,
            has_expired: false,
            placeholders: Vec::new(),
        }
    }
}

/// A coroutine that gives values one by one.
pub struct Stream<'a> {
    pub body: &'a Body,
    /// Set when the coroutine has started.
    pub task: Option<TaskId>,
    /// Its coroutine may still give values.
    pub has_emitter: bool,
    /// The number of its handles and of the waits for its values.
    pub holders: usize,
    /// The oldest first.
    pub offers: Vec<Offer>,
    /// In the order of arrival.
    pub readers: Vec<Reader>,
}

pub struct Offer {
    pub value: String,
    /// The task that waits until a reader is granted the value.
    pub emitter: Option<Waiter>,
    /// The reader that will take it.
    pub reader: Option<Waiter>,
}

/// A task that waits for a value.
pub struct Reader {
    pub waiter: Waiter,
    /// It has been granted a value, or has found the end of the stream.
    pub is_served: bool,
}

pub struct Timer {
    pub deadline: u64,
    pub action: TimerAction,
}

#[derive(Clone, Copy)]
pub enum TimerAction {
    Settle(Waiter),
    /// A timeout has run out.
    Expire(ScopeId),
}
