//! A task: one coroutine in one allocation, behind a thin, counted pointer.
//!
//! The allocation begins with a [`Header`], which has the same layout for all tasks. A slot follows: it holds the body of the
//! coroutine while that lives, and its value afterwards (see [`cell`]). The header has a table of functions that know the types
//! of both.
//!
//! All of a task stays on the thread of its loop. What many places need is inline; what is rare, or would add code to each
//! coroutine, is out of line and takes `&Header`, so that the handle stays in a register.

pub(crate) mod cell;
pub(super) mod drop;
pub(crate) mod protocol;
#[cfg(feature = "tracing")]
mod span;
pub(crate) mod state;

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::panic::Location;
use std::ptr::NonNull;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use self::state::{BlockedOn, State};
use super::Scheduler;
use super::end::OnFailure;
use super::holds::Hold;
use super::inbox::WakeSlot;
use super::scope::Scope;
use super::wait::Waiter;
use super::wait_queue::{Key, WaitQueue};
use crate::error::Error;
use crate::work;

/// A cancelled coroutine that goes on waiting without a shield is dropped after this many cancellations in a row.
pub(crate) const MAX_SWALLOWED: u8 = 100;

/// The part of a task that does not depend on the types of its coroutine and its value.
#[repr(C)]
pub(crate) struct Header {
    vtable: &'static VTable,
    refs: Cell<u32>,
    /// How many parts of its wait are pending. At zero, the task is ready.
    pub(crate) pending: Cell<u32>,
    pub(super) state: Cell<State>,
    /// Its index in the list of its scope.
    pub(super) index: Cell<u32>,
    /// Tasks are numbered in the order in which they start, from 1. 0: not started.
    pub(crate) id: Cell<u64>,
    scope: Cell<Option<Rc<Scope>>>,
    /// The first waiter. The others are in the cold part.
    waiter: Cell<Option<Waiter>>,
    pub(crate) location: Cell<&'static Location<'static>>,
    /// Dropped by [`Header::drop`].
    cold: ManuallyDrop<Cell<Option<Box<Cold>>>>,
}

/// Most tasks have no cold part: then there is nothing to call.
impl Drop for Header {
    #[inline(always)]
    fn drop(&mut self) {
        if self.cold.get_mut().is_some() {
            self.drop_cold();
        }
    }
}

impl Header {
    #[cold]
    #[inline(never)]
    fn drop_cold(&mut self) {
        drop(self.cold.take());
    }
}

/// The part that few tasks have.
#[derive(Default)]
pub(crate) struct Cold {
    pub(crate) name: Option<Cow<'static, str>>,
    /// What is added to errors that leave it, innermost first.
    pub(crate) contexts: Vec<Rc<str>>,
    /// The span of its turns. Entering, leaving and dropping it is user code.
    #[cfg(feature = "tracing")]
    pub(super) span: Option<Rc<tracing::Span>>,
    /// What the task raised, or what its cancelled domain failed with.
    pub(crate) error: Option<Error>,
    pub(super) waiters: WaitQueue<Waiter>,
    /// What has to know if the task ends without a value.
    pub(crate) on_failure: Option<Weak<dyn OnFailure>>,
    pub(super) wake_slot: Option<Arc<WakeSlot>>,
    /// 0: no cancellation was raised that the end of the task has to answer. Otherwise the number raised in a row, plus one.
    cancellations: u8,
    /// The tasks whose cancellation is put off until this one has ended.
    pub(super) holds: Vec<TaskRef>,
    /// Tasks whose cancellation is put off for this task and for other ones.
    pub(super) holds_owners: Option<Rc<Hold>>,
    /// How many tasks put off the cancellation of this one.
    pub(super) held_by: u32,
}

impl Cold {
    fn has_swallowed_too_many(&self) -> bool {
        self.cancellations > MAX_SWALLOWED + 1
    }
}

/// What the types of the coroutine and its value decide. The functions are those of a [`cell::TaskCell`].
pub(super) struct VTable {
    name: &'static str,
    resume: unsafe fn(NonNull<Header>, TaskRef) -> Turn,
    drop_body: unsafe fn(NonNull<Header>),
    output: unsafe fn(NonNull<Header>) -> NonNull<()>,
    drop_output: unsafe fn(NonNull<Header>),
    output_needs_drop: bool,
    free: unsafe fn(NonNull<Header>),
}

