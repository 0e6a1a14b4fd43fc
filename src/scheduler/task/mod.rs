//! A task: one coroutine in one allocation, behind a thin, counted pointer.
//!
//! The allocation begins with a [`Header`] that is the same for all, and ends with a slot that holds the coroutine's body
//! while it lives and its value afterwards. The header's table of functions knows the types of both.

use std::any::type_name;
use std::borrow::Cow;
use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Coroutine, CoroutineState, Deref};
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

pub(crate) mod protocol;
pub(crate) mod state;

use self::protocol::{Outcome, Resume, Suspend};
use self::state::{BlockedOn, State};
use super::inbox::WakeSlot;
use super::scope::Scope;
use super::wait_queue::WaitQueue;
use super::{Scheduler, trampoline};
use crate::error::{Cancelled, Error, Reason, Result};

/// A cancelled coroutine that goes on waiting unshielded is dropped after so many cancellations in a row.
pub(crate) const MOST_SWALLOWED: u8 = 100;

/// What every task has, whatever the types of its coroutine and its value.
#[repr(C)]
pub(crate) struct Header {
    vtable: &'static VTable,
    refs: Cell<u32>,
    /// How many parts of what it waits for are not there yet.
    pub(crate) pending: Cell<u32>,
    state: Cell<State>,
    pub(crate) waits_on: Cell<BlockedOn>,
    /// Its place in the list of its scope.
    pub(crate) index: Cell<u32>,
    /// Tasks are numbered as they are started, from 1.
    pub(crate) id: Cell<u64>,
    scope: Cell<Option<Rc<Scope>>>,
    /// The first of those that wait for it; the others are in the cold.
    waiter: Cell<Option<Waiter>>,
    pub(crate) location: Cell<&'static Location<'static>>,
    cold: Cell<Option<Box<Cold>>>,
}

/// What is slow, or would be too much code in each coroutine, is out of line. It takes the header, which a handle points to, and
/// not the handle: that would have to have a place in memory for it.
impl Header {
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

    /// Whether it has been started, on some loop.
    pub(crate) fn is_started(&self) -> bool {
        self.id.get() != 0
    }

