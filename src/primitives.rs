//! What threads share by: the standard library's primitives, or those of loom, which checks every order of events.

#[cfg(not(tinyield_loom))]
pub(crate) use std::{
    sync::{Mutex, MutexGuard, atomic},
    thread,
};

#[cfg(tinyield_loom)]
pub(crate) use loom::sync::{Mutex, MutexGuard, atomic};

#[cfg(tinyield_loom)]
pub(crate) mod thread {
    pub(crate) use loom::thread::{Thread, current, park};

    /// Time does not pass in loom.
    pub(crate) fn park_timeout(_: std::time::Duration) {
        loom::thread::yield_now();
    }
}
