//! Wake-ups from the loop's own thread, while it runs: no lock, no allocation, no atomic read-modify-write.
//!
//! A future often wakes its own task, or another one of the same loop. Such a wake-up goes to a list that only the loop's own
//! thread uses. It is served between two rounds, as the inbox is: a task that is woken while it polls has not suspended yet.

use std::cell::{Cell, UnsafeCell};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::primitives::thread_local;

/// Names a wake slot: its index, and a stamp that no other slot of the loop ever has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct SlotKey {
    pub(crate) index: usize,
    pub(crate) stamp: u64,
}

/// The wake-ups that the loop's own thread has left for it.
pub(super) struct LocalWakes {
    owner: u64,
    list: UnsafeCell<List>,
}

#[derive(Default)]
struct List {
    /// The loop runs, and will look at the list before it goes idle.
    is_open: bool,
    woken: Vec<SlotKey>,
}

// SAFETY: what is not `Sync` in here is `list`. Only `with` refers to it, and only on the thread whose number is `owner`. No two
// threads ever have the same number, so no other thread reads or writes the list while that thread may. To drop the list is to have
// it alone, and its content is `Send`.
unsafe impl Sync for LocalWakes {}

impl Default for LocalWakes {
    /// Made on the thread of the loop.
    fn default() -> LocalWakes {
        LocalWakes { owner: this_thread(), list: UnsafeCell::default() }
    }
}

impl LocalWakes {
    /// Uses the list, if this is the loop's own thread.
    #[inline]
    fn with<R>(&self, change: impl FnOnce(&mut List) -> R) -> Option<R> {
        if this_thread() != self.owner {
            return None;
        }
        // SAFETY: this is the thread `owner`, and so the only one that gets here. No `change` below calls this again, or any code but
        // that of `Vec`, so there is no second borrow while this one lasts.
        Some(change(unsafe { &mut *self.list.get() }))
    }

    /// Whether the list takes wake-ups: while the loop runs, and only then.
    pub(super) fn set_open(&self, is_open: bool) {
        self.with(|list| list.is_open = is_open);
    }

    /// Adds a wake-up. False if it has to go another way: from another thread, or to a loop that does not run.
    #[inline]
    pub(super) fn add(&self, key: SlotKey) -> bool {
        let added = self.with(|list| {
            if list.is_open {
                list.woken.push(key);
            }
            list.is_open
        });
        added.unwrap_or(false)
    }

    /// Whether this is the loop's own thread, and it runs.
    pub(super) fn is_open_here(&self) -> bool {
        self.with(|list| list.is_open).unwrap_or(false)
    }

    /// Exchanges the list for `empty`, whose memory is used for what comes next.
    pub(super) fn swap(&self, empty: &mut Vec<SlotKey>) {
        self.with(|list| std::mem::swap(&mut list.woken, empty));
    }
}

static LAST_THREAD: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static THREAD: Cell<u64> = const { Cell::new(0) };
}

/// The number of this thread, from 1. It is there also while the thread ends, as it has no destructor.
#[inline]
fn this_thread() -> u64 {
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