    /// Whether nothing has happened to it that ending it would have to look at.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        let cell = &self.cold;
        let cold = cell.take();
        let none = cold.is_none();
        std::mem::forget(cell.replace(cold));
        none && !self.has(State::UNUSUAL)
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.has(State::ENDED)
    }

    /// The coroutine's name, empty for those that the library makes and nobody wants to see.
    pub(crate) fn name(&self) -> Cow<'static, str> {
        self.cold(|cold| cold.name.clone()).flatten().unwrap_or(Cow::Borrowed(self.vtable.name))
    }

    /// Whether the library made it to carry a wait: nobody has heard of it.
    pub(crate) fn is_internal(&self) -> bool {
        self.name().is_empty()
    }

    /// Looks at its scope, if it is in one. `look` must not come back to it.
    #[inline]
    fn look_at_scope<R>(&self, look: impl FnOnce(&Rc<Scope>) -> R) -> Option<R> {
        let scope = self.scope.take();
        let seen = scope.as_ref().map(look);
        // Nothing is there now that would have to be dropped.
        std::mem::forget(self.scope.replace(scope));
        seen
    }

    #[inline]
    pub(crate) fn scope(&self) -> Option<Rc<Scope>> {
        self.look_at_scope(Rc::clone)
    }

    pub(crate) fn replace_scope(&self, scope: Option<Rc<Scope>>) -> Option<Rc<Scope>> {
        self.scope.replace(scope)
    }

    pub(crate) fn scheduler(&self) -> Option<Rc<Scheduler>> {
        self.look_at_scope(|scope| scope.scheduler().clone())
    }

    /// Looks at the cold, if there are any. `look` must not come back to them.
    pub(crate) fn cold<R>(&self, look: impl FnOnce(&mut Cold) -> R) -> Option<R> {
        let mut cold = self.cold.take()?;
        let result = look(&mut cold);
        self.cold.set(Some(cold));
        Some(result)
    }

    /// Changes the cold. `change` must not come back to them.
    pub(crate) fn cold_mut<R>(&self, change: impl FnOnce(&mut Cold) -> R) -> R {
        let mut cold = self.cold.take().unwrap_or_default();
        let result = change(&mut cold);
        self.cold.set(Some(cold));
        result
    }

    /// What it raised, or what its cancelled domain failed with.
    pub(crate) fn error(&self) -> Option<Error> {
        self.cold(|cold| cold.error.clone()).flatten()
    }

    /// Whether it keeps what it raised, which is the user's.
    fn keeps_error(&self) -> bool {
        self.cold(|cold| cold.error.is_some()).unwrap_or(false)
    }

    /// Counts one more cancellation that was raised in it; whether that was one too many.
    pub(crate) fn count_cancellation(&self) -> bool {
        self.cold_mut(|cold| {
            cold.cancellations = cold.cancellations.saturating_add(1);
            cold.cancellations > MOST_SWALLOWED
        })
    }

    /// Whether it has swallowed its cancellation too often and is to be dropped.
    pub(crate) fn is_doomed(&self) -> bool {
        self.cold(|cold| cold.cancellations > MOST_SWALLOWED).unwrap_or(false)
    }

    /// Whether a cancellation was raised in it, which its end has to answer.
    pub(crate) fn has_seen_cancellation(&self) -> bool {
        self.cold(|cold| cold.cancellations > 0).unwrap_or(false)
    }

    /// Whatever it ends with now is a proper answer to its cancellation.
    pub(crate) fn mark_cancellation_handled(&self) {
        self.cold(|cold| cold.cancellations = 0);
    }

    /// It waited at a shield in between: the count of cancellations in a row starts anew.
    pub(crate) fn reset_cancel_count(&self) {
        self.cold(|cold| cold.cancellations = cold.cancellations.min(1));
    }

    /// The coroutine is about to wait for something, at `location`; false if it may not, and polling is to raise why.
    #[inline]
    pub(crate) fn begin_wait(&self, shielded: bool, location: &'static Location<'static>) -> bool {
        const LOOKED_AT: State = State::RUNNING.union(State::SLOW);
        let state = self.state.get();
        if state.intersection(LOOKED_AT) == State::RUNNING && self.pending.get() == 0 {
            self.location.set(location);
            self.waits_on.set(BlockedOn::empty());
            self.set(if shielded { State::WAIT_BEGUN | State::SHIELDED } else { State::WAIT_BEGUN });
            return true;
        }
        self.begin_wait_slow(shielded, location)
    }

    #[inline(never)]
    fn begin_wait_slow(&self, shielded: bool, location: &'static Location<'static>) -> bool {
        if !self.has(State::RUNNING) {
            return false;
        }
        self.location.set(location);
        self.stop_polling_future();
        if self.pending.get() != 0 {
            self.set(State::SECOND_WAIT);
            return false;
        }
        self.waits_on.set(BlockedOn::empty());
        self.unset(State::FAILED);
        if self.has(State::CANCELLED) && !shielded {
            return false;
        }
        self.set(if shielded { State::WAIT_BEGUN | State::SHIELDED } else { State::WAIT_BEGUN });
        true
    }

    /// The cancellation, to be raised at the wait that it is in. None if it has swallowed too many: then it is to suspend,
    /// and will not be resumed.
    pub(crate) fn raise_cancelled(&self) -> Option<Error> {
        self.stop_polling_future();
        if self.count_cancellation() {
            return None;
        }
        let why = self.scope().and_then(|scope| scope.cancelled());
        let why = why.unwrap_or_else(|| Cancelled::new(Reason::Dropped));
        Some(Error::cancelled(why, self.location.get()))
    }

    /// What comes instead of a poll, if this task may not poll a future now.
    #[inline(never)]
    fn refuses_future(&self, location: &'static Location<'static>) -> Option<Poll<Error>> {
        if !self.has(State::RUNNING) {
            return Some(Poll::Ready(stale_resume(location)));
        }
        if !self.has(State::CANCELLED) {
            return None;
        }
        self.location.set(location);
        Some(self.raise_cancelled().map_or(Poll::Pending, Poll::Ready))
    }

    /// Where this task is woken from outside, if it has been before.
    #[inline]
    fn wake_slot(&self) -> Option<*const WakeSlot> {
        // SAFETY: the cold are only reached by functions of this thread, and this one calls none that changes them while
        // it looks; what it gives back does not borrow them.
        let cold = unsafe { &*self.cold.as_ptr() };
        cold.as_ref()?.wake_slot.as_ref().map(Arc::as_ptr)
    }

    /// It waits for something of this [kind](super::kind).
    pub(crate) fn note(&self, on: BlockedOn) {
        self.waits_on.set(self.waits_on.get() | on);
    }

    #[inline]
    fn stop_polling_future(&self) -> bool {
        let awaiting = self.has(State::POLLING_FUTURE);
        if awaiting {
            self.unset(State::POLLING_FUTURE);
            let pending = &self.pending;
            pending.set(pending.get() - 1);
        }
        awaiting
    }

    /// Has `waiter` told when this task ends.
    pub(crate) fn add_waiter(&self, waiter: Waiter) -> WaiterKey {
        match self.waiter.take() {
            // If the first gave up, those who came after it come before this one.
            None if self.cold(|cold| cold.waiters.len()).unwrap_or(0) == 0 => {
                self.waiter.set(Some(waiter));
                WaiterKey::First
            }
            first => {
                self.waiter.set(first);
                WaiterKey::Further(self.cold_mut(|cold| cold.waiters.push_back(waiter)))
            }
        }
    }

    /// As [`add_waiter`](Header::add_waiter), for a task that has not been started until now: nobody waits for it.
    #[inline]
    pub(crate) fn add_first_waiter(&self, waiter: Waiter) {
        self.waiter.set(Some(waiter));
    }

    /// The one that waits for this task, if there is one and no others.
    #[inline]
    pub(crate) fn take_first_waiter(&self) -> Option<Waiter> {
        self.waiter.take()
    }

    pub(crate) fn has_waiter(&self) -> bool {
        let first = self.waiter.take();
        let has = first.is_some();
        self.waiter.set(first);
        has
    }

    /// The waiter gives up, unless it was told already.
    pub(crate) fn remove_waiter(&self, key: WaiterKey) {
        let waiter = match key {
            WaiterKey::First => self.waiter.take(),
            WaiterKey::Further(key) => self.cold(|cold| cold.waiters.remove(key)).flatten(),
        };
        if let Some(waiter) = waiter {
            waiter.give_up();
        }
    }

    /// Those that wait for this task, first come first.
    pub(crate) fn take_waiters(&self) -> impl Iterator<Item = Waiter> {
        let mut first = self.waiter.take();
        std::iter::from_fn(move || first.take().or_else(|| self.cold(|cold| cold.waiters.pop_front()).flatten()))
    }

    /// The tasks that wait for this one; not those that have ended and only forgot to give up.
    pub(crate) fn waiting_tasks(&self) -> Vec<TaskRef> {
        let mut tasks = Vec::new();
        let first = self.waiter.take();
        tasks.extend(first.as_ref().map(|waiter| waiter.0.clone()));
        self.waiter.set(first);
        self.cold(|cold| tasks.extend(cold.waiters.iter().map(|waiter| waiter.0.clone())));
        tasks.retain(|task| !task.is_ended());
        tasks
    }
}

