//! The scheduler: it starts tasks, gives them their turns, ends them and cancels them.
//!
//! # Glossary
//!
//! - **Task**: one coroutine with its state, in one piece of memory ([`task`]).
//! - **Turn**: one resumption of a task.
//! - **Step**: one task is taken out of a queue, and has its turn if it can still go on.
//! - **Round**: one turn of each task that was ready when the round began. Between two rounds the loop looks at the clock and at
//!   the inbox ([`run`]).
//! - **Wait**: what a task has yielded. A wait consists of parts. A part that is not over is **pending**. The task is ready
//!   when no part is pending ([`wait`]).
//! - **Waiter**: the entry for one pending part. The thing that the task waits for (a timer, an event, a task) stores the
//!   waiter, and **settles** it when the part is over.
//! - **Gather**: a wait for all of several waits. **Race**: a wait for the first of several waits. **Leaf**: a wait that a race
//!   can give up by dropping it, such as `sleep`. In a race of other waits, each wait has a task, a **runner**.
//! - **Scope**: the tasks that are cancelled together. Scopes form a tree ([`scope`]).
//! - **Domain**: a scope at which errors stop: a run, an `isolate`.
//! - **Shield**: a scope that a cancellation from above does not enter.
//! - **Open scope**: a scope that has ended with its first task, while other tasks were left in it. These tasks belong to the
//!   scope above.
//! - **Owner**: the task that waits until a scope has ended or is open.
//! - **Seeing a cancellation**: a cancelled task sees its cancellation in the turn in which its wait raises `Cancelled`. A task that
//!   has not ended after that turn **outlives** its cancellation. So does a task that waits at a shield: it sees its cancellation
//!   later ([`turn`]).
//! - **Swallowing a cancellation**: a task that has seen its cancellation waits again, without a shield ([`task::swallowed`]).
//! - **Hold**: what puts off a cancellation. A task that outlives its cancellation **holds** the tasks that wait for it, and the
//!   owners of the scopes around it. A held task sees its own cancellation only when no task holds it any more ([`holds`]).
//! - **Internal task**: a task that the library makes to carry a wait. It has no name, and reports leave it out.
//! - **Wake slot**: the entry by which a foreign waker reaches a task, or a function, of this loop ([`inbox`]).
//! - **Completion**: the handle with which a thread of a pool wakes one task of this loop, once ([`completions`]).
//! - **Foreign**: of another crate.
//! - **Holder**, of a wake slot: a waker or a handle outside of the loop. A loop that has a holder, or that waits for a completion, is
//!   **watched**: something outside may still wake it. (The holder of a lock or a permit is a task that has it.)
//! - **Quorum**: a set of tasks. A task that waits at a quorum goes on when some number of them have ended ([`quorum`]).
//! - **Claim**: a message or a value that was granted to a task. The task takes it in its next turn, or gives it back
//!   ([`claims`]).
//! - **Observer**: code that runs before and after each turn: a watch (for views and the watchdog), or a recorder. Most loops
//!   have none ([`observed`]).
//! - **Host**: a foreign event loop, or another loop, that polls this loop. **Guest**: a loop that a task of this loop polls.
//!
//! # How it fits together
//!
//! A turn passes through the files in this order: [`run`] chooses a task, [`turn`] resumes it, [`end`] records how it ended,
//! [`cancel`] marks and queues the tasks to cancel, and [`scope`] is the tree that `end` and `cancel` work on. [`deadlock`] and
//! [`cycles`] look at the tree when nothing is ready.
//!
//! User code (a coroutine, a destructor, a foreign waker) never runs while a cell of the scheduler is borrowed, so user code
//! may call the same loop. User code also never runs between the end of a task's body and the moment at which the scope of the
//! task records that end.

