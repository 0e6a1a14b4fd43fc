//! The scheduler: it starts tasks, gives each its turns, ends them and cancels them.
//!
//! # Glossary
//!
//! - **Task**: one coroutine with its state, in one allocation ([`task`]).
//! - **Turn**: one resumption of a task.
//! - **Round**: one turn of each task that was ready when the round began. Between two rounds the loop looks at the clock and at
//!   the inbox ([`run`]).
//! - **Wait**: what a task has yielded. It consists of parts; the task is ready when none is pending ([`wait`]).
//! - **Waiter**: one pending part, kept by what the task waits for, and settled when that is done.
//! - **Scope**: the tasks that are cancelled together. Scopes form a tree ([`scope`]).
//! - **Domain**: a scope at which errors stop: a run, an `isolate`.
//! - **Shield**: a scope that a cancellation from above does not enter.
//! - **Internal task**: a task that the library makes to carry a wait. It has no name, and reports leave it out.
//! - **Wake slot**: where foreign wakers find a task, or a function, of this loop ([`inbox`]).
//! - **Quorum**: tasks of which some number has to end before a task that waits goes on ([`quorum`]).
//! - **Claim**: a message or a value that a task has been granted, and takes in its next turn, or gives back ([`claims`]).
//! - **Observer**: what looks at each turn, if anything does: a watch (for views and the watchdog), a recorder ([`observed`]).
//! - **Host**: a foreign event loop that polls this one.
//!
//! # How it fits together
//!
//! A turn goes one way through the files: [`run`] resumes a task, [`end`] records how it ended, [`cancel`] marks and queues what
//! is to be cancelled, and [`scope`] is the tree that both work on. [`deadlock`] and
//! [`cycles`] look at the tree when nothing is ready.
//!
//! User code (a coroutine, a destructor, a foreign waker) never runs while a cell is borrowed, so it may use the same loop
//! again. Nor does it run between the end of a task's body and the moment at which its scope records that end.

mod ascent;
mod awaited;
mod cancel;
#[cfg(debug_assertions)]
mod check;
mod claims;
mod clock;
mod coarse_clock;
mod cycles;
mod deadlock;
#[cfg(feature = "tokio")]
mod driver;
mod dump;
mod end;
mod group;
mod holds;
mod idle;
mod inbox;
mod livelock;
mod local;
mod missing_runtime;
mod observed;
mod order;
mod quorum;
mod record;
mod run;
mod run_queue;
mod scope;
mod seldom;
mod simulated;
mod task;
mod timers;
mod wait;
mod wait_graph;
mod wait_queue;
mod watch;

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use slab::Slab;

pub(crate) use claims::{Claimant, Claims};
#[cfg(feature = "tokio")]
pub(crate) use driver::{Driver, Steps};
pub(crate) use dump::Held;
use dump::HeldThings;
pub(crate) use end::OnFailure;
pub(crate) use group::Group;
use holds::Changes;
use inbox::{Delivery, EndOfWatch};
pub(crate) use inbox::{Inbox, WakeSlot};
use local::SlotKey;
pub(crate) use observed::Observer;
pub(crate) use order::{Order, RoundOrder};
pub(crate) use quorum::Quorum;
use quorum::Quorums;
pub(crate) use record::{Record, Round, RoundSize};
pub(crate) use run::Progress;
pub(crate) use scope::{AtEnd, OnScopeEnd, Scope, ScopeKind};
pub(crate) use simulated::Simulated;
pub use task::cell::TaskName;
pub(crate) use task::cell::{Task, TypeName};
pub use task::protocol::{Outcome, Resume, Suspend};
pub(crate) use task::state::{BlockedOn, State};
pub(crate) use task::{Header, TaskRef, WaiterKey};
pub(crate) use timers::{Timer, TimerKey};
pub(crate) use wait::{Waiter, second_wait, stale_resume};
pub(crate) use wait_queue::{Key, WaitQueue};
pub(crate) use watch::{Next, Watch};

use crate::capacity::KEPT_CAPACITY;
use crate::error::Grouping;
use crate::panic::{FirstPanic, Payload, catch, discard};
use clock::Clock;
use cycles::Joins;
use run_queue::RunQueue;
use seldom::Seldom;
use timers::Timers;