/// What few tasks have.
#[derive(Default)]
pub(crate) struct Cold {
    pub(crate) name: Option<Cow<'static, str>>,
    pub(crate) error: Option<Error>,
    pub(crate) waiters: WaitQueue<Waiter>,
    pub(crate) wake_slot: Option<Arc<WakeSlot>>,
    /// How many cancellations in a row were raised in it. More than [`MOST_SWALLOWED`]: it is to be dropped.
    cancellations: u8,
}

struct VTable {
    name: &'static str,
    resume: unsafe fn(NonNull<Header>, Resume) -> Turn,
    drop_body: unsafe fn(NonNull<Header>),
    output: unsafe fn(NonNull<Header>) -> NonNull<()>,
    drop_output: unsafe fn(NonNull<Header>),
    output_needs_drop: bool,
    free: unsafe fn(NonNull<Header>),
}

/// What a coroutine did in its turn.
pub(crate) enum Turn {
    Suspended,
    Finished,
    Raised(Error),
}

#[repr(C)]
struct TaskCell<T, C> {
    header: Header,
    slot: UnsafeCell<Slot<T, C>>,
}

union Slot<T, C> {
    body: ManuallyDrop<C>,
    output: ManuallyDrop<T>,
}

impl<T, C> TaskCell<T, C>
where
    T: 'static,
    C: Coroutine<Resume, Yield = Suspend, Return = Outcome<T>> + 'static,
{
    const fn vtable(name: &'static str) -> VTable {
        VTable {
            name,
            resume: Self::resume,
            drop_body: Self::drop_body,
            output: Self::output,
            drop_output: Self::drop_output,
            output_needs_drop: std::mem::needs_drop::<T>(),
            free: Self::free,
        }
    }

    /// # Safety
    ///
    /// `task` is the header of a live `TaskCell<T, C>`.
    unsafe fn slot(task: NonNull<Header>) -> *mut Slot<T, C> {
        // SAFETY: by contract `task` points to the first field of a live cell of these very types (`repr(C)`), and was
        // made from a pointer to the whole of it, in `Task::new`.
        unsafe { task.cast::<Self>().as_ref().slot.get() }
    }

    /// # Safety
    ///
    /// `task` is the header of a live `TaskCell<T, C>` whose slot holds the body, which is not being resumed.
    unsafe fn resume(task: NonNull<Header>, resume: Resume) -> Turn {
        // SAFETY: by contract.
        let slot = unsafe { Self::slot(task) };
        // SAFETY: the slot holds the body, and nothing else refers to it: it is reached only here and in `drop_body`,
        // neither of which is called while this runs (the caller has set RUNNING). The cell is on the heap and is never
        // moved, and the body is dropped in place before the slot is used for anything else: it is pinned.
        let body = unsafe { Pin::new_unchecked(&mut *(*slot).body) };
        match body.resume(resume) {
            CoroutineState::Yielded(Suspend) => Turn::Suspended,
            CoroutineState::Complete(Outcome(result)) => {
                // SAFETY: as `drop_body` asks: the body is there, and `resume` has returned.
                unsafe { Self::drop_body(task) };
                match result {
                    Ok(value) => {
                        // SAFETY: the slot is empty now (EMPTY was set by `drop_body`), so writing forgets nothing.
                        unsafe { (*slot).output = ManuallyDrop::new(value) };
                        // SAFETY: by contract.
                        unsafe { task.as_ref() }.change(State::CLOSED | State::RUNNING, State::COMPLETED);
                        Turn::Finished
                    }
                    Err(error) => Turn::Raised(error),
                }
            }
        }
    }

    /// # Safety
    ///
    /// `task` is the header of a live `TaskCell<T, C>` whose slot holds the body, which is not being resumed.
    unsafe fn drop_body(task: NonNull<Header>) {
        // SAFETY: by contract.
        let (slot, header) = unsafe { (Self::slot(task), task.as_ref()) };
        // Set first: should a destructor panic, what is left of the body is not dropped again.
        header.change(State::empty(), State::CLOSED);
        // SAFETY: the slot held the body until now, nothing refers to it, and with EMPTY set nothing will again.
        unsafe { ManuallyDrop::drop(&mut (*slot).body) };
    }

    /// # Safety
    ///
    /// `task` is the header of a live `TaskCell<T, C>`.
    unsafe fn output(task: NonNull<Header>) -> NonNull<()> {
        // SAFETY: by contract; a pointer from `UnsafeCell::get` is not null.
        unsafe { NonNull::new_unchecked(Self::slot(task)).cast() }
    }

    /// # Safety
    ///
    /// `task` is the header of a live `TaskCell<T, C>` whose slot holds the value.
    unsafe fn drop_output(task: NonNull<Header>) {
        // SAFETY: by contract.
        let (slot, header) = unsafe { (Self::slot(task), task.as_ref()) };
        header.change(State::COMPLETED, State::CLOSED);
        // SAFETY: the slot held the value until now, and with FINISHED gone nothing reads it again.
        unsafe { ManuallyDrop::drop(&mut (*slot).output) };
    }

    /// # Safety
    ///
    /// `task` is the header of a `TaskCell<T, C>` with an empty slot, to which no reference is left.
    unsafe fn free(task: NonNull<Header>) {
        // SAFETY: it is the box of `Task::new`, and is given up here, once. The union drops nothing.
        drop(unsafe { Box::from_raw(task.cast::<Self>().as_ptr()) });
    }
}