mod awaited;
mod blockers;
mod cancel;
#[cfg(debug_assertions)]
mod check;
mod claims;
mod clock;
mod coarse_clock;
mod completions;
mod cycles;
mod deadlines;
mod deadlock;
#[cfg(feature = "tokio")]
mod driver;
mod dump;
mod end;
mod holds;
mod idle;
mod in_place;
mod inbox;
mod lazy_box;
mod livelock;
mod missing_runtime;
mod observed;
mod order;
mod park;
mod quorum;
mod record;
mod run;
mod run_queue;
mod scope;
mod simulated;
mod slot_table;
mod start;
mod task;
mod timer_key;
mod timers;
mod turn;
mod wait;
mod wait_graph;
mod wait_queue;
mod wake_slots;
mod watch;

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use claims::{Claimant, Claims};
#[cfg(feature = "tokio")]
pub(crate) use driver::{Driver, Steps};
pub(crate) use dump::Held;
use dump::HeldThings;
use inbox::Delivery;
pub(crate) use inbox::{Completion, Inbox, WakeSlot, WakeTarget};
pub(crate) use observed::Observer;
pub(crate) use order::{Order, RoundOrder};
pub(crate) use quorum::Quorum;
use quorum::Quorums;
pub(crate) use record::{Record, Round, RoundSize};
pub(crate) use run::Progress;
pub(crate) use scope::group::Group;
use scope::hold::Changes;
pub(crate) use scope::{CancelHandle, Canceller, Scope, ScopeKind};
pub(crate) use simulated::Simulated;
pub use task::cell::TaskName;
pub(crate) use task::cell::{Task, TypeName};
use task::memory::InUse;
pub use task::protocol::{Outcome, Resume, Suspend};
pub(crate) use task::state::{BlockedOn, State};
pub(crate) use task::{Header, OnFailure, TaskRef, WaiterKey};
pub(crate) use timer_key::TimerKey;
pub(crate) use timers::Timer;
pub(crate) use wait::{Waiter, second_wait, stale_resume};
pub(crate) use wait_queue::{Key, WaitQueue};
pub(crate) use watch::{Next, Watch};

use crate::error::Grouping;
use crate::panic::{FirstPanic, Payload, catch, discard};
use clock::Clock;
use cycles::Joins;
use in_place::new_in_place;
use lazy_box::LazyBox;
use run_queue::RunQueue;
pub(crate) use slot_table::SlotKey;
use slot_table::SlotTable;
use timers::Timers;

/// One run of a loop.
pub(crate) struct Scheduler {
    run_queue: RunQueue,
    timers: RefCell<Option<Timers>>,
    clock: Clock,
    /// The waiters of coroutines that wait until nothing else is ready.
    settled: LazyBox<WaitQueue<Waiter>>,
    /// The state of a simulated loop. Other loops have none.
    simulated: Option<Box<Simulated>>,
    /// The part of this run that other threads see. Made on first use.
    inbox: OnceCell<Arc<Inbox>>,
    /// Memory for the content of the inbox. It is reused each time that the loop empties the inbox.
    delivery: Cell<Option<Delivery>>,
    wake_slots: RefCell<SlotTable<(Arc<WakeSlot>, WakeTarget)>>,
    /// The tasks whose completions have not arrived.
    completions: LazyBox<SlotTable<TaskRef>>,
    /// Whether the loop is running: [`run`](Scheduler::run) has been called and has not returned.
    is_running: Cell<bool>,
    root: RefCell<Option<Rc<Scope>>>,
    /// A scope that has ended. The next scope is made in its memory.
    spare_scope: Cell<Option<Rc<Scope>>>,
    last_id: Cell<u64>,
    /// Tasks whose cancellation is still to be delivered, in this order, before any other turn.
    cancelling: RefCell<VecDeque<TaskRef>>,
    /// False only if `cancelling` is empty.
    is_cancelling: Cell<bool>,
    /// Counts changes that put the holds of scopes out of date.
    hold_changes: Changes,
    /// Scopes whose time is up, each with the number of rounds that it has been given since then.
    expired: RefCell<Vec<(Rc<Scope>, u8)>>,
    /// The first panic of user code. The caller of the run resumes it when the run is over.
    panic: RefCell<FirstPanic>,
    /// The task whose code is panicking.
    panicking: RefCell<Option<TaskRef>>,
    /// Whether a host polls this loop, or a caller steps it. The host or the caller may still set an event while nothing is
    /// ready.
    is_hosted: Cell<bool>,
    /// Whether the host sleeps. If so, it has to be woken when a task becomes ready.
    is_host_asleep: Cell<bool>,
    #[cfg(feature = "smol")]
    has_foreign_futures: Cell<bool>,
    /// The runtime that was made for foreign futures of this run, if one was.
    #[cfg(feature = "tokio")]
    driver: OnceCell<Rc<dyn Driver>>,
    /// In a hosted loop: where the next search for cycles starts.
    joins: LazyBox<Joins>,
    /// The quorums of `as_completed`. The search for deadlocks reads them.
    quorums: LazyBox<Quorums>,
    /// The semaphores and locks that tasks have waited for. Dumps name their holders.
    held: LazyBox<HeldThings>,
    /// How many turns had been taken at the last return of [`run`](Scheduler::run).
    turns: Cell<u64>,
    /// If the loop is observed: how many turns the current call of [`run`](Scheduler::run) had taken when its last round began.
    turns_of_call: Cell<usize>,
    /// Runs before and after each turn. Most loops have none.
    observer: Option<Box<Observer>>,
    /// Whether a panic prints no trace, that is, no list of the coroutines that waited for the one that panicked.
    hides_panic_trace: bool,
    /// Where the run was started.
    location: &'static Location<'static>,
    /// Dropped last.
    _memory: InUse,
}