/// One run of a loop.
pub(crate) struct Scheduler {
    run_queue: RunQueue,
    timers: RefCell<Option<Timers>>,
    clock: Clock,
    /// The coroutines that wait until nothing else is ready.
    settled: Seldom<WaitQueue<Waiter>>,
    /// What only a simulated loop has.
    simulated: Option<Box<Simulated>>,
    /// What other threads share with this run, once there is something to share.
    inbox: OnceCell<Arc<Inbox>>,
    /// Memory for what comes out of the inbox.
    delivery: Cell<Option<Delivery>>,
    wake_slots: RefCell<Slab<(Arc<WakeSlot>, WakeTarget)>>,
    last_slot: Cell<u64>,
    /// How many wake slots were removed since the list of them gave memory back.
    slot_removals: Cell<usize>,
    /// The loop runs: [`run`](Scheduler::run) has not returned.
    is_running: Cell<bool>,
    root: RefCell<Option<Rc<Scope>>>,
    /// A scope that has ended, to make the next one of.
    spare_scope: Cell<Option<Rc<Scope>>>,
    last_id: Cell<u64>,
    /// Tasks whose cancellation is still to be delivered, in this order, before any other turn.
    cancelling: RefCell<VecDeque<TaskRef>>,
    is_cancelling: Cell<bool>,
    hold_changes: Changes,
    /// Scopes whose time is up, each with the number of rounds since then.
    expired: RefCell<Vec<(Rc<Scope>, u8)>>,
    /// The first panic of user code. It is resumed when the run is over.
    panic: RefCell<FirstPanic>,
    /// The task whose code is panicking.
    panicking: RefCell<Option<TaskRef>>,
    /// A host polls this loop, or a caller steps it: they may still set an event while nothing is ready.
    is_hosted: Cell<bool>,
    /// The host sleeps, and is to be woken when a task becomes ready.
    is_host_asleep: Cell<bool>,
    #[cfg(feature = "smol")]
    has_foreign_futures: Cell<bool>,
    /// The runtime that was made for foreign futures of this run, if one was.
    #[cfg(feature = "tokio")]
    driver: OnceCell<Rc<dyn Driver>>,
    /// In a hosted loop: where the next search for cycles starts.
    joins: Seldom<Joins>,
    /// What `as_completed` waits for, for the search for deadlocks.
    quorums: Seldom<Quorums>,
    /// What tasks have waited for that others held, for dumps.
    held: Seldom<HeldThings>,
    /// How many turns were taken, until the last return of [`run`](Scheduler::run).
    turns: Cell<u64>,
    /// How many turns the call of [`run`](Scheduler::run) that is under way has taken, if the loop is observed.
    spent: Cell<usize>,
    /// What looks at each turn, if anything does.
    observer: Option<Box<Observer>>,
    /// The coroutines that waited for one that panicked are not printed.
    hides_panic_trace: bool,
    /// Where the run was asked for.
    location: &'static Location<'static>,
}

/// Makes a value where it stays. `Rc::new` would make a large one on the stack and copy it.
#[inline(always)]
fn new_in_place<T>(make: impl FnOnce() -> T) -> Rc<T> {
    let mut place = Rc::<T>::new_uninit();
    Rc::get_mut(&mut place).expect("it has no other reference").write(make());
    // SAFETY: it was written in the line before.
    unsafe { place.assume_init() }
}

/// The name of the task that stands for the host.
struct HostTask;

impl TaskName for HostTask {
    const NAME: &'static str = "";
}

/// What a wake slot wakes.
pub(crate) enum WakeTarget {
    Task(TaskRef),
    Call(Rc<dyn Fn()>),
}

impl Scheduler {
    /// `location` is where the run was asked for.
    pub(crate) fn new(
        grouping: Grouping,
        simulated: Option<Box<Simulated>>,
        observer: Option<Box<Observer>>,
        hides_panic_trace: bool,
        location: &'static Location<'static>,
    ) -> Rc<Scheduler> {
        let clock = match &simulated {
            None => Clock::new(),
            Some(simulated) => Clock::starting_at(simulated.start),
        };
        let scheduler = new_in_place(|| Scheduler {
            run_queue: RunQueue::new(),
            timers: RefCell::default(),
            clock,
            settled: Seldom::default(),
            simulated,
            inbox: OnceCell::new(),
            delivery: Cell::default(),
            wake_slots: RefCell::default(),
            last_slot: Cell::new(0),
            slot_removals: Cell::new(0),
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
            joins: Seldom::default(),
            quorums: Seldom::default(),
            held: Seldom::default(),
            turns: Cell::new(0),
            spent: Cell::new(0),
            observer,
            hides_panic_trace,
            location,
        });
        *scheduler.root.borrow_mut() = Some(Scope::root(scheduler.clone(), grouping));
        scheduler
    }