/// How a turn ended.
pub(crate) enum Turn {
    Suspended,
    Completed,
    Raised(Error),
}

/// Where a task keeps one of its waiters.
#[derive(Clone, Copy)]
pub(crate) enum WaiterKey {
    First,
    Further(Key),
}

/// Looks at what is in `cell`. `look` must not use the same cell.
#[inline]
fn peek<T, R>(cell: &Cell<Option<T>>, look: impl FnOnce(Option<&T>) -> R) -> R {
    let value = cell.take();
    let result = look(value.as_ref());
    // The cell is empty: nothing is left to drop. To forget it saves the check.
    std::mem::forget(cell.replace(value));
    result
}

// State.

impl Header {
    fn new(vtable: &'static VTable, location: &'static Location<'static>) -> Header {
        Header {
            vtable,
            refs: Cell::new(1),
            pending: Cell::new(0),
            state: Cell::new(State::empty()),
            index: Cell::new(0),
            id: Cell::new(0),
            scope: Cell::new(None),
            waiter: Cell::new(None),
            location: Cell::new(location),
            cold: ManuallyDrop::new(Cell::new(None)),
        }
    }

    /// Whether any of `bits` is set.
    #[inline(always)]
    pub(crate) fn has(&self, bits: State) -> bool {
        self.state.get().intersects(bits)
    }

    #[inline(always)]
    pub(super) fn change(&self, unset: State, set: State) {
        self.state.set(self.state.get().difference(unset).union(set));
    }

    #[inline]
    pub(crate) fn set(&self, bits: State) {
        self.change(State::empty(), bits);
    }

    #[inline]
    pub(crate) fn unset(&self, bits: State) {
        self.change(bits, State::empty());
    }

    /// What it is blocked on, for reports.
    pub(super) fn blocked_on(&self) -> BlockedOn {
        self.state.get().blocked_on()
    }

    /// Notes one more thing that it is blocked on.
    pub(crate) fn note_blocked_on(&self, on: BlockedOn) {
        self.set(State::with_blocked_on(on));
    }

    /// Whether it was started, on any loop.
    pub(crate) fn is_started(&self) -> bool {
        self.id.get() != 0
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.has(State::ENDED)
    }

    /// Whether it has completed with a value that is for its waiters.
    pub(crate) fn has_value(&self) -> bool {
        self.has(State::COMPLETED) && !self.has(State::DISCARDED)
    }

    /// Whether its end needs no more than leaving its scope and settling one waiter.
    #[inline]
    pub(super) fn is_plain(&self) -> bool {
        peek(&self.cold, |cold| cold.is_none()) && !self.has(State::UNUSUAL)
    }

    /// The name of the coroutine. Empty for a task that the library made to carry a wait.
    pub(crate) fn name(&self) -> Cow<'static, str> {
        self.cold(|cold| cold.name.clone()).flatten().unwrap_or(Cow::Borrowed(self.vtable.name))
    }

    /// Whether the library made it to carry a wait, so that reports leave it out.
    pub(crate) fn is_internal(&self) -> bool {
        self.name().is_empty()
    }

    #[inline]
    pub(crate) fn scope(&self) -> Option<Rc<Scope>> {
        peek(&self.scope, |scope| scope.cloned())
    }

    pub(super) fn replace_scope(&self, scope: Option<Rc<Scope>>) -> Option<Rc<Scope>> {
        self.scope.replace(scope)
    }

    /// Looks at its scheduler, if it has one. `look` must not use the scope of this task.
    #[inline]
    pub(crate) fn with_scheduler<R>(&self, look: impl FnOnce(&Scheduler) -> R) -> Option<R> {
        peek(&self.scope, |scope| scope.map(|scope| look(scope.scheduler())))
    }

    pub(crate) fn scheduler(&self) -> Option<Rc<Scheduler>> {
        peek(&self.scope, |scope| scope.map(|scope| scope.scheduler().clone()))
    }

    /// Uses the cold part, if there is one. `with` must not use it by another way.
    pub(crate) fn cold<R>(&self, with: impl FnOnce(&mut Cold) -> R) -> Option<R> {
        let mut cold = self.cold.take()?;
        let result = with(&mut cold);
        self.cold.set(Some(cold));
        Some(result)
    }

    /// Uses the cold part, which is made if there is none. `with` must not use it by another way.
    pub(crate) fn cold_mut<R>(&self, with: impl FnOnce(&mut Cold) -> R) -> R {
        let mut cold = self.cold.take().unwrap_or_default();
        let result = with(&mut cold);
        self.cold.set(Some(cold));
        result
    }

    pub(crate) fn error(&self) -> Option<Error> {
        self.cold(|cold| cold.error.clone()).flatten()
    }

    /// The slot in which foreign wakers find this task, if it has one.
    #[inline]
    pub(super) fn wake_slot(&self) -> Option<*const WakeSlot> {
        // SAFETY: only functions of this thread use the cold part, and none that changes it is called while this one looks. The
        // result does not borrow it.
        let cold = unsafe { &*self.cold.as_ptr() };
        cold.as_ref()?.wake_slot.as_ref().map(Arc::as_ptr)
    }
}