/// The error of a [`Resume`] in the wrong place.
pub(crate) fn stale_resume(location: &'static Location<'static>) -> Error {
    let what = "a `Resume` was used outside of the turn of the coroutine that it was given to; use the one that the \
                coroutine was resumed with last";
    Error::at(what.into(), location)
}

/// The error of a coroutine that waits for two things at once, by hand.
#[cold]
#[inline(never)]
pub(crate) fn second_wait(location: &'static Location<'static>) -> Error {
    let what = "a second wait was begun while another was unfinished; poll the first one until it is ready, or drop it, \
                or wait for both at once by yielding a tuple";
    Error::at(what.into(), location)
}

/// A counted pointer to a task. Neither `Send` nor `Sync`: all of a task stays on the thread of its loop.
pub(crate) struct TaskRef(NonNull<Header>);

impl TaskRef {
    #[inline]
    pub(crate) fn header(&self) -> &Header {
        // SAFETY: the cell is freed only when the last `TaskRef` is dropped, and this is one. The header is never
        // borrowed mutably: all of its fields are read-only or in `Cell`s.
        unsafe { self.0.as_ref() }
    }

    pub(crate) fn is(&self, other: &TaskRef) -> bool {
        self.0 == other.0
    }

    /// Resumes the coroutine once, with `cleared` flags cleared, if there is one to resume. It stays
    /// [`RUNNING`](State::RUNNING), for the caller to take that off together with what else changes.
    ///
    /// # Panics
    ///
    /// With what the coroutine panics with.
    #[inline]
    pub(crate) fn resume(&self, cleared: State) -> Option<Turn> {
        if self.has(State::ENDED | State::RUNNING) {
            return None;
        }
        self.change(cleared, State::RUNNING | State::BEGUN);
        // SAFETY: the table is that of the cell that the header is part of; ENDED is not set, so the slot holds the body;
        // RUNNING was not set, so it is not being resumed.
        Some(unsafe { (self.vtable.resume)(self.0, Resume { task: self.clone() }) })
    }