    /// Keeps a scope that has ended, to make the next one of it.
    fn keep_spare(&self, scope: Rc<Scope>) {
        // A spare scope keeps the scheduler alive, so nothing is kept once it is closed.
        let is_open = self.root.borrow().is_some();
        drop(if is_open { self.spare_scope.replace(Some(scope)) } else { Some(scope) });
    }

    pub(crate) fn root(&self) -> Rc<Scope> {
        self.root.borrow().clone().expect("the root scope is there until the run is over")
    }

    /// Releases everything when all tasks have ended, so that nothing keeps the scheduler alive.
    pub(crate) fn close(&self) {
        // To take what is not there would cost as much as half of a short run.
        let timers = if self.timers.borrow().is_some() { self.timers.take() } else { None };
        let wake_slots = if self.wake_slots.borrow().is_empty() { None } else { Some(self.wake_slots.take()) };
        let left = (self.root.take(), (timers, self.settled.take()), wake_slots, self.expired.take());
        if let Some(inbox) = self.inbox.get() {
            inbox.close();
        }
        self.run_queue.clear();
        drop(self.spare_scope.take());
        // A wait that was forgotten may have kept the value of its coroutine until now.
        if let Err(payload) = catch(|| drop((left, self.joins.take()))) {
            self.keep_panic(payload);
        }
    }

    fn keep_panic(&self, payload: Payload) {
        let other = self.panic.borrow_mut().keep(payload);
        // Its destructor is user code: not under the borrow.
        if let Some(other) = other {
            discard(other);
        }
    }

    /// Takes the panic that the caller of the run resumes.
    pub(crate) fn take_panic(&self) -> Option<Payload> {
        self.panic.borrow_mut().take()
    }

    // Starting and queueing.

    /// Starts `task` in `scope`.
    #[inline]
    pub(crate) fn start(task: &TaskRef, scope: Rc<Scope>) {
        let scheduler = scope.scheduler();
        let id = scheduler.last_id.get() + 1;
        scheduler.last_id.set(id);
        task.id.set(id);
        scope.add_task(task);
        if scope.is_cancelled() {
            return Scheduler::start_cancelled(task, scope);
        }
        task.set(State::QUEUED);
        scheduler.run_queue.push(task.clone());
        task.replace_scope(Some(scope));
    }

    /// A destructor that ran while a wait began has cancelled the scope: the task never runs.
    #[cold]
    fn start_cancelled(task: &TaskRef, scope: Rc<Scope>) {
        task.replace_scope(Some(scope.clone()));
        scope.scheduler().cancel_tasks(vec![task.clone()]);
    }

    /// Starts `task` as the first of `scope`.
    pub(crate) fn start_root(task: &TaskRef, scope: &Rc<Scope>) {
        task.set(State::SCOPE_ROOT);
        Scheduler::start(task, scope.clone());
    }

    /// Calls `f` with a task of the root scope that never runs. A host starts its tasks in the name of that task.
    pub(crate) fn with_root_task(&self, f: impl FnOnce(&TaskRef)) {
        let root = self.root();
        if !root.is_cancelled() {
            root.reopen();
        }
        let task = Task::<()>::new::<HostTask, _>(
            #[coroutine]
            static |_: Resume| {
                let _: Resume = yield Suspend;
                Outcome::value(())
            },
        );
        task.raw().replace_scope(Some(root));
        f(task.raw());
        task.raw().replace_scope(None);
        self.wake_sleeping_host();
    }

    /// Gives `task` a turn in the next round.
    #[inline]
    pub(crate) fn enqueue(task: &TaskRef) {
        // A task that runs is looked at when it suspends.
        if !task.has(State::QUEUED | State::RUNNING | State::ENDED) {
            Scheduler::push_ready(task);
        }
    }

    /// Queues `task`, which is none of queued, running and ended.
    #[inline(never)]
    pub(crate) fn push_ready(task: &TaskRef) {
        let is_host_asleep = task.with_scheduler(|scheduler| {
            task.set(State::QUEUED);
            scheduler.run_queue.push(task.clone());
            scheduler.is_host_asleep.get()
        });
        if is_host_asleep == Some(true)
            && let Some(scheduler) = task.scheduler()
        {
            // Its waker is foreign code: not while the scope of the task is borrowed.
            scheduler.wake_sleeping_host();
        }
    }

    // Timers.

