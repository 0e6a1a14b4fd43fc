//! [`TaskRef`], the counted pointer to a task. It takes one word. Its methods resume the coroutine and drop its body.
//!
//! The bits of [`State`] say whether the task has its body, and whether the body is running. The table of the task has the
//! functions for its types. [`drop`](super::drop) frees the task when the last pointer is dropped.

use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::NonNull;

use super::state::State;
use super::{Header, TurnEnd};

/// A counted pointer to a task. Neither `Send` nor `Sync`.
pub(crate) struct TaskRef(pub(super) NonNull<Header>);

impl TaskRef {
    pub(in crate::scheduler) fn as_ptr(&self) -> *mut Header {
        self.0.as_ptr()
    }

    /// An uncounted reference to `task`, a pointer that [`as_ptr`](TaskRef::as_ptr) returned. `None` if the pointer is null.
    ///
    /// # Safety
    ///
    /// `task` is null, or there is a counted reference to it for as long as the result is used.
    #[inline]
    pub(in crate::scheduler) unsafe fn lend(task: *mut Header) -> Option<ManuallyDrop<TaskRef>> {
        NonNull::new(task).map(|task| ManuallyDrop::new(TaskRef(task)))
    }

    pub(crate) fn is(&self, other: &TaskRef) -> bool {
        self.0 == other.0
    }

    /// Clears the bits `cleared`, and then resumes the coroutine once. If the coroutine returns a value,
    /// [`RUNNING`](State::RUNNING) is clear afterwards. Otherwise it is still set, and the caller clears it together with other
    /// bits.
    ///
    /// # Panics
    ///
    /// If the coroutine panics. The panic has the same payload.
    ///
    /// # Safety
    ///
    /// None of the bits `ENDED` and `RUNNING` is set.
    #[inline]
    pub(in crate::scheduler) unsafe fn resume(&self, cleared: State) -> TurnEnd {
        #[cfg(feature = "tracing")]
        let _in_span = if self.has(State::IN_SPAN) { self.enter_span() } else { None };
        self.change(cleared, State::RUNNING | State::BEGUN);
        // SAFETY: the table belongs to the cell that the header is part of. ENDED was not set, so the slot holds the body.
        // RUNNING was not set, so the body is not being resumed.
        unsafe { (self.vtable.resume)(self.0, self.clone()) }
    }

    /// Drops the body of the coroutine, unless the task has ended or is running.
    pub(in crate::scheduler) fn drop_body(&self) {
        if !self.has(State::ENDED | State::RUNNING) {
            // SAFETY: the table belongs to the cell that the header is part of. The slot holds the body, which is not being
            // resumed.
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
        // If the count overflowed, a task in use could be freed. Only a program that forgets 2^32 clones gets here. `Rc` aborts
        // in this case, too.
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