    /// Drops the coroutine where it stands, if it is there and not running.
    pub(crate) fn drop_body(&self) {
        if !self.has(State::ENDED | State::RUNNING) {
            // SAFETY: the table is that of the cell; the slot holds the body, which is not being resumed.
            unsafe { (self.vtable.drop_body)(self.0) };
        }
    }

    /// Polls a foreign future in the name of this task, which is running.
    #[inline]
    pub(crate) fn poll_future<F: Future>(
        &self,
        future: Pin<&mut F>,
        location: &'static Location<'static>,
    ) -> Poll<Result<F::Output>> {
        let header = self.header();
        const LOOKED_AT: State = State::RUNNING.union(State::SLOW);
        if header.state.get().intersection(LOOKED_AT) != State::RUNNING
            && let Some(refused) = self.refuses_future(location)
        {
            return refused.map(Err);
        }
        header.location.set(location);
        let wake_slot = self.wake_slot().unwrap_or_else(|| self.new_wake_slot());
        // SAFETY: the wake_slot is kept alive by this task's cold, which give it up only when the task ends; that is after
        // its coroutine, which runs now (RUNNING), has returned to the scheduler.
        let waker = unsafe { WakeSlot::lend(wake_slot) };
        match future.poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => {
                self.stop_polling_future();
                Poll::Ready(Ok(value))
            }
            Poll::Pending => {
                if !self.has(State::POLLING_FUTURE) {
                    if header.pending.get() != 0 {
                        return Poll::Ready(Err(second_wait(location)));
                    }
                    header.pending.set(1);
                    header.waits_on.set(BlockedOn::FUTURE);
                    self.set(State::POLLING_FUTURE);
                }
                Poll::Pending
            }
        }
    }

    /// As [`poll_future`](TaskRef::poll_future), for one that is not the library's own: it may need a reactor.
    #[inline]
    pub(crate) fn poll_foreign_future<F: Future>(
        &self,
        future: Pin<&mut F>,
        location: &'static Location<'static>,
    ) -> Poll<Result<F::Output>> {
        let polled = self.poll_future(future, location);
        #[cfg(feature = "smol")]
        if polled.is_pending()
            && let Some(scheduler) = self.scheduler()
        {
            scheduler.note_foreign_future();
        }
        polled
    }

    #[inline(never)]
    fn new_wake_slot(&self) -> *const WakeSlot {
        let scheduler = self.scheduler().expect("a running task has a loop");
        let wake_slot = scheduler.add_wake_slot(super::WakeTarget::Task(self.clone()));
        let pointer = Arc::as_ptr(&wake_slot);
        self.cold_mut(|cold| cold.wake_slot = Some(wake_slot));
        pointer
    }

    /// A shield at which it waits is dropped, and holds its cancellation off no longer: its other waits raise it.
    pub(crate) fn leave_shield(&self) {
        self.unset(State::SHIELDED);
        // One that runs is looked at when it suspends itself.
        if self.has(State::CANCELLED) && !self.has(State::RUNNING) {
            self.set(State::FORCE_RESUME);
            Scheduler::enqueue(self);
        }
    }

    /// Its waker was called. Of no effect unless it waits for a future: an old waker of an old future.
    pub(crate) fn wake_from_outside(&self) {
        if self.stop_polling_future() && self.pending.get() == 0 {
            Scheduler::enqueue(self);
        }
    }
}

