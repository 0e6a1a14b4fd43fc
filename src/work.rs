//! Counts the steps of the loops inside of the library, in debug builds. The tests of growth compare these counts.
//!
//! Code that iterates over tasks, scopes, waits or errors counts one step for each of them, if a program can make their number
//! large.

#[cfg(debug_assertions)]
thread_local! {
    static STEPS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Counts one step. Does nothing in a release build.
#[inline(always)]
pub(crate) fn count() {
    #[cfg(debug_assertions)]
    let _ = STEPS.try_with(|steps| steps.set(steps.get() + 1));
}

/// The steps of this thread so far. `None` in a release build, which does not count.
pub fn steps() -> Option<u64> {
    #[cfg(debug_assertions)]
    return STEPS.try_with(std::cell::Cell::get).ok();
    #[cfg(not(debug_assertions))]
    None
}
