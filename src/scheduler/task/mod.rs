//! A task: one coroutine in one piece of memory, behind a thin, counted pointer.
//!
//! It begins with a [`Header`], which has the same layout for all tasks. A slot follows. It holds the body of the coroutine
//! until the body has returned, and then the value (see [`cell`]). The header points to a table of functions, which are made
//! for the types of the body and of the value.
//!
//! A task never leaves the thread of its loop. Functions that run in each turn are inline. Functions that are rare, or would
//! add code to each coroutine, are out of line and take `&Header`, so that the handle stays in a register.
//!
//! This file has the header and its fields. [`mod@cold`] has the fields that few tasks need, and [`mod@reference`] has the
//! pointer. [`waiters`] has the waiters of a task, and [`swallowed`] counts cancellations.

pub(crate) mod cell;
mod cold;
pub(super) mod drop;
pub(super) mod memory;
pub(crate) mod protocol;
mod reference;
#[cfg(feature = "tracing")]
mod span;
pub(crate) mod state;
pub(crate) mod swallowed;
mod waiters;

use std::borrow::Cow;
use std::cell::Cell;
use std::panic::Location;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::Arc;

pub(in crate::scheduler) use self::cold::Failure;
pub(crate) use self::cold::OnFailure;
use self::cold::{Cold, Extra};
pub(crate) use self::reference::TaskRef;
use self::state::{BlockedOn, State};
pub(crate) use self::waiters::WaiterKey;
use super::Scheduler;
use super::inbox::WakeSlot;
use super::scope::Scope;
use super::wait::Waiter;
use crate::error::Error;

/// The part of a task that does not depend on the types of its coroutine and its value.
#[repr(C)]
pub(crate) struct Header {
    vtable: &'static VTable,
    refs: Cell<u32>,
    /// How many parts of its wait are pending. If none is, the task is ready.
    pub(crate) pending: Cell<u32>,
    pub(super) state: Cell<State>,
    /// Its index in the list of its scope.
    pub(super) index: Cell<u32>,
    /// Tasks are numbered from 1, in the order in which they start. 0 means that the task has not started.
    pub(crate) id: Cell<u64>,
    scope: Cell<Option<Rc<Scope>>>,
    /// The first waiter. The others are in the cold part.
    waiter: Cell<Option<Waiter>>,
    pub(crate) location: Cell<&'static Location<'static>>,
    extra: Cell<Extra>,
}

/// The part of a task that depends on the types of the coroutine and its value. [`cell`] has the functions.
pub(super) struct VTable {
    name: &'static str,
    resume: unsafe fn(NonNull<Header>, TaskRef) -> TurnEnd,
    drop_body: unsafe fn(NonNull<Header>),
    output: unsafe fn(NonNull<Header>) -> NonNull<()>,
    drop_output: unsafe fn(NonNull<Header>),
    output_needs_drop: bool,
    free: unsafe fn(NonNull<Header>),
}

/// How a turn ended.
pub(crate) enum TurnEnd {
    Suspended,
    Completed,
    Raised(Error),
}

/// Calls `look` with the content of `cell`. `look` must not use the same cell.
#[inline]
fn peek<T, R>(cell: &Cell<Option<T>>, look: impl FnOnce(Option<&T>) -> R) -> R {
    let value = cell.take();
    let result = look(value.as_ref());
    // `replace` returns `None`, because the cell is empty. Forgetting the `None` saves a check for something to drop.
    std::mem::forget(cell.replace(value));
    result
}

