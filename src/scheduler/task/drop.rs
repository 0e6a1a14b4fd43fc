//! Dropping a task, without much recursion.
//!
//! A body that never started, or a value that was never taken, may own the last reference to another task. That task may own
//! the next one, and so on, for a hundred thousand tasks. If each drop ran inside of the drop before it, the stack would
//! overflow. So only the first [`MAX_DEPTH`] drops are nested. Deeper tasks go on a list, and are dropped from there. The list
//! belongs to the thread, and not to a loop, because a stack belongs to a thread, too.

use std::cell::RefCell;
use std::mem::ManuallyDrop;

use super::state::State;
use super::{Failure, TaskRef};
use crate::panic::FirstPanic;

impl Drop for TaskRef {
    #[inline]
    fn drop(&mut self) {
        let refs = self.refs.get() - 1;
        self.refs.set(refs);
        if refs == 0 {
            // The handle is passed by value, so that it stays in a register.
            TaskRef::drop_last(ManuallyDrop::new(TaskRef(self.0)));
        }
    }
}

impl TaskRef {
    /// Frees the task of `last`, whose count is zero.
    #[inline(never)]
    fn drop_last(last: ManuallyDrop<TaskRef>) {
        let vtable = last.vtable;
        let is_empty = last.has(State::CLOSED) || (last.has(State::COMPLETED) && !vtable.output_needs_drop);
        let keeps_error = last.cold(|cold| matches!(cold.failure, Some(Failure::Raised(_)))).unwrap_or(false);
        if is_empty && !keeps_error {
            // SAFETY: this was the last reference, and the slot holds nothing that needs to be dropped.
            unsafe { (vtable.free)(last.0) };
        } else {
            last.refs.set(1);
            drop_nested(ManuallyDrop::into_inner(last));
        }
    }

    /// Drops the content of the slot, and the error. After that, dropping the last reference frees the task at once.
    fn empty(&self) {
        if self.has(State::COMPLETED) {
            // SAFETY: COMPLETED says that the slot holds the value.
            unsafe { (self.vtable.drop_output)(self.0) };
        } else {
            self.drop_body();
        }
        let failure = self.cold(|cold| cold.failure.take());
        #[cfg(feature = "tracing")]
        let failure = (failure, self.take_span());
        drop(failure);
    }
}

thread_local! {
    static DROPPING: RefCell<Dropping> = const { RefCell::new(Dropping { depth: 0, later: Vec::new() }) };
}

struct Dropping {
    /// How many drops of tasks are nested now.
    depth: usize,
    /// The tasks whose drops would be nested deeper than [`MAX_DEPTH`].
    later: Vec<TaskRef>,
}

/// The maximum number of nested drops. A task that is deeper than this outlives the task that owned it.
const MAX_DEPTH: usize = 32;

/// Drops what `task` holds. This happens at once, unless [`MAX_DEPTH`] drops are nested already. In that case, the innermost of
/// these drops does this after it has dropped its own task.
///
/// # Panics
///
/// If a destructor panics. The first such panic is resumed when all destructors have run.
fn drop_nested(task: TaskRef) {
    let mut task = Some(task);
    let entered = DROPPING.try_with(|dropping| {
        let mut dropping = dropping.borrow_mut();
        if dropping.depth == MAX_DEPTH {
            dropping.later.extend(task.take());
        } else {
            dropping.depth += 1;
        }
        dropping.depth
    });
    let Some(task) = task else { return };
    let Ok(depth) = entered else {
        // The thread is ending and its list is gone.
        return task.empty();
    };
    let mut panicked = FirstPanic::default();
    let mut next = Some(task);
    while let Some(task) = next {
        panicked.run(|| task.empty());
        panicked.run(|| drop(task));
        next = if depth == MAX_DEPTH { DROPPING.with_borrow_mut(|dropping| dropping.later.pop()) } else { None };
    }
    DROPPING.with_borrow_mut(|dropping| {
        dropping.depth -= 1;
        if depth == MAX_DEPTH {
            dropping.later = Vec::new();
        }
    });
    panicked.resume();
}

/// Runs `run` as if no task was being dropped on this thread. A loop that runs in a destructor needs its own tasks to be
/// dropped at once: a dropped task may own something, such as a permit, that another task waits for.
pub(in crate::scheduler) fn with_own_depth<R>(run: impl FnOnce() -> R) -> R {
    /// Puts the outer state back, also after a panic.
    struct Outer(Dropping);
    impl Drop for Outer {
        fn drop(&mut self) {
            let outer = std::mem::replace(&mut self.0, Dropping { depth: 0, later: Vec::new() });
            let _ = DROPPING.try_with(|dropping| dropping.replace(outer));
        }
    }
    let is_nested = DROPPING.try_with(|dropping| dropping.borrow().depth != 0).unwrap_or(false);
    let outer = is_nested.then(|| Outer(DROPPING.replace(Dropping { depth: 0, later: Vec::new() })));
    let result = run();
    drop(outer);
    result
}
