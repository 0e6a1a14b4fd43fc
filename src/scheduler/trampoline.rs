//! Drops long chains of tasks without much recursion.
//!
//! A coroutine that was never started, or a value that nobody asked for, may own the last handle of another task, and so on,
//! a hundred thousand deep: dropped as Rust would, one inside the other, they overflow the stack. So only the first few are;
//! what is deeper waits for its turn. That stack belongs to the thread, not to a loop, so the list of what waits does too.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::task::TaskRef;

thread_local! {
    static DROPPING: RefCell<Dropping> = const { RefCell::new(Dropping { depth: 0, later: Vec::new() }) };
}

struct Dropping {
    /// So many tasks are being dropped, one inside the other.
    depth: usize,
    /// What was to be dropped in the innermost of them that there may be.
    later: Vec<TaskRef>,
}

/// So many tasks are dropped one inside the other. What is dropped this far down is gone only after what it was dropped in:
/// to be seen by a destructor that counts on it, and those are never so deep.
const DEEPEST: usize = 32;

/// Drops what the task holds: at once, or, deep inside the dropping of others, right after that.
///
/// # Panics
///
/// With what the first destructor panics with, when all have run.
pub(super) fn drop_later(task: TaskRef) {
    let mut task = Some(task);
    let entered = DROPPING.try_with(|dropping| {
        let mut dropping = dropping.borrow_mut();
        if dropping.depth == DEEPEST {
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
    let mut panicked = None;
    empty(task, &mut panicked);
    if depth == DEEPEST {
        while let Some(task) = DROPPING.with_borrow_mut(|dropping| dropping.later.pop()) {
            empty(task, &mut panicked);
        }
    }
    DROPPING.with_borrow_mut(|dropping| {
        dropping.depth -= 1;
        if depth == DEEPEST {
            dropping.later = Vec::new();
        }
    });
    match panicked {
        None => {}
        Some(payload) if std::thread::panicking() => std::mem::forget(payload),
        Some(payload) => resume_unwind(payload),
    }
}

fn empty(task: TaskRef, panicked: &mut Option<Box<dyn Any + Send>>) {
    let emptied = catch_unwind(AssertUnwindSafe(|| task.empty()));
    let freed = catch_unwind(AssertUnwindSafe(|| drop(task)));
    for payload in [emptied, freed].into_iter().filter_map(Result::err) {
        match panicked {
            None => *panicked = Some(payload),
            // One panic can go on. What another one carries might panic in its turn.
            Some(_) => std::mem::forget(payload),
        }
    }
}
