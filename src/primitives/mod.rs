//! What threads share by: the standard library's primitives and crossbeam's channels, or those of loom, which checks every
//! order of events.

#[cfg(tinyield_loom)]
mod loom;

#[cfg(tinyield_loom)]
pub(crate) use self::loom::{Mutex, MutexGuard, OnceLock, atomic, channel, thread, thread_local};

#[cfg(not(tinyield_loom))]
pub(crate) use crossbeam_channel as channel;
#[cfg(not(tinyield_loom))]
pub(crate) use std::{
    sync::{Mutex, MutexGuard, OnceLock, atomic},
    thread, thread_local,
};
