//! The scheduler: it starts tasks, gives each its turn, and cancels those that belong together.
//!
//! No code of the user's (a coroutine, a destructor, a foreign waker) runs while one of its cells is borrowed, so that code
//! may come back to it in any way.

mod cancel_order;
mod coarse_clock;
mod deadlock;
mod inbox;
mod run_queue;
mod scope;
mod task;
mod timers;
mod trampoline;
mod wait_queue;

use std::any::Any;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use slab::Slab;

pub(crate) use inbox::{Inbox, WakeSlot};
pub(crate) use scope::{Group, Scope, ScopeKind};
pub use task::TaskName;
pub use task::protocol::{Outcome, Resume, Suspend};
pub(crate) use task::state::{BlockedOn, State};
pub(crate) use task::{Header, Task, TaskRef, TypeName, Waiter, WaiterKey, second_wait, stale_resume};
pub(crate) use timers::{Timer, TimerKey};
pub(crate) use wait_queue::{Key, WaitQueue};

use crate::error::{Cancelled, Error, Grouping, Reason};
use crate::trace::Frame;
use cancel_order::CancelOrder;
use coarse_clock::{CoarseClock, DueTime};
use deadlock::Report;
use run_queue::RunQueue;
use task::Turn;
use timers::Timers;

/// One run of a loop.
pub(crate) struct Scheduler {
    run_queue: RunQueue,
    timers: RefCell<Option<Timers>>,
    /// Before this, nothing is due; if there is none, there is no need to look at the clock.
    next_due: Cell<Option<DueTime>>,
    /// By which deadlines are told in ticks, once one is far off.
    ticks: OnceCell<CoarseClock>,
    /// The time, if somebody has looked at the clock in the last turn of the round.
    clock: Cell<Option<Instant>>,
    /// What other threads share with this run, once there is something to share.
    inbox: OnceCell<Arc<Inbox>>,
    wake_slots: RefCell<Slab<(Arc<WakeSlot>, WakeTarget)>>,
    root: RefCell<Option<Rc<Scope>>>,
    /// One that has ended, for the next one to be made of.
    spare_scope: Cell<Option<Rc<Scope>>>,
    last_id: Cell<u64>,
    /// Tasks that are to see their cancellation, in this order, before anything else happens.
    cancelling: RefCell<VecDeque<TaskRef>>,
    is_cancelling: Cell<bool>,
    cancel_order: RefCell<CancelOrder>,
    /// Scopes whose time is up, and for how many rounds it has been.
    expired: RefCell<Vec<(Rc<Scope>, u8)>>,
    panic: RefCell<Option<Box<dyn Any + Send>>>,
    panicked: RefCell<Option<TaskRef>>,
    /// A host sleeps, and is to be woken when something becomes ready.
    host_sleeps: Cell<bool>,
    #[cfg(feature = "smol")]
    has_foreign_futures: Cell<bool>,
    /// Since the last look for cycles, some task began to wait for one that had been started before.
    may_be_cyclic: Cell<bool>,
    location: &'static Location<'static>,
}

/// Who is woken from outside.
pub(crate) enum WakeTarget {
    Task(TaskRef),
    Call(Rc<dyn Fn()>),
}

/// How far the loop has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It has taken all the steps that it was given.
    Ran,
    /// Nothing is ready.
    Idle,
    /// All has ended.
    Done,
}

impl Scheduler {
    /// `location` is where the run was asked for.
    pub(crate) fn new(grouping: Grouping, location: &'static Location<'static>) -> Rc<Scheduler> {
        let scheduler = Rc::new(Scheduler {
            run_queue: RunQueue::default(),
            timers: RefCell::default(),
            next_due: Cell::new(None),
            ticks: OnceCell::new(),
            clock: Cell::new(None),
            inbox: OnceCell::new(),
            wake_slots: RefCell::default(),
            root: RefCell::default(),
            spare_scope: Cell::default(),
            last_id: Cell::new(0),
            cancelling: RefCell::default(),
            is_cancelling: Cell::new(false),
            cancel_order: RefCell::default(),
            expired: RefCell::default(),
            panic: RefCell::default(),
            panicked: RefCell::default(),
            host_sleeps: Cell::new(false),
            #[cfg(feature = "smol")]
            has_foreign_futures: Cell::new(false),
            may_be_cyclic: Cell::new(false),
            location,
        });
        *scheduler.root.borrow_mut() = Some(Scope::root(scheduler.clone(), grouping));
        scheduler
    }

