//! The memory of a task: its header, then a slot for the body or the value.
//!
//! Only this file names the types of the body and of the value. Two bits of [`State`] say what the slot holds: the value if
//! `COMPLETED` is set, nothing if `CLOSED` is set, and the body if neither is set.

use std::alloc::Layout;
use std::any::type_name;
use std::cell::UnsafeCell;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Coroutine, CoroutineState};
use std::panic::Location;
use std::pin::Pin;
use std::ptr::NonNull;

use super::protocol::{Outcome, Resume, Suspend};
use super::state::State;
use super::{Header, TaskRef, TurnEnd, VTable, memory};
use crate::error::Result;

#[repr(C)]
struct TaskCell<T, C> {
    header: Header,
    slot: UnsafeCell<Slot<T, C>>,
}

/// `repr(C)` puts both fields at the address of the union. [`TaskCell::output`] relies on this: it casts a pointer to the
/// union.
#[repr(C)]
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
        // SAFETY: by contract `task` points to the first field of a live cell of these types (`repr(C)`). `Task::new` made it
        // from a pointer to the whole cell.
        unsafe { task.cast::<Self>().as_ref().slot.get() }
    }

    /// # Safety
    ///
    /// `task` is the header of a live `TaskCell<T, C>` whose slot holds the body, which is not being resumed. `resume` is a
    /// reference to the same task.
    unsafe fn resume(task: NonNull<Header>, resume: TaskRef) -> TurnEnd {
        // SAFETY: by contract.
        let slot = unsafe { Self::slot(task) };
        // SAFETY: the slot holds the body, and nothing else refers to the body: only this function and `drop_body` use it, and
        // neither is called while this function runs (the caller has set RUNNING). The cell is on the heap and never moves, and
        // the body is dropped in place before the slot is used for anything else: it is pinned.
        let body = unsafe { Pin::new_unchecked(&mut *(*slot).body) };
        match body.resume(Resume { task: resume }) {
            CoroutineState::Yielded(Suspend) => TurnEnd::Suspended,
            CoroutineState::Complete(Outcome(result)) => {
                // SAFETY: the slot holds the body, and `resume` has returned.
                unsafe { Self::drop_body(task) };
                match result {
                    Ok(value) => {
                        // SAFETY: the slot is empty (`drop_body` has set CLOSED), so writing forgets nothing.
                        unsafe { (*slot).output = ManuallyDrop::new(value) };
                        // SAFETY: by contract.
                        unsafe { task.as_ref() }.change(State::CLOSED | State::RUNNING, State::COMPLETED);
                        TurnEnd::Completed
                    }
                    Err(error) => TurnEnd::Raised(error),
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
        // This comes before the drop: if a destructor panics, the rest of the body is not dropped again.
        header.set(State::CLOSED);
        // SAFETY: the slot held the body until now, and nothing refers to the body. CLOSED is set, so nothing will use it
        // again.
        unsafe { ManuallyDrop::drop(&mut (*slot).body) };
    }

    /// # Safety
    ///
    /// `task` is the header of a live `TaskCell<T, C>`.
    unsafe fn output(task: NonNull<Header>) -> NonNull<()> {
        // SAFETY: by contract. A pointer from `UnsafeCell::get` is not null.
        unsafe { NonNull::new_unchecked(Self::slot(task)).cast() }
    }

    /// # Safety
    ///
    /// `task` is the header of a live `TaskCell<T, C>` whose slot holds the value.
    unsafe fn drop_output(task: NonNull<Header>) {
        // SAFETY: by contract.
        let (slot, header) = unsafe { (Self::slot(task), task.as_ref()) };
        header.change(State::COMPLETED, State::CLOSED);
        // SAFETY: the slot held the value until now, and without COMPLETED nothing reads it again.
        unsafe { ManuallyDrop::drop(&mut (*slot).output) };
    }

    /// # Safety
    ///
    /// `task` is the header of a `TaskCell<T, C>` whose slot is empty. No other reference to the cell is left.
    unsafe fn free(task: NonNull<Header>) {
        // SAFETY: by contract.
        let is_pooled = unsafe { task.as_ref() }.has(State::POOLED);
        // SAFETY: nothing refers to the task any more, and the slot is empty. The union drops nothing.
        unsafe { task.cast::<Self>().drop_in_place() };
        // SAFETY: this is the memory that `Task::new` took, on the same thread, and it is released here, once.
        unsafe { memory::release(task.cast(), Layout::new::<Self>(), is_pooled) };
    }
}

/// A task whose value is a `T`.
pub(crate) struct Task<T> {
    raw: TaskRef,
    output: PhantomData<T>,
}

impl<T: 'static> Task<T> {
    /// A task that has not started. `N` gives its name.
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
        let (place, pooled) = memory::allocate(Layout::new::<TaskCell<T, C>>());
        let cell = place.cast::<TaskCell<T, C>>();
        // SAFETY: `place` has the layout of the cell. The body is moved right to its final place.
        unsafe {
            cell.write(TaskCell {
                header: Header::new(Table::<N, T, C>::TABLE, Location::caller(), pooled),
                slot: UnsafeCell::new(Slot::<T, C> { body: ManuallyDrop::new(body) }),
            });
        }
        let raw = TaskRef(cell.cast());
        Task { raw, output: PhantomData }
    }

    pub(crate) fn raw(&self) -> &TaskRef {
        &self.raw
    }

    /// Takes the value, if there is one. Otherwise returns the error of the task, if it has one.
    pub(crate) fn take_output(&self) -> Option<Result<T>> {
        if !self.raw.has(State::COMPLETED) {
            return self.raw.error().map(Err);
        }
        self.raw.change(State::COMPLETED, State::CLOSED);
        // SAFETY: COMPLETED was set, so the slot holds the value. The value is a `T`: a `Task<T>` is only made by `new`, from a
        // cell of the same `T`, or by `clone`. With CLOSED set, nothing reads or drops the value again. Nothing borrows it:
        // while `clone_output` borrows it, COMPLETED is not set.
        Some(Ok(unsafe { (self.raw.vtable.output)(self.raw.0).cast::<T>().read() }))
    }

    /// Clones the value, if there is one. Otherwise returns the error of the task, if it has one.
    pub(crate) fn clone_output(&self, clone: fn(&T) -> T) -> Option<Result<T>> {
        if !self.raw.has(State::COMPLETED) {
            return self.raw.error().map(Err);
        }
        // `clone` is user code. Without this change, it could find this task and take the value during the clone.
        self.raw.change(State::COMPLETED, State::CLOSED);
        let lent = Lent(&self.raw);
        // SAFETY: COMPLETED was set, so the slot holds the value, which is a `T` (see `take_output`). COMPLETED stays cleared
        // until `lent` is dropped, so nothing takes or drops the value meanwhile. `self.raw` keeps the task alive.
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

/// Marks the value of a task as present again when the borrow has ended.
struct Lent<'a>(&'a TaskRef);

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.0.change(State::CLOSED, State::COMPLETED);
    }
}

/// The name of a coroutine, known at compile time.
pub trait TaskName {
    /// The name. It is empty if reports leave the task out.
    const NAME: &'static str;
}

/// The name of a coroutine that was made without macros: the name of its type.
pub(crate) struct TypeName<C>(PhantomData<C>);

impl<C> TaskName for TypeName<C> {
    const NAME: &'static str = type_name::<C>();
}
