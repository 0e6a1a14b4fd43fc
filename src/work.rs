//! Counts the steps of the loops inside of the library, in debug builds: what the tests of growth compare.
//!
//! Each place that goes through tasks, scopes, waits or errors, in a number that a program can make large, counts one for each.

#[cfg(debug_assertions)]
thread_local! {
    static STEPS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Counts one step. Nothing in a release build.
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