impl Scheduler {
    /// `location` is where the run was started.
    pub(crate) fn new(
        grouping: Grouping,
        simulated: Option<Box<Simulated>>,
        observer: Option<Box<Observer>>,
        hides_panic_trace: bool,
        timer_slack: Duration,
        location: &'static Location<'static>,
    ) -> Rc<Scheduler> {
        let clock = match &simulated {
            None => Clock::new(timer_slack),
            Some(simulated) => Clock::starting_at(simulated.start, timer_slack),
        };
        let scheduler = new_in_place(|| Scheduler {
            run_queue: RunQueue::new(),
            timers: RefCell::default(),
            clock,
            settled: LazyBox::default(),
            simulated,
            inbox: OnceCell::new(),
            delivery: Cell::default(),
            wake_slots: RefCell::default(),
            completions: LazyBox::default(),
            is_running: Cell::new(false),
            root: RefCell::default(),
            spare_scope: Cell::default(),
            last_id: Cell::new(0),
            cancelling: RefCell::default(),
            is_cancelling: Cell::new(false),
            hold_changes: Changes::default(),
            expired: RefCell::default(),
            panic: RefCell::default(),
            panicking: RefCell::default(),
            is_hosted: Cell::new(false),
            is_host_asleep: Cell::new(false),
            #[cfg(feature = "smol")]
            has_foreign_futures: Cell::new(false),
            #[cfg(feature = "tokio")]
            driver: OnceCell::new(),
            joins: LazyBox::default(),
            quorums: LazyBox::default(),
            held: LazyBox::default(),
            turns: Cell::new(0),
            turns_of_call: Cell::new(0),
            observer,
            hides_panic_trace,
            location,
            _memory: InUse::new(),
        });
        *scheduler.root.borrow_mut() = Some(Scope::root(scheduler.clone(), grouping));
        scheduler
    }

    /// Keeps a scope that has ended. The next scope is made in its memory.
    fn keep_spare(&self, scope: Rc<Scope>) {
        // A spare scope keeps the scheduler alive, so none is kept after [`close`](Scheduler::close).
        let is_open = self.root.borrow().is_some();
        drop(if is_open { self.spare_scope.replace(Some(scope)) } else { Some(scope) });
    }

    pub(crate) fn root(&self) -> Rc<Scope> {
        self.root.borrow().clone().expect("the root scope exists until the run is over")
    }

    /// Called when all tasks have ended. Drops everything that could keep the scheduler alive.
    pub(crate) fn close(&self) {
        // Taken first: from now on, no spare scope is kept.
        let root = self.root.take();
        if let Some(inbox) = self.inbox.get() {
            inbox.close();
        }
        self.run_queue.clear();
        drop(self.spare_scope.take());
        self.drop_at_close(root);
        // Only the fields with content are taken out, one by one. Moving the empty ones would take 7 % of the time of a short run.
        if self.timers.borrow().is_some() {
            self.drop_at_close(self.timers.take());
        }
        if !self.wake_slots.borrow().is_empty() {
            self.drop_at_close(self.wake_slots.take());
        }
        if !self.expired.borrow().is_empty() {
            self.drop_at_close(self.expired.take());
        }
        if let Some(settled) = self.settled.take() {
            self.drop_at_close(settled);
        }
        if let Some(joins) = self.joins.take() {
            self.drop_at_close(joins);
        }
        if let Some(completions) = self.completions.take() {
            self.drop_at_close(completions);
        }
    }

    /// Drops what a run has left. This may run user code, which may panic: if a wait was leaked by `mem::forget`, its waiter may
    /// have the last reference to a task, and the task may own a value of the user.
    fn drop_at_close<T>(&self, left: T) {
        if let Err(payload) = catch(|| drop(left)) {
            self.keep_panic(payload);
        }
    }

    fn keep_panic(&self, payload: Payload) {
        let other = self.panic.borrow_mut().keep(payload);
        // The destructor of the payload is user code, so it runs after the borrow has ended.
        if let Some(other) = other {
            discard(other);
        }
    }

    /// Takes the panic that the caller of the run resumes.
    pub(crate) fn take_panic(&self) -> Option<Payload> {
        self.panic.borrow_mut().take()
    }
}
