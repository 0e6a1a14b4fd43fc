//! A global allocator that counts what the current thread allocates. A test that uses it includes this file by its
//! path.
#![allow(dead_code)] // each test uses a part of it

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static LAST_SIZE: Cell<usize> = const { Cell::new(0) };
    static COUNT: Cell<usize> = const { Cell::new(0) };
    static LIVE: Cell<isize> = const { Cell::new(0) };
}

fn add_live(bytes: isize) {
    // The thread-locals may be gone when the thread ends.
    let _ = LIVE.try_with(|live| live.set(live.get() + bytes));
}

// SAFETY: the system's allocator does all the work. The counters do not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = LAST_SIZE.try_with(|last| last.set(layout.size()));
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
        add_live(layout.size().cast_signed());
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        add_live(-layout.size().cast_signed());
        // SAFETY: the caller keeps the contract of `dealloc`, and the pointer came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The number of allocations of this thread so far.
pub fn count() -> usize {
    COUNT.get()
}

/// The size in bytes of the last allocation of this thread.
pub fn last_size() -> usize {
    LAST_SIZE.get()
}

/// The bytes that this thread has allocated, minus those that it has freed.
pub fn live() -> isize {
    LIVE.get()
}
