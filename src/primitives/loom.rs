//! The primitives of loom, and replacements for the primitives that loom does not have.

pub(crate) use loom::sync::{Mutex, MutexGuard};

pub(crate) mod thread {
    pub(crate) use loom::thread::{Builder, Thread, current, park, yield_now};

    /// Time does not pass in loom.
    pub(crate) fn park_timeout(_: std::time::Duration) {
        loom::thread::yield_now();
    }
}

/// A condition variable. Time does not pass in loom. So the waits that have to block alternate: the first one times out after the
/// other threads have had a chance to run, the second one never times out, and so on.
#[derive(Default)]
pub(crate) struct Condvar {
    condvar: loom::sync::Condvar,
    /// Whether the last wait timed out. This is used only under the mutex of the waits, so loom need not model it.
    timed_out: std::sync::atomic::AtomicBool,
}

impl Condvar {
    pub(crate) fn notify_one(&self) {
        self.condvar.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.condvar.notify_all();
    }
}

/// Waits at `condvar` until `condition` is false or the wait times out. `guard` is a guard of `mutex`.
pub(crate) fn wait_while<'guard, T>(
    condvar: &Condvar,
    mutex: &'guard Mutex<T>,
    mut guard: MutexGuard<'guard, T>,
    _: std::time::Duration,
    mut condition: impl FnMut(&mut T) -> bool,
) -> MutexGuard<'guard, T> {
    use std::sync::atomic::Ordering::Relaxed;

    if condition(&mut guard) && !condvar.timed_out.fetch_not(Relaxed) {
        // This wait times out. The other threads may change the value before that.
        drop(guard);
        loom::thread::yield_now();
        return super::lock(mutex);
    }
    while condition(&mut guard) {
        guard = condvar.condvar.wait(guard).unwrap_or_else(std::sync::PoisonError::into_inner);
    }
    guard
}

/// Like `std::thread_local!` with a constant initializer, which loom's macro does not support.
macro_rules! local {
    ($(#[$meta:meta])* static $name:ident: $type:ty = const $init:block;) => {
        loom::thread_local! {
            $(#[$meta])*
            static $name: $type = $init;
        }
    };
}

pub(crate) use local as thread_local;

/// A value of one execution of a model: loom drops the value when the main thread of the execution ends.
macro_rules! global {
    (static $name:ident: $type:ty = $init:expr;) => {
        loom::lazy_static! {
            static ref $name: $type = $init;
        }
    };
}

pub(crate) use global as process_wide;

pub(crate) mod atomic {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    /// A load is an exchange here, for two reasons. First, an exchange gives the newest value, as a real `SeqCst` load does. A
    /// `SeqCst` load of loom may give an older one. Second, loom remembers only the last access of each atomic. With plain
    /// loads, loom would skip some interleavings in which one thread loads, and another thread loads and then exchanges.
    ///
    /// The exchange has at most the order `Acquire`, and never `Release`. No real load releases. If this one did, loom would
    /// not find a missing `Release` elsewhere.
    #[derive(Default)]
    pub(crate) struct AtomicU64(loom::sync::atomic::AtomicU64);

    impl AtomicU64 {
        pub(crate) fn new(value: u64) -> AtomicU64 {
            AtomicU64(loom::sync::atomic::AtomicU64::new(value))
        }

        pub(crate) fn load(&self, order: Ordering) -> u64 {
            self.0.fetch_add(0, if order == Ordering::Relaxed { Ordering::Relaxed } else { Ordering::Acquire })
        }

        pub(crate) fn compare_exchange_weak(
            &self,
            current: u64,
            new: u64,
            success: Ordering,
            failure: Ordering,
        ) -> Result<u64, u64> {
            self.0.compare_exchange_weak(current, new, success, failure)
        }
    }
}

/// A cell that is set once. loom models only the flag that says whether the cell is set. A cell of the standard library holds
/// the value.
pub(crate) struct OnceLock<T> {
    is_set: atomic::AtomicBool,
    value: std::sync::OnceLock<T>,
}

impl<T> OnceLock<T> {
    pub(crate) fn get(&self) -> Option<&T> {
        if self.is_set.load(atomic::Ordering::Acquire) { self.value.get() } else { None }
    }

    pub(crate) fn set(&self, value: T) -> Result<(), T> {
        self.value.set(value)?;
        self.is_set.store(true, atomic::Ordering::Release);
        Ok(())
    }
}

impl<T> Default for OnceLock<T> {
    fn default() -> OnceLock<T> {
        OnceLock { is_set: atomic::AtomicBool::new(false), value: std::sync::OnceLock::new() }
    }
}