// Cancellations that were raised in it.

impl Header {
    /// Counts one more cancellation. Returns whether it has swallowed too many.
    pub(super) fn count_cancellation(&self) -> bool {
        self.cold_mut(|cold| {
            cold.cancellations = cold.cancellations.max(1).saturating_add(1);
            cold.has_swallowed_too_many()
        })
    }

    /// Whether it has swallowed so many cancellations that it is to be dropped.
    pub(super) fn is_doomed(&self) -> bool {
        self.cold(|cold| cold.has_swallowed_too_many()).unwrap_or(false)
    }

    /// Whether a cancellation was raised in it that its end has to answer.
    pub(super) fn has_seen_cancellation(&self) -> bool {
        self.cold(|cold| cold.cancellations > 0).unwrap_or(false)
    }

    /// Makes the value that it is about to return a proper answer to its cancellation, which no waiter gets.
    pub(crate) fn discard_value(&self) {
        self.cold(|cold| cold.cancellations = 0);
        self.set(State::DISCARDED);
    }

    /// Starts the count of cancellations in a row anew: it has waited at a shield.
    pub(crate) fn reset_cancel_count(&self) {
        self.cold(|cold| cold.cancellations = cold.cancellations.min(1));
    }
}

// Waiters.

impl Header {
    /// Adds a waiter, to be settled when this task ends.
    pub(crate) fn add_waiter(&self, waiter: Waiter) -> WaiterKey {
        let has_further = self.cold(|cold| cold.waiters.len() != 0).unwrap_or(false);
        // If the first has given up, the others still come before this one.
        if self.has_waiter() || has_further {
            return WaiterKey::Further(self.cold_mut(|cold| cold.waiters.push_back(waiter)));
        }
        self.add_first_waiter(waiter);
        WaiterKey::First
    }

    /// Adds the first waiter of a task that starts now.
    #[inline]
    pub(crate) fn add_first_waiter(&self, waiter: Waiter) {
        self.waiter.set(Some(waiter));
    }

    #[inline]
    pub(super) fn take_first_waiter(&self) -> Option<Waiter> {
        self.waiter.take()
    }

    /// Whether the first waiter is there.
    pub(crate) fn has_waiter(&self) -> bool {
        peek(&self.waiter, |waiter| waiter.is_some())
    }