impl Deref for TaskRef {
    type Target = Header;

    #[inline]
    fn deref(&self) -> &Header {
        self.header()
    }
}

impl Clone for TaskRef {
    #[inline]
    fn clone(&self) -> TaskRef {
        let refs = &self.refs;
        let count = refs.get();
        // A count that overflowed would free a task in use. Only a program that forgets four thousand million clones gets
        // here, and `Rc` ends it just so.
        if count == u32::MAX {
            std::process::abort();
        }
        refs.set(count + 1);
        TaskRef(self.0)
    }
}

impl Drop for TaskRef {
    #[inline]
    fn drop(&mut self) {
        let header = self.header();
        let refs = header.refs.get() - 1;
        header.refs.set(refs);
        if refs == 0 {
            // By value: a handle of which a reference is passed on would have to have a place in memory.
            TaskRef::drop_last(ManuallyDrop::new(TaskRef(self.0)));
        }
    }
}

impl TaskRef {
    /// `last` has been counted down to nothing.
    #[inline(never)]
    fn drop_last(last: ManuallyDrop<TaskRef>) {
        let vtable = last.vtable;
        let is_empty = last.has(State::CLOSED) || (last.has(State::COMPLETED) && !vtable.output_needs_drop);
        if is_empty && !last.keeps_error() {
            // SAFETY: this was the last reference, and the slot is empty, or as good as empty.
            unsafe { (vtable.free)(last.0) };
        } else {
            // What is in the slot may hold the last reference to a task that holds the last reference to a task ..
            last.refs.set(1);
            trampoline::drop_later(ManuallyDrop::into_inner(last));
        }
    }

