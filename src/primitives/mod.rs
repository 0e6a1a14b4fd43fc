//! The primitives through which threads share data, and the [`Flag`]s on which threads block. In normal builds, these are the primitives
//! of the standard library. In builds for loom, which checks every order of events, these are the primitives of loom.

mod flag;
#[cfg(tinyield_loom)]
mod loom;

pub(crate) use self::flag::Flag;

#[cfg(tinyield_loom)]
pub(crate) use self::loom::{
    Condvar, Mutex, MutexGuard, OnceLock, atomic, process_wide, thread, thread_local, wait_while,
};

#[cfg(not(tinyield_loom))]
pub(crate) use std::{
    sync::{Condvar, Mutex, MutexGuard, OnceLock, atomic},
    thread, thread_local,
};

/// A value of the whole process, made when it is first used.
#[cfg(not(tinyield_loom))]
macro_rules! process_wide {
    (static $name:ident: $type:ty = $init:expr;) => {
        static $name: std::sync::LazyLock<$type> = std::sync::LazyLock::new(|| $init);
    };
}

#[cfg(not(tinyield_loom))]
pub(crate) use process_wide;

/// Locks `mutex`. If a thread has panicked under the lock, the value is still valid, so the poison is ignored: no user code runs
/// under the lock, and each change is complete.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Waits at `condvar` while `condition` is true, but at most for `timeout`. `guard` is a guard of the mutex. Only the version
/// for loom needs the mutex itself, to lock it again.
#[cfg(not(tinyield_loom))]
pub(crate) fn wait_while<'guard, T>(
    condvar: &Condvar,
    _: &'guard Mutex<T>,
    guard: MutexGuard<'guard, T>,
    timeout: std::time::Duration,
    condition: impl FnMut(&mut T) -> bool,
) -> MutexGuard<'guard, T> {
    condvar.wait_timeout_while(guard, timeout, condition).unwrap_or_else(std::sync::PoisonError::into_inner).0
}