    /// Whether any task waits for this one.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.has_waiter() || self.cold(|cold| cold.waiters.len() != 0).unwrap_or(false)
    }

    /// Takes out one waiter, unless it was settled before.
    pub(super) fn take_waiter(&self, key: WaiterKey) -> Option<Waiter> {
        match key {
            WaiterKey::First => self.waiter.take(),
            WaiterKey::Further(key) => self.cold(|cold| cold.waiters.remove(key)).flatten(),
        }
    }

    /// Removes a waiter that gives up, unless it was settled before.
    pub(crate) fn remove_waiter(&self, key: WaiterKey) {
        if let Some(waiter) = self.take_waiter(key) {
            waiter.give_up();
        }
    }

    /// Takes the waiters out, in the order in which they came.
    pub(super) fn take_waiters(&self) -> impl Iterator<Item = Waiter> {
        let mut first = self.waiter.take();
        std::iter::from_fn(move || first.take().or_else(|| self.cold(|cold| cold.waiters.pop_front()).flatten()))
    }

    /// The task that has waited longest for this one, if it has not ended.
    pub(super) fn first_waiting_task(&self) -> Option<TaskRef> {
        let first = peek(&self.waiter, |waiter| waiter.map(|waiter| waiter.task().clone()));
        let first = first
            .or_else(|| self.cold(|cold| cold.waiters.iter().next().map(|waiter| waiter.task().clone())).flatten());
        first.filter(|task| !task.is_ended())
    }

    /// The tasks that wait for this one. A task that has ended and has forgotten a wait is left out.
    pub(super) fn waiting_tasks(&self) -> Vec<TaskRef> {
        let mut tasks = Vec::new();
        peek(&self.waiter, |waiter| tasks.extend(waiter.map(|waiter| waiter.task().clone())));
        self.cold(|cold| tasks.extend(cold.waiters.iter().map(|waiter| waiter.task().clone())));
        tasks.retain(|task| {
            work::count();
            !task.is_ended()
        });
        tasks
    }
}

/// A counted pointer to a task. Neither `Send` nor `Sync`.
pub(crate) struct TaskRef(NonNull<Header>);

impl TaskRef {
    pub(super) fn as_ptr(&self) -> *mut Header {
        self.0.as_ptr()
    }

    /// A reference to the task of [`as_ptr`](TaskRef::as_ptr) that is not counted. `None` if it is null.
    ///
    /// # Safety
    ///
    /// `task` is null, or there is a counted reference to it for as long as the result is used.
    #[inline]
    pub(super) unsafe fn lend(task: *mut Header) -> Option<ManuallyDrop<TaskRef>> {
        NonNull::new(task).map(|task| ManuallyDrop::new(TaskRef(task)))
    }

    pub(crate) fn is(&self, other: &TaskRef) -> bool {
        self.0 == other.0
    }

    /// Resumes the coroutine once, and clears the bits `cleared` before. The task stays [`RUNNING`](State::RUNNING): the caller
    /// clears that bit together with others.
    ///
    /// # Panics
    ///
    /// With what the coroutine panics with.
    ///
    /// # Safety
    ///
    /// None of the bits `ENDED` and `RUNNING` is set.
    #[inline]
    pub(super) unsafe fn resume(&self, cleared: State) -> Turn {
        #[cfg(feature = "tracing")]
        let _in_span = if self.has(State::IN_SPAN) { self.enter_span() } else { None };
        self.change(cleared, State::RUNNING | State::BEGUN);
        // SAFETY: the table is that of the cell that the header is part of. ENDED was not set, so the slot holds the body.
        // RUNNING was not set, so the body is not being resumed.
        unsafe { (self.vtable.resume)(self.0, self.clone()) }
    }

    /// Drops the coroutine where it stands, if it is there and does not run.
    pub(super) fn drop_body(&self) {
        if !self.has(State::ENDED | State::RUNNING) {
            // SAFETY: the table is that of the cell. The slot holds the body, which is not being resumed.
            unsafe { (self.vtable.drop_body)(self.0) };
        }
    }
}

impl Deref for TaskRef {
    type Target = Header;

    #[inline]
    fn deref(&self) -> &Header {
        // SAFETY: the cell is freed only when the last `TaskRef` is dropped, and this is one. The header is never borrowed
        // mutably: all of its fields are read-only or in `Cell`s.
        unsafe { self.0.as_ref() }
    }
}

impl Clone for TaskRef {
    #[inline]
    fn clone(&self) -> TaskRef {
        let count = self.refs.get();
        // A count that overflows would free a task in use. Only a program that forgets four thousand million clones gets here;
        // `Rc` aborts too.
        if count == u32::MAX {
            std::process::abort();
        }
        self.refs.set(count + 1);
        TaskRef(self.0)
    }
}

impl fmt::Debug for TaskRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self {
            task if task.has(State::COMPLETED) => "finished",
            task if task.has(State::CLOSED) => "over",
            task if task.has(State::RUNNING) => "running",
            task if task.has(State::BEGUN) => "waiting",
            _ if self.is_started() => "started",
            _ => "not started",
        };
        f.debug_struct("Task").field("name", &self.name()).field("state", &state).finish()
    }
}