impl Header {
    fn new(vtable: &'static VTable, location: &'static Location<'static>, state: State) -> Header {
        Header {
            vtable,
            refs: Cell::new(1),
            pending: Cell::new(0),
            state: Cell::new(state),
            index: Cell::new(0),
            id: Cell::new(0),
            scope: Cell::new(None),
            waiter: Cell::new(None),
            location: Cell::new(location),
            extra: Cell::default(),
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

    /// Whether the end of the task consists only of leaving its scope and settling its first waiter.
    #[inline]
    pub(super) fn is_plain(&self) -> bool {
        self.with_extra(|extra| extra.is_none()) && !self.has(State::UNUSUAL)
    }

    /// The name of the coroutine. Empty for an internal task, which the library made to carry a wait.
    pub(crate) fn name(&self) -> Cow<'static, str> {
        self.cold(|cold| cold.name.clone()).flatten().unwrap_or(Cow::Borrowed(self.vtable.name))
    }

    /// The name of the function of the coroutine. `None` if the task has a cold part, which may have another name. This is faster than
    /// [`name`](Header::name), because the result is returned in registers.
    #[inline]
    pub(crate) fn function_name(&self) -> Option<&'static str> {
        self.with_extra(|extra| extra.cold().is_none()).then_some(self.vtable.name)
    }

    /// Whether the library made this task to carry a wait. Reports leave such a task out.
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

    /// Calls `look` with the scheduler of the task, if it has one. `look` must not use the scope of this task.
    #[inline]
    pub(crate) fn with_scheduler<R>(&self, look: impl FnOnce(&Scheduler) -> R) -> Option<R> {
        peek(&self.scope, |scope| scope.map(|scope| look(scope.scheduler())))
    }

    pub(crate) fn scheduler(&self) -> Option<Rc<Scheduler>> {
        peek(&self.scope, |scope| scope.map(|scope| scope.scheduler().clone()))
    }

    /// Calls `with` with what the task has besides the header. `with` must access it only through its argument.
    #[inline]
    fn with_extra<R>(&self, with: impl FnOnce(&mut Extra) -> R) -> R {
        let mut extra = self.extra.take();
        let result = with(&mut extra);
        // `replace` returns an empty `Extra`, because the cell is empty. Forgetting it saves a check for something to drop.
        std::mem::forget(self.extra.replace(extra));
        result
    }

    /// Calls `with` with the cold part, if there is one. `with` must access it only through its argument.
    pub(crate) fn cold<R>(&self, with: impl FnOnce(&mut Cold) -> R) -> Option<R> {
        self.with_extra(|extra| extra.cold_mut().map(with))
    }

    /// Calls `with` with the cold part, which is made if there is none. `with` must access it only through its argument.
    pub(crate) fn cold_mut<R>(&self, with: impl FnOnce(&mut Cold) -> R) -> R {
        self.with_extra(|extra| with(extra.cold_or_new(self.location.get())))
    }

    /// Notes why it has ended without a value.
    pub(in crate::scheduler) fn set_failure(&self, failure: Failure) {
        match failure {
            // The location of the task does not change any more, so only the reason has to be stored.
            Failure::Cancelled(reason, location)
                if std::ptr::eq(location, self.location.get()) && self.with_extra(|extra| extra.is_none()) =>
            {
                self.with_extra(|extra| *extra = Extra::of_reason(reason));
            }
            failure => self.cold_mut(|cold| cold.failure = Some(failure)),
        }
    }

    pub(crate) fn error(&self) -> Option<Error> {
        if self.with_extra(|extra| extra.is_reason()) {
            // This makes a cold part, which takes the reason. The error is stored there below.
            self.cold_mut(|_| ());
        }
        self.cold(|cold| {
            if let Some(Failure::Cancelled(reason, location)) = &cold.failure {
                cold.failure = Some(Failure::Raised(Error::cancelled(reason.clone(), location)));
            }
            match &cold.failure {
                Some(Failure::Raised(error)) => Some(error.clone()),
                _ => None,
            }
        })
        .flatten()
    }

    /// The wake slot by which foreign wakers reach this task, if it has one.
    #[inline]
    pub(super) fn wake_slot(&self) -> Option<*const WakeSlot> {
        // SAFETY: only functions of this thread use the cold part, and no function that changes it is called while this
        // function reads it. The result does not borrow it.
        let extra = unsafe { &*self.extra.as_ptr() };
        extra.cold()?.wake_slot.as_ref().map(Arc::as_ptr)
    }
}