    /// The time by the clock of this loop.
    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Takes the time from the clock of the host.
    #[cfg(feature = "tokio")]
    pub(crate) fn follow_clock(&self, now: fn() -> Instant) {
        self.clock.follow(now);
    }

    /// Switches to the clock of the machine: without the host, the host's clock does not advance.
    #[cfg(feature = "tokio")]
    pub(crate) fn leave_clock_of_host(&self) {
        self.clock.leave_host();
    }

    /// Fires `timer` at `deadline`.
    pub(crate) fn set_timer_at(&self, deadline: Instant, timer: Timer) -> TimerKey {
        let now = self.clock.now();
        self.set_timer(Some(deadline), now, deadline.saturating_duration_since(now), timer)
    }

    /// Fires `timer` when `duration` has passed. A deadline that no clock can hold is never.
    pub(crate) fn set_timer_after(&self, duration: Duration, timer: Timer) -> TimerKey {
        let now = self.clock.now();
        self.set_timer(now.checked_add(duration), now, duration, timer)
    }

    fn set_timer(&self, deadline: Option<Instant>, now: Instant, left: Duration, timer: Timer) -> TimerKey {
        if self.run_queue.is_round_over() {
            self.clock.keep_last_read(now);
        }
        if let Some(deadline) = deadline {
            self.clock.add_deadline(deadline, left);
        }
        self.timers.borrow_mut().get_or_insert_with(|| Timers::new(now)).set(deadline, timer)
    }

    pub(crate) fn timer_is_set(&self, key: TimerKey) -> bool {
        self.timers.borrow().as_ref().is_some_and(|timers| timers.is_set(key))
    }

    /// Removes a timer. Returns what it was to do, unless it has fired.
    pub(crate) fn cancel_timer(&self, key: TimerKey) -> Option<Timer> {
        let mut timers = self.timers.borrow_mut();
        let timers = timers.as_mut()?;
        let timer = timers.cancel(key)?;
        if timers.is_empty() && self.expired.borrow().is_empty() {
            self.clock.clear_deadline();
        }
        Some(timer)
    }

    /// The next deadline. `None` also if all timers are set to never.
    fn deadline(&self) -> Option<Instant> {
        self.timers.borrow_mut().as_mut()?.next()
    }

    pub(crate) fn has_virtual_clock(&self) -> bool {
        self.clock.is_virtual()
    }

    /// Until when a thread or a host may wait at most. In a simulated loop there is no such time: if the loop is idle, its clock
    /// stands still until something outside wakes it.
    pub(crate) fn wait_deadline(&self) -> Option<Instant> {
        if self.clock.is_virtual() { None } else { self.deadline() }
    }

    /// Whether time can make a task ready, or, in a real loop, a timer is set to never: such a loop waits to be stopped.
    fn may_time_help(&self) -> bool {
        match self.clock.is_virtual() {
            true => self.deadline().is_some(),
            false => self.has_timers(),
        }
    }

    /// Whether any timer is set, also if that is to never.
    fn has_timers(&self) -> bool {
        self.timers.borrow().as_ref().is_some_and(|timers| !timers.is_empty())
    }

    // Wake-ups from outside.

    pub(crate) fn inbox(&self) -> &Arc<Inbox> {
        self.inbox.get_or_init(|| {
            let inbox = Arc::<Inbox>::default();
            if self.root.borrow().is_none() {
                // The run is over.
                inbox.close();
            }
            if self.is_running.get() {
                // SAFETY: `Running` borrows the scheduler for as long as `is_running` is set, and calls `end_run` before.
                unsafe { inbox.begin_run(self) };
            }
            inbox
        })
    }

    /// Whether something has come in from outside.
    #[inline]
    fn is_signalled(&self) -> bool {
        self.inbox.get().is_some_and(|inbox| inbox.is_signalled())
    }

    /// Whether a holder outside could wake this loop, or has.
    fn may_be_woken(&self) -> bool {
        // In this order: a holder that leaves signals first.
        let may_be_woken = |inbox: &Arc<Inbox>| inbox.is_watched() || inbox.may_guest_wake() || inbox.is_signalled();
        self.inbox.get().is_some_and(may_be_woken)
    }

    pub(crate) fn add_wake_slot(&self, target: WakeTarget) -> Arc<WakeSlot> {
        let mut wake_slots = self.wake_slots.borrow_mut();
        let entry = wake_slots.vacant_entry();
        self.last_slot.set(self.last_slot.get() + 1);
        let key = SlotKey { index: entry.key(), stamp: self.last_slot.get() };
        let wake_slot = WakeSlot::new(self.inbox().clone(), key, &target);
        entry.insert((wake_slot.clone(), target));
        wake_slot
    }

