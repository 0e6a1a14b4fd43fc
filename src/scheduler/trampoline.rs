//! Drops long chains of tasks without recursion.
//!
//! A coroutine that was never started, or a value that nobody asked for, may own the last handle of another task, and so on,
//! a hundred thousand deep: dropped as Rust would, one inside the other, they overflow the stack. That stack belongs to the
//! thread, not to a loop, so the list of what is still to be dropped does too.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::task::TaskRef;

thread_local! {
    /// The tasks still to be dropped, while one is being dropped.
    static DROPPING: RefCell<Option<Vec<TaskRef>>> = const { RefCell::new(None) };
}

/// Drops what the task holds: at once, or, inside the dropping of another, right after that.
///
/// # Panics
///
/// With what the first destructor panics with, when all have run.
pub(super) fn drop_later(task: TaskRef) {
    let mut task = Some(task);
    let outermost = DROPPING.try_with(|dropping| {
        let mut dropping = dropping.borrow_mut();
        match &mut *dropping {
            Some(list) => {
                list.extend(task.take());
                false
            }
            None => {
                *dropping = Some(Vec::new());
                true
            }
        }
    });
    let Some(task) = task else { return };
    if outermost.is_err() {
        // The thread is ending and its list is gone.
        return task.empty();
    }
    let mut panicked = None;
    let mut next = Some(task);
    while let Some(task) = next {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| task.empty())) {
            match panicked {
                None => panicked = Some(payload),
                // One panic can go on. What another one carries might panic in its turn.
                Some(_) => std::mem::forget(payload),
            }
        }
        drop(task);
        next = DROPPING.with_borrow_mut(|list| list.as_mut().and_then(Vec::pop));
    }
    DROPPING.set(None);
    if let Some(payload) = panicked
        && !std::thread::panicking()
    {
        resume_unwind(payload);
    }
}