    /// Empties the slot and drops what it raised, so that dropping this last reference frees the task at once.
    pub(super) fn empty(&self) {
        if self.has(State::COMPLETED) {
            // SAFETY: FINISHED says that the slot holds the value.
            unsafe { (self.vtable.drop_output)(self.0) };
        } else {
            self.drop_body();
        }
        let error = self.cold(|cold| cold.error.take());
        drop(error);
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

/// One part of what a task waits for: it counts as pending until it is settled or given up.
pub(crate) struct Waiter(TaskRef);

impl Waiter {
    /// `task` waits for one thing more.
    pub(crate) fn new(task: &TaskRef) -> Waiter {
        let pending = &task.pending;
        pending.set(pending.get() + 1);
        Waiter(task.clone())
    }

    /// The thing is there. If it was the last, the task becomes ready.
    pub(crate) fn settle(self) {
        if self.lower() == 0 {
            Scheduler::enqueue(&self.0);
        }
        self.let_go();
    }

    /// As [`settle`](Waiter::settle), for a task that is known to run on `scheduler`, which is running.
    #[inline]
    pub(crate) fn settle_on(self, scheduler: &Scheduler) {
        if self.0.has(State::SLOW | State::QUEUED | State::RUNNING | State::ENDED) {
            self.settle();
        } else if self.lower() == 0 {
            self.0.set(State::QUEUED);
            scheduler.run_queue.push(self.0);
        }
    }

    /// The thing will never be there, and there is an error to be raised: the task becomes ready at once.
    pub(crate) fn fail(self) {
        self.lower();
        self.0.set(State::FAILED | State::FORCE_RESUME);
        Scheduler::enqueue(&self.0);
        self.let_go();
    }

    /// The task waits for it no longer. If it was not the task itself that gave it up, it may wait for nothing now.
    pub(crate) fn give_up(self) {
        if self.lower() == 0 {
            Scheduler::enqueue(&self.0);
        }
        self.let_go();
    }

    /// Drops the handle. A task that ended with a wait forgotten may have left a value to nobody but this: should that panic
    /// when it is dropped, then not in the middle of telling the others. There is nobody to tell of it but the hook.
    #[inline]
    fn let_go(self) {
        if self.0.is_ended() {
            self.let_go_of_ended();
        }
    }

    #[cold]
    #[inline(never)]
    fn let_go_of_ended(self) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(self))) {
            std::mem::forget(payload);
        }
    }

    fn lower(&self) -> u32 {
        let pending = &self.0.pending;
        pending.set(pending.get() - 1);
        pending.get()
    }

    pub(crate) fn task(&self) -> &TaskRef {
        &self.0
    }
}

/// Where a task keeps somebody who waits for it.
#[derive(Clone, Copy)]
pub(crate) enum WaiterKey {
    First,
    Further(super::wait_queue::Key),
}

/// A task whose value is a `T`.
pub(crate) struct Task<T> {
    raw: TaskRef,
    output: PhantomData<T>,
}

