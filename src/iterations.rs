//! Counts the iterations of `for` and `while` loops in the code of the library, in debug builds. The tests of growing costs compare
//! these counts. (A count here is not a step of the scheduler.)
//!
//! Code that iterates over tasks, scopes, waits or errors counts each of them, if a program can make their number large.

#[cfg(debug_assertions)]
thread_local! {
    static COUNT: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Counts one iteration. Does nothing in a release build.
#[inline(always)]
pub(crate) fn count() {
    #[cfg(debug_assertions)]
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

/// The iterations that this thread has counted so far. `None` in a release build, which does not count.
pub fn counted() -> Option<u64> {
    #[cfg(debug_assertions)]
    return COUNT.try_with(std::cell::Cell::get).ok();
    #[cfg(not(debug_assertions))]
    None
}
