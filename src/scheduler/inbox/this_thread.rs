//! The number of a thread, by which a loop knows its own.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::primitives::thread_local;

static LAST_THREAD: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static THREAD: Cell<u64> = const { Cell::new(0) };
}

/// The number of this thread, from 1. It can be read while the thread ends, too, as it has no destructor.
#[inline]
pub(super) fn this_thread() -> u64 {
    THREAD.with(|thread| {
        let number = thread.get();
        if number != 0 { number } else { number_this_thread(thread) }
    })
}

#[cold]
fn number_this_thread(thread: &Cell<u64>) -> u64 {
    thread.set(LAST_THREAD.fetch_add(1, Relaxed) + 1);
    thread.get()
}