impl<T: 'static> Task<T> {
    /// A task that has not been started. `N` says its name.
    #[track_caller]
    pub(crate) fn new<N, C>(body: C) -> Task<T>
    where
        N: TaskName,
        C: Coroutine<Resume, Yield = Suspend, Return = Outcome<T>> + 'static,
    {
        struct Table<N, T, C>(PhantomData<(N, T, C)>);
        impl<N: TaskName, T: 'static, C> Table<N, T, C>
        where
            C: Coroutine<Resume, Yield = Suspend, Return = Outcome<T>> + 'static,
        {
            const TABLE: &'static VTable = &TaskCell::<T, C>::vtable(N::NAME);
        }
        // In this order, so that it is written where it is to be, and not put together elsewhere and copied.
        let cell = Box::write(
            Box::new_uninit(),
            TaskCell {
                header: Header {
                    vtable: Table::<N, T, C>::TABLE,
                    refs: Cell::new(1),
                    pending: Cell::new(0),
                    state: Cell::new(State::empty()),
                    waits_on: Cell::new(BlockedOn::empty()),
                    index: Cell::new(0),
                    id: Cell::new(0),
                    scope: Cell::new(None),
                    waiter: Cell::new(None),
                    location: Cell::new(Location::caller()),
                    cold: Cell::new(None),
                },
                slot: UnsafeCell::new(Slot::<T, C> { body: ManuallyDrop::new(body) }),
            },
        );
        let raw = TaskRef(NonNull::from(Box::leak(cell)).cast());
        Task { raw, output: PhantomData }
    }

    pub(crate) fn raw(&self) -> &TaskRef {
        &self.raw
    }

    pub(crate) fn into_raw(self) -> TaskRef {
        self.raw
    }

    /// The value, if it is there and was not taken yet; else what was raised, if anything was.
    pub(crate) fn take_output(&self) -> Option<Result<T>> {
        if !self.raw.has(State::COMPLETED) {
            return self.raw.error().map(Err);
        }
        self.raw.change(State::COMPLETED, State::CLOSED);
        // SAFETY: FINISHED said that the slot holds the value, which is a `T`: `Task<T>` is only made by `new`, from a
        // cell of the same `T`, or by `clone`. With EMPTY set, nothing will read or drop it again. Nothing borrows it: of
        // a task that is cloned from (`clone_output`), nothing is taken, see there.
        Some(Ok(unsafe { (self.raw.vtable.output)(self.raw.0).cast::<T>().read() }))
    }

    /// A clone of the value, if it is there; else what was raised, if anything was.
    pub(crate) fn clone_output(&self, clone: fn(&T) -> T) -> Option<Result<T>> {
        if !self.raw.has(State::COMPLETED) {
            return self.raw.error().map(Err);
        }
        // While `clone` runs it could reach this same task and take the value from under its own feet.
        self.raw.change(State::COMPLETED, State::CLOSED);
        let lent = Lent(&self.raw);
        // SAFETY: FINISHED said that the slot holds the value, which is a `T` (see `take_output`). FINISHED is gone until
        // `lent` is dropped, so meanwhile nothing takes or drops it; `self.raw` keeps the task itself.
        let value = clone(unsafe { (self.raw.vtable.output)(self.raw.0).cast::<T>().as_ref() });
        drop(lent);
        Some(Ok(value))
    }
}

impl<T> Clone for Task<T> {
    fn clone(&self) -> Task<T> {
        Task { raw: self.raw.clone(), output: PhantomData }
    }
}

/// Gives the value of a task back when it has been looked at.
struct Lent<'a>(&'a TaskRef);

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.0.change(State::CLOSED, State::COMPLETED);
    }
}

/// The name of a coroutine, known when it is compiled.
pub trait TaskName {
    /// The name; empty if it is not to be seen in traces.
    const NAME: &'static str;
}

/// The name of a coroutine that was made from a bare one: that of its type.
pub(crate) struct TypeName<C>(PhantomData<C>);

impl<C> TaskName for TypeName<C> {
    const NAME: &'static str = type_name::<C>();
}