    /// A scope that the next one may be made of.
    fn keep_spare(&self, scope: Rc<Scope>) {
        // A spare scope keeps the scheduler alive, so there must be somebody who will close it.
        let is_open = self.root.borrow().is_some();
        drop(if is_open { self.spare_scope.replace(Some(scope)) } else { Some(scope) });
    }

    pub(crate) fn inbox(&self) -> &Arc<Inbox> {
        self.inbox.get_or_init(|| {
            let inbox = Arc::<Inbox>::default();
            if self.root.borrow().is_none() {
                // The run is over.
                inbox.close();
            }
            inbox
        })
    }

    /// Whether something has come in from outside.
    #[inline]
    fn is_signalled(&self) -> bool {
        self.inbox.get().is_some_and(|inbox| inbox.is_signalled())
    }

    /// Whether somebody outside could wake this loop, or has.
    fn may_be_woken(&self) -> bool {
        // In this order: whoever leaves sends first.
        self.inbox.get().is_some_and(|inbox| inbox.is_watched() || inbox.is_signalled())
    }

    pub(crate) fn root(&self) -> Rc<Scope> {
        self.root.borrow().clone().expect("the root scope is there until the run is over")
    }

    /// All has ended: lets go of everything, so that nothing keeps the scheduler alive.
    pub(crate) fn close(&self) {
        let left = (self.root.take(), self.timers.take(), self.wake_slots.take(), self.expired.take());
        if let Some(inbox) = self.inbox.get() {
            inbox.close();
        }
        self.run_queue.clear();
        drop(self.spare_scope.take());
        // A wait that was forgotten may have kept the value of its coroutine until now.
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(left))) {
            self.keep_panic(payload);
        }
    }

    // Starting and waking.

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

    /// It was cancelled in the middle of beginning a wait, by a destructor that ran in there: what it starts does not begin.
    #[cold]
    fn start_cancelled(task: &TaskRef, scope: Rc<Scope>) {
        task.replace_scope(Some(scope.clone()));
        if let Some(why) = scope.cancelled() {
            scope.scheduler().cancel(&scope, &why);
        }
    }

    /// Starts `task` as the first of `scope`.
    pub(crate) fn start_root(task: &TaskRef, scope: &Rc<Scope>) {
        task.set(State::SCOPE_ROOT);
        Scheduler::start(task, scope.clone());
    }

    /// `task` is to have a turn.
    pub(crate) fn enqueue(task: &TaskRef) {
        // One that runs is looked at when it suspends itself.
        if task.has(State::QUEUED | State::RUNNING | State::ENDED) {
            return;
        }
        let Some(scheduler) = task.scheduler() else { return };
        task.set(State::QUEUED);
        scheduler.run_queue.push(task.clone());
        if scheduler.host_sleeps.replace(false) {
            scheduler.inbox().wake_host();
        }
    }

    /// A task waits for one that was started before: only so can tasks come to wait for each other in a circle.
    pub(crate) fn note_join(&self) {
        self.may_be_cyclic.set(true);
    }

    /// Has `timer` ring at `deadline`.
    pub(crate) fn set_timer_at(&self, deadline: Instant, timer: Timer) -> TimerKey {
        let now = Instant::now();
        self.set_timer(Some(deadline), now, deadline.saturating_duration_since(now), timer)
    }

    /// Has `timer` ring when `duration` has passed from now.
    pub(crate) fn set_timer_after(&self, duration: Duration, timer: Timer) -> TimerKey {
        let now = Instant::now();
        self.set_timer(now.checked_add(duration), now, duration, timer)
    }

    fn set_timer(&self, deadline: Option<Instant>, now: Instant, left: Duration, timer: Timer) -> TimerKey {
        // Turns may take long, so what is known of the time now is of use only if no other is taken before the next look.
        if self.run_queue.is_round_over() {
            self.clock.set(Some(now));
        }
        if let Some(deadline) = deadline
            && !self.next_due.get().is_some_and(|due| due.is_before(deadline))
        {
            self.next_due.set(Some(DueTime::new(deadline, left, || self.ticks())));
        }
        self.timers.borrow_mut().get_or_insert_with(Timers::new).set(deadline, timer)
    }

    fn ticks(&self) -> CoarseClock {
        *self.ticks.get_or_init(CoarseClock::new)
    }

    pub(crate) fn timer_is_set(&self, key: TimerKey) -> bool {
        self.timers.borrow().as_ref().is_some_and(|timers| timers.is_set(key))
    }

    pub(crate) fn cancel_timer(&self, key: TimerKey) -> Option<Timer> {
        let mut timers = self.timers.borrow_mut();
        let timers = timers.as_mut()?;
        let timer = timers.cancel(key)?;
        if timers.is_empty() && self.expired.borrow().is_empty() {
            self.next_due.set(None);
        }
        Some(timer)
    }

    /// The next deadline. The loop may have timers even so: ones that never ring.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.timers.borrow_mut().as_mut()?.next()
    }

    fn has_timers(&self) -> bool {
        self.timers.borrow().as_ref().is_some_and(|timers| !timers.is_empty())
    }

    /// A return address in this loop.
    pub(crate) fn add_wake_slot(&self, target: WakeTarget) -> Arc<WakeSlot> {
        let mut wake_slots = self.wake_slots.borrow_mut();
        let entry = wake_slots.vacant_entry();
        let wake_slot = WakeSlot::new(self.inbox().clone(), entry.key());
        entry.insert((wake_slot.clone(), target));
        wake_slot
    }

    pub(crate) fn remove_wake_slot(&self, wake_slot: &Arc<WakeSlot>) {
        wake_slot.retire();
        let mut wake_slots = self.wake_slots.borrow_mut();
        let is_there = wake_slots.get(wake_slot.slot).is_some_and(|(there, _)| Arc::ptr_eq(there, wake_slot));
        let removed = is_there.then(|| wake_slots.remove(wake_slot.slot));
        drop(wake_slots);
        drop(removed);
    }

    /// A task waits for a future that is not the library's own.
    #[cfg(feature = "smol")]
    pub(crate) fn note_foreign_future(&self) {
        self.has_foreign_futures.set(true);
    }

    /// Whether this run has waited for foreign futures.
    #[cfg(feature = "smol")]
    pub(crate) fn has_foreign_futures(&self) -> bool {
        self.has_foreign_futures.get()
    }

    // Steps.

    /// Takes at most `most` steps. Panics of the user's code do not come out: they stop the loop, and are kept for
    /// [`take_panic`](Scheduler::take_panic).
    pub(crate) fn run(self: &Rc<Scheduler>, most: usize) -> Progress {
        let mut steps = 0;
        loop {
            match catch_unwind(AssertUnwindSafe(|| self.steps(most, &mut steps))) {
                Ok(progress) => return progress,
                Err(payload) => self.panicked(payload),
            }
        }
    }

    fn steps(self: &Rc<Scheduler>, most: usize, steps: &mut usize) -> Progress {
        while *steps < most {
            if self.is_cancelling.get() {
                if let Some(task) = self.next_to_cancel() {
                    *steps += 1;
                    self.cancelling_turn(task);
                }
            } else if let Some(task) = self.run_queue.pop() {
                *steps += 1;
                self.ready_turn(task);
            } else {
                if !self.begin_round() && !self.is_cancelling.get() {
                    return if self.root().is_ended() { Progress::Done } else { Progress::Idle };
                }
            }
        }
        Progress::Ran
    }

    /// Looks at the inbox and the clock; false if nothing is ready.
    #[inline(always)]
    fn begin_round(self: &Rc<Scheduler>) -> bool {
        if self.next_due.get().is_some() || self.is_signalled() {
            self.look_around();
        }
        self.run_queue.begin_round()
    }

    #[inline(never)]
    fn look_around(self: &Rc<Scheduler>) {
        if self.is_signalled() {
            self.serve_inbox();
        }
        if let Some(due) = self.next_due.get() {
            let now = match self.clock.take() {
                Some(now) => now,
                None if due.is_far() => return,
                None => Instant::now(),
            };
            if due.is_before(now) {
                self.fire_timers(now);
            }
        }
    }

    fn serve_inbox(self: &Rc<Scheduler>) {
        let delivery = self.inbox().take();
        for wake_slot in delivery.woken {
            wake_slot.acknowledge();
            let wake_slots = self.wake_slots.borrow();
            match wake_slots.get(wake_slot.slot) {
                Some((there, target)) if Arc::ptr_eq(there, &wake_slot) => match target {
                    WakeTarget::Task(task) => {
                        let task = task.clone();
                        drop(wake_slots);
                        task.wake_from_outside();
                    }
                    WakeTarget::Call(call) => {
                        let call = call.clone();
                        drop(wake_slots);
                        call();
                    }
                },
                _ => {}
            }
        }
        if let Some(why) = delivery.stop {
            self.abandon(why);
        }
    }

    #[inline(never)]
    fn fire_timers(self: &Rc<Scheduler>, now: Instant) {
        let count = self.timers.borrow().as_ref().map_or(0, |timers| timers.count(now));
        loop {
            let Some(mut due) = self.timers.borrow_mut().as_mut().map(|timers| timers.take_due(count)) else {
                break;
            };
            let may_be_more = due.len() == timers::AT_ONCE;
            for timer in due.drain(..) {
                match timer {
                    Timer::Settle(waiter) => waiter.settle_on(self),
                    Timer::Expire(scope) => self.expired.borrow_mut().push((scope, 0)),
                }
            }
            if let Some(timers) = self.timers.borrow_mut().as_mut() {
                timers.keep(due);
            }
            if !may_be_more {
                break;
            }
        }
        if !self.expired.borrow().is_empty() {
            self.serve_expired();
        }
        let is_unserved = !self.expired.borrow().is_empty();
        let next = if is_unserved { Some(now) } else { self.deadline() };
        self.next_due.set(next.map(|next| DueTime::new(next, next.saturating_duration_since(now), || self.ticks())));
    }

    /// Cancels the scopes whose time was up a round ago. If their work came in the same round, it wins.
    fn serve_expired(self: &Rc<Scheduler>) {
        let why = Cancelled::new(Reason::TimedOut);
        // By reference: what is dropped, and may panic, is dropped when all of them have been served.
        for (scope, rounds) in &self.expired.take() {
            // One round for what is ready now; if that made the work ready, one for the work.
            let waits = match rounds {
                0 => !self.run_queue.is_next_round_empty(),
                1 => scope.is_about_to_go_on(),
                _ => false,
            };
            if scope.is_ended() {
            } else if waits {
                self.expired.borrow_mut().push((scope.clone(), rounds + 1));
            } else {
                self.cancel(scope, &why);
            }
        }
    }

    #[inline(always)]
    fn ready_turn(self: &Rc<Scheduler>, task: TaskRef) {
        if (task.pending.get() != 0 || task.has(State::SLOW)) && !Scheduler::is_due(&task) {
            return;
        }
        self.turn(task, State::QUEUED);
    }

    /// Whether a task from the ready queue, which has parts pending or is disturbed, is to have its turn.
    #[inline(never)]
    fn is_due(task: &Header) -> bool {
        let due = task.pending.get() == 0 || task.has(State::FORCE_RESUME);
        // One that waits to be cancelled has its turn when those that hold it back have ended.
        let due = due && !task.has(State::CANCEL_DEFERRED);
        task.unset(if due { State::FORCE_RESUME } else { State::QUEUED });
        due
    }

    /// Resumes `task` once.
    #[inline(always)]
    fn turn(self: &Rc<Scheduler>, task: TaskRef, cleared: State) {
        let on_panic = OnPanic::new(self, task);
        let turn = on_panic.task().resume(cleared | State::SHIELDED | State::WAIT_BEGUN | State::SECOND_WAIT);
        let task = on_panic.defuse();
        match turn {
            Some(Turn::Suspended) if !task.has(State::SLOW | State::ENDED) => {
                let is_ready = task.pending.get() == 0;
                task.change(State::RUNNING, if is_ready { State::QUEUED } else { State::empty() });
                if is_ready {
                    self.run_queue.push(task);
                }
            }
            Some(Turn::Suspended) => self.suspended_slow(task),
            Some(Turn::Finished) => self.finish(task),
            Some(Turn::Raised(error)) => {
                task.unset(State::RUNNING);
                self.end(task, Some(error));
            }
            None => {}
        }
    }

    #[inline(never)]
    fn suspended_slow(self: &Rc<Scheduler>, task: TaskRef) {
        task.unset(State::RUNNING);
        if task.has(State::CANCELLED) && !task.has(State::SHIELDED) {
            // It suspended by hand, without waiting for anything.
            if task.is_doomed() || task.count_cancellation() {
                let what = format!("was cancelled {} times in a row and went on", task::MOST_SWALLOWED);
                return self.drop_doomed(task, &what);
            }
            task.set(State::FORCE_RESUME);
        }
        if task.pending.get() == 0 || task.has(State::FORCE_RESUME) {
            Scheduler::enqueue(&task);
        }
    }

    /// Drops a coroutine that does not end by itself, and says so.
    fn drop_doomed(self: &Rc<Scheduler>, task: TaskRef, what: &str) {
        let location = task.location.get();
        let (name, file, line) = (task.name(), location.file(), location.line());
        let error = if task.is_internal() {
            Error::cancelled(Cancelled::new(Reason::Dropped), location)
        } else {
            Error::at(format!("coroutine `{name}` {what}, at {file}:{line}; it was dropped").into(), location)
        };
        let on_panic = OnPanic::new(self, task);
        on_panic.task().drop_body();
        self.end(on_panic.defuse(), Some(error));
    }

    // Ending.

    /// `task` has ended with a value.
    #[inline]
    fn finish(self: &Rc<Scheduler>, task: TaskRef) {
        if !task.is_plain() {
            return self.end(task, None);
        }
        // As in `end`, but for all that a task does not have that nothing ever happened to.
        let Some(scope) = task.replace_scope(None) else { return };
        let held = scope.remove_task(&task);
        if let Some(waiter) = task.take_first_waiter() {
            waiter.settle_on(self);
        }
        if task.has(State::SCOPE_ROOT) {
            scope.root_finished();
        }
        scope.end_if_empty();
        drop(held);
    }

    /// `task` has ended: with a value, which is in it, or with what it raised.
    #[inline(never)]
    fn end(self: &Rc<Scheduler>, task: TaskRef, raised: Option<Error>) {
        let Some(scope) = task.scope() else { return };
        let kept = (raised.clone(), self.record_outcome(&task, &scope, raised));
        let held = scope.remove_task(&task);
        task.replace_scope(None);
        if let Some(wake_slot) = task.cold(|cold| cold.wake_slot.take()).flatten() {
            self.remove_wake_slot(&wake_slot);
        }
        let well = task.has(State::COMPLETED);
        for waiter in task.take_waiters() {
            if well { waiter.settle() } else { waiter.fail() }
        }
        if task.has(State::SCOPE_ROOT) && well {
            scope.root_finished();
        }
        // After what it left in the background behind a shield, which is cancelled now.
        let released = if task.has(State::HOLDS_WAITERS) { self.release_those_held_by(&task) } else { Vec::new() };
        scope.end_if_empty();
        // Errors and values are the user's, and so are their destructors: they run last.
        drop((kept, held, released));
    }

    /// Says who is to be told of how `task` ended, and keeps its error for those who still wait for it. Gives back what is
    /// of no use to anybody, to be dropped later.
    fn record_outcome(self: &Rc<Scheduler>, task: &TaskRef, scope: &Rc<Scope>, raised: Option<Error>) -> Option<Error> {
        let cancelled = if task.has(State::CANCELLED) { scope.cancelled() } else { None };
        match (raised, cancelled) {
            (None, None) => None,
            (None, Some(why)) => {
                let ignores = matches!(why.why(), Reason::TimedOut | Reason::Raced);
                if task.has_seen_cancellation() && !ignores && !task.is_internal() {
                    let location = task.location.get();
                    let what = format!(
                        "coroutine `{}` answered its cancellation at {}:{} with a value",
                        task.name(),
                        location.file(),
                        location.line()
                    );
                    let error = Error::at(what.into(), location);
                    scope.responsible_domain().add_other(error.traced(vec![Frame::new(task.name(), location)]));
                }
                None
            }
            (Some(error), Some(why)) if error.comes_of_cancellation() => {
                let domain = scope.responsible_domain();
                let seen_outside = domain.failure().unwrap_or_else(|| Error::cancelled(why, error.location()));
                task.cold_mut(|cold| cold.error = Some(seen_outside));
                if domain.grouping() == Grouping::Always && domain.failure().is_some() && !task.is_internal() {
                    let frame = Frame::new(task.name(), error.location());
                    domain.add_other(error.clone().traced(vec![frame]));
                }
                Some(error)
            }
            (Some(error), _) => {
                let domain = scope.responsible_domain();
                // Behind a shield, one may have waited for another that was cancelled, and raises what stopped that.
                let is_told =
                    domain.failure().is_some_and(|failure| error.is_cancelled() || failure.is_same_as(&error));
                let error = if is_told { error } else { error.clone().traced(self.chain(task, error.location())) };
                task.cold_mut(|cold| cold.error = Some(error.clone()));
                let name = match error.trace().last() {
                    Some(origin) if task.is_internal() => origin.name().to_string(),
                    None if task.is_internal() => "run".into(),
                    _ => task.name().into_owned(),
                };
                let why = Cancelled::new(Reason::Failed { name, location: error.location() });
                self.cancel_shields(scope, &domain, &why);
                if is_told {
                } else if domain.set_failure(error.clone()) {
                    self.cancel(&domain, &why);
                } else {
                    domain.add_other(error.clone());
                }
                Some(error)
            }
        }
    }

    /// The coroutines that wait on `task`, which failed at `location`, for as long as exactly one waits on each, up to the
    /// edge of its domain; outermost first.
    fn chain(&self, task: &TaskRef, location: &'static Location<'static>) -> Vec<Frame> {
        let mut frames = Vec::new();
        let mut seen = BTreeSet::new();
        let mut next = Some((task.clone(), location));
        while let Some((task, location)) = next {
            if !seen.insert(task.id.get()) {
                break;
            }
            let name = task.name();
            if !name.is_empty() {
                frames.push(Frame::new(name, location));
            }
            let mut waiting = task.waiting_tasks();
            if task.has(State::SCOPE_ROOT)
                && let Some(scope) = task.scope()
                && !scope.is_domain()
            {
                waiting.extend(scope.owner());
            }
            next = match <[TaskRef; 1]>::try_from(waiting) {
                Ok([waiting]) if in_one_domain(&task, &waiting) => {
                    let location = waiting.location.get();
                    Some((waiting, location))
                }
                _ => None,
            };
        }
        frames.reverse();
        frames
    }

    // Cancelling.

    /// Cancels all that is in `scope` and below, down to any shield.
    pub(crate) fn cancel(&self, scope: &Rc<Scope>, why: &Cancelled) {
        if matches!(why.why(), Reason::TimedOut | Reason::Raced | Reason::Dropped) && !scope.is_domain() {
            scope.release_what_others_wait_for();
        }
        let marked = scope.mark_cancelled(why);
        for task in &marked.shielded {
            self.hold_those_waiting_for(task);
        }
        self.cancelling.borrow_mut().extend(marked.tasks);
        self.is_cancelling.set(true);
        if self.host_sleeps.replace(false) {
            self.inbox().wake_host();
        }
    }

    /// Something failed in `scope`: a shield keeps off what comes from outside of it, but this comes from inside of those
    /// between there and `domain`.
    fn cancel_shields(&self, scope: &Rc<Scope>, domain: &Rc<Scope>, why: &Cancelled) {
        let mut scope = scope.clone();
        while !Rc::ptr_eq(&scope, domain) {
            if scope.is_shield() {
                self.cancel(&scope, why);
            }
            let Some(parent) = scope.parent() else { break };
            scope = parent;
        }
    }

    #[inline(never)]
    fn next_to_cancel(&self) -> Option<TaskRef> {
        loop {
            let task = self.cancelling.borrow_mut().pop_front();
            match task {
                // Above all the one whose failure it was.
                Some(task) if task.is_ended() => {}
                Some(task) => return Some(task),
                None => {
                    self.is_cancelling.set(false);
                    return None;
                }
            }
        }
    }

    #[inline(never)]
    fn cancelling_turn(self: &Rc<Scheduler>, task: TaskRef) {
        if task.has(State::ENDED | State::RUNNING) {
            return;
        }
        if !task.has(State::BEGUN) {
            let location = task.location.get();
            let on_panic = OnPanic::new(self, task);
            on_panic.task().drop_body();
            let task = on_panic.defuse();
            let why = task.scope().and_then(|scope| scope.cancelled());
            let why = why.unwrap_or_else(|| Cancelled::new(Reason::Dropped));
            return self.end(task, Some(Error::cancelled(why, location)));
        }
        if task.has(State::SHIELDED) {
            // It will see it at its next `yield`.
        } else if self.cancel_order.borrow().holds(&task) {
            task.set(State::CANCEL_DEFERRED);
        } else {
            self.turn(task.clone(), State::empty());
        }
        if !task.is_ended() {
            self.hold_those_waiting_for(&task);
        }
    }

    /// `task` has outlived its cancellation, so what waits for it is cancelled only when it has ended.
    fn hold_those_waiting_for(&self, task: &TaskRef) {
        if task.has(State::HOLDS_WAITERS) {
            return;
        }
        let mut waiting = task.waiting_tasks();
        let mut scope = task.scope();
        while let Some(inner) = scope {
            waiting.extend(inner.owner());
            scope = inner.parent();
        }
        // Those that were started after it have had their turn: only cycles, and those who came late to something shared.
        waiting.retain(|other| other.id.get() < task.id.get() && !other.is_ended());
        if !waiting.is_empty() {
            task.set(State::HOLDS_WAITERS);
            self.cancel_order.borrow_mut().hold(task, waiting);
        }
    }

    /// Gives back those that it released: what they hold, if they have ended, may be nobody else's.
    fn release_those_held_by(&self, task: &TaskRef) -> Vec<TaskRef> {
        let released = self.cancel_order.borrow_mut().release(task);
        for task in &released {
            if task.has(State::CANCEL_DEFERRED) && !task.is_ended() {
                task.unset(State::CANCEL_DEFERRED);
                self.cancelling.borrow_mut().push_back(task.clone());
                self.is_cancelling.set(true);
            }
        }
        released
    }

    /// Stops the loop, unless it is stopping already.
    pub(crate) fn stop(&self, error: Error, why: &Cancelled) {
        let root = self.root();
        if !root.is_ended() && root.set_failure(error) {
            self.cancel(&root, why);
        }
    }

    /// Cancels everything, because whoever runs it wants it no longer.
    pub(crate) fn abandon(&self, why: Reason) {
        let why = Cancelled::new(why);
        self.stop(Error::cancelled(why.clone(), self.location), &why);
    }

    fn panicked(self: &Rc<Scheduler>, payload: Box<dyn Any + Send>) {
        self.keep_panic(payload);
        let task = self.panicked.take();
        let (name, location) = match &task {
            // One that only carries a wait has no name: it is the coroutine that waits there, or the run.
            Some(task) => {
                let location = task.location.get();
                let name = self.chain(task, location).pop().map_or("run".into(), |frame| frame.name().to_string());
                (name, location)
            }
            None => (String::from("a destructor"), self.location),
        };
        let why = Cancelled::new(Reason::Failed { name: name.clone(), location });
        if let Some(scope) = task.as_ref().and_then(|task| task.scope()) {
            self.cancel_shields(&scope, &self.root(), &why);
        }
        self.stop(Error::at(format!("`{name}` panicked").into(), location), &why);
        if let Some(task) = task {
            task.unset(State::RUNNING);
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| task.drop_body())) {
                std::mem::forget(payload);
            }
            task.set(State::CANCELLED);
            let ended = catch_unwind(AssertUnwindSafe(|| self.end(task, Some(Error::cancelled(why, location)))));
            if let Err(payload) = ended {
                std::mem::forget(payload);
            }
        }
    }

    /// Only one panic can go on: the first. What a second one carries might panic in its turn.
    fn keep_panic(&self, payload: Box<dyn Any + Send>) {
        let mut panic = self.panic.borrow_mut();
        match &*panic {
            None => *panic = Some(payload),
            Some(_) => std::mem::forget(payload),
        }
    }

    /// What a coroutine panicked with, to be thrown again by whoever runs the loop.
    pub(crate) fn take_panic(&self) -> Option<Box<dyn Any + Send>> {
        self.panic.take()
    }

    // Idleness.

    /// Blocks until something may be ready.
    pub(crate) fn sleep(&self) {
        // There may be the waker of a host, which is dropped there: that is foreign code, and may make something ready.
        self.host_may_sleep();
        self.inbox().sleep(self.deadline());
        self.host_is_awake();
    }

    /// Nothing is ready, and nobody but the loop and what is outside can change that: if they cannot either, stops the loop.
    pub(crate) fn stop_if_stuck(self: &Rc<Scheduler>) -> bool {
        let stuck = !self.has_timers() && !self.may_be_woken();
        if stuck {
            self.stop_stuck(deadlock::report(&self.root(), self.location), || {
                let mut tasks = deadlock::tasks_below(&self.root());
                // Who waits for them is cancelled when they have ended.
                tasks.retain(|task| !task.has(State::CANCEL_DEFERRED));
                tasks
            });
        }
        stuck
    }

    /// Nothing is ready and nothing outside can change that, but whoever hosts the loop may. A cycle they cannot.
    pub(crate) fn stop_if_cyclic(self: &Rc<Scheduler>) -> bool {
        if self.has_timers() || self.may_be_woken() || !self.may_be_cyclic.get() {
            return false;
        }
        let report = deadlock::report(&self.root(), self.location);
        let cycle = report.cycle.clone();
        // A cycle behind a shield is still there when all that can be has been cancelled.
        self.may_be_cyclic.set(!cycle.is_empty());
        if !cycle.is_empty() {
            self.stop_stuck(report, || cycle.clone());
        }
        !cycle.is_empty()
    }

    /// `doomed` are those who must go if the loop was stopping already.
    fn stop_stuck(self: &Rc<Scheduler>, report: Report, doomed: impl Fn() -> Vec<TaskRef>) {
        let root = self.root();
        let (name, location) = report.blamed;
        let error = Error::at(Box::new(report.deadlock), location);
        if root.set_failure(error.clone()) {
            return self.cancel(&root, &Cancelled::new(Reason::Failed { name, location }));
        }
        // They wait behind shields for what will never come.
        root.add_other(error);
        let mut doomed = doomed();
        doomed.sort_unstable_by_key(|task| std::cmp::Reverse(task.id.get()));
        for task in doomed {
            task.set(State::CANCELLED);
            let what = "waited behind a shield for what can no longer come";
            let dropped = catch_unwind(AssertUnwindSafe(|| self.drop_doomed(task, what)));
            if let Err(payload) = dropped {
                self.panicked(payload);
            }
        }
    }

    /// The host is about to sleep, unless something becomes ready before.
    pub(crate) fn host_may_sleep(&self) {
        self.host_sleeps.set(true);
    }

    /// Has `waker` woken when there is something to do; false if there is already.
    pub(crate) fn set_host_waker(&self, waker: &Waker) -> bool {
        // Before: it is foreign code, and may make something ready when it is cloned, or takes the place of another.
        self.host_may_sleep();
        let sleeps = self.inbox().set_host_waker(waker);
        if !sleeps {
            self.host_is_awake();
        }
        sleeps
    }

    /// Whether the host is to be woken when there is something to do: nothing was ready when it looked last.
    #[cfg(any(feature = "smol", feature = "async-std"))]
    pub(crate) fn host_sleeps(&self) -> bool {
        self.host_sleeps.get()
    }

    /// The host does not sleep, so nobody need wake it.
    pub(crate) fn host_is_awake(&self) {
        self.host_sleeps.set(false);
        // It may have been away for long.
        self.clock.set(None);
    }
}

/// Holds a task while code of its coroutine runs. Should that panic, it marks the task as the one that did.
struct OnPanic<'a> {
    scheduler: &'a Scheduler,
    task: Option<TaskRef>,
}

impl OnPanic<'_> {
    #[inline]
    fn new(scheduler: &Scheduler, task: TaskRef) -> OnPanic<'_> {
        OnPanic { scheduler, task: Some(task) }
    }

    #[inline]
    fn task(&self) -> &TaskRef {
        self.task.as_ref().expect("it is there until this is given up")
    }

    #[inline]
    fn defuse(mut self) -> TaskRef {
        self.task.take().expect("it is there until this is given up")
    }
}

impl Drop for OnPanic<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            *self.scheduler.panicked.borrow_mut() = Some(task);
        }
    }
}

/// Whether what one raises is an error of the domain of the other too.
fn in_one_domain(one: &TaskRef, other: &TaskRef) -> bool {
    match (one.scope(), other.scope()) {
        (Some(one), Some(other)) => Rc::ptr_eq(&one, &other) || Rc::ptr_eq(&one.domain(), &other.domain()),
        _ => false,
    }
}