    pub(crate) fn remove_wake_slot(&self, wake_slot: &Arc<WakeSlot>) {
        wake_slot.retire();
        let mut wake_slots = self.wake_slots.borrow_mut();
        let index = wake_slot.key.index;
        let is_there = wake_slots.get(index).is_some_and(|(there, _)| there.key == wake_slot.key);
        let removed = is_there.then(|| wake_slots.remove(index));
        // To shrink takes time in proportion to the capacity, and has no effect while the last slot is in use.
        let removals = self.slot_removals.replace(self.slot_removals.get() + 1);
        let is_time = wake_slots.is_empty() || removals > wake_slots.capacity();
        if is_time && wake_slots.capacity() > 4 * wake_slots.len() + KEPT_CAPACITY {
            wake_slots.shrink_to_fit();
            self.slot_removals.set(0);
        }
        drop(wake_slots);
        drop(removed);
    }

    /// Notes that a task waits for a future that is not the library's own: it may need a reactor.
    #[cfg(feature = "smol")]
    fn note_foreign_future(&self) {
        self.has_foreign_futures.set(true);
    }

    #[cfg(feature = "smol")]
    pub(crate) fn has_foreign_futures(&self) -> bool {
        self.has_foreign_futures.get()
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn driver(&self) -> Option<&Rc<dyn Driver>> {
        self.driver.get()
    }

    /// Sets the runtime for foreign futures of this run. It is dropped with the run.
    #[cfg(feature = "tokio")]
    pub(crate) fn set_driver(&self, driver: Rc<dyn Driver>) {
        let is_first = self.driver.set(driver).is_ok();
        debug_assert!(is_first, "a run has one runtime");
    }

    // The host.

    #[cfg(feature = "tokio")]
    pub(crate) fn is_hosted(&self) -> bool {
        self.is_hosted.get()
    }

    /// Has `waker` woken when a task becomes ready, and when the loop has to look for a deadlock. False if a task is ready already.
    pub(crate) fn set_host_waker(&self, waker: &Waker) -> bool {
        // Set first: cloning the waker, or dropping the one before, is foreign code, which may make a task ready.
        self.host_may_sleep();
        // A virtual clock goes on when nothing outside holds the loop any more: the loop has to look at that, too.
        let is_virtual = self.clock.is_virtual();
        let has_timers = !is_virtual && self.may_time_help();
        let is_checked = is_virtual || !self.is_hosted.get() || self.has_joined();
        let looks_for_deadlocks = !has_timers && is_checked;
        let end_of_watch = if looks_for_deadlocks { EndOfWatch::Awaited } else { EndOfWatch::Ignored };
        let sleeps = self.inbox().set_host_waker(waker, end_of_watch, has_timers);
        if !sleeps {
            self.host_is_awake();
        }
        sleeps
    }

    /// The host is about to sleep, unless a task becomes ready before.
    pub(crate) fn host_may_sleep(&self) {
        self.is_host_asleep.set(true);
    }

    /// The host polls, or will by itself: it need not be woken.
    pub(crate) fn host_is_awake(&self) {
        self.is_host_asleep.set(false);
        // It may have been away for long.
        self.clock.forget_last_read();
    }

    /// Whether nothing was ready when the host looked last, nor has become ready since.
    #[cfg(any(feature = "smol", feature = "async-std", feature = "tokio"))]
    pub(crate) fn is_host_asleep(&self) -> bool {
        self.is_host_asleep.get()
    }

    fn wake_sleeping_host(&self) {
        if self.is_host_asleep.replace(false) {
            self.inbox().wake_parked();
        }
    }

    /// Blocks the thread until a task may be ready.
    pub(crate) fn park(self: &Rc<Scheduler>) {
        let deadline = self.wait_deadline().map(|deadline| self.clock.machine_time(deadline));
        let deadline = deadline.or_else(|| self.say_if_it_waits_for_long());
        // Parking drops the waker of a host, if there is one. That is foreign code, which may make a task ready.
        self.host_may_sleep();
        self.inbox().park(deadline);
        self.host_is_awake();
    }

    /// This run is stepped or polled, by code that shares the thread.
    pub(crate) fn set_hosted(&self) {
        self.is_hosted.set(true);
    }
}
