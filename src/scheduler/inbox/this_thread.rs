//! Numbers of threads. A loop recognizes its own thread by its number.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::primitives::thread_local;

static LAST_THREAD: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static THREAD: Cell<u64> = const { Cell::new(0) };
}

/// The number of this thread. The numbers begin at 1. A number can also be read while the thread ends, because the thread-local
/// value has no destructor.
pub(super) fn this_thread() -> u64 {
    THREAD.with(|thread| {
        if thread.get() == 0 {
            thread.set(LAST_THREAD.fetch_add(1, Relaxed) + 1);
        }
        thread.get()
    })
}

/// Whether `number` is the number of this thread. False if this thread has no number yet.
#[inline]
pub(super) fn is_this_thread(number: u64) -> bool {
    debug_assert_ne!(number, 0);
    THREAD.with(Cell::get) == number
}
