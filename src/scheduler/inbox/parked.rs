//! What sleeps until something comes into an inbox: a thread, a host, or a task of another loop.

use std::sync::Arc;
use std::task::Waker;

use super::WakeSlot;
use crate::panic::{catch, contain, discard};
use crate::primitives::thread::{self, Thread};

/// What sleeps until something comes in.
#[derive(Default)]
#[must_use = "it sleeps until it is woken"]
pub(crate) enum Parked {
    #[default]
    Nothing,
    Thread(Thread),
    Host(Waker, EndOfWatch),
    /// A task of another loop of this thread polls the loop. This loop is not counted as a holder of the wake slot of that task. So it
    /// keeps the other loop from reporting a deadlock only while it may be woken itself (see `guests.rs`).
    Task {
        wake_slot: Arc<WakeSlot>,
        has_timers: bool,
    },
}

/// Whether a sleeping host is woken when the last holder outside has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndOfWatch {
    /// It is not woken: the loop has a deadline, or the loop is hosted and need not look for a cycle.
    Ignored,
    /// It is woken: the loop has to look for a deadlock.
    Awaited,
}

impl Parked {
    /// Wakes what sleeps. Never called under a lock, because the waker of a host is foreign code.
    pub(crate) fn wake(self) {
        match self {
            Parked::Nothing => {}
            Parked::Thread(thread) => thread.unpark(),
            Parked::Host(waker, _) => contain(|| waker.wake()),
            Parked::Task { wake_slot, .. } => WakeSlot::wake(&wake_slot),
        }
    }

    /// Wakes what sleeps, from another thread. If no thread can be started, it does so from this thread.
    pub(super) fn wake_elsewhere(self) {
        match self {
            Parked::Host(waker, _) => {
                let Ok(again) = catch(|| waker.clone()).map_err(discard) else { return };
                let wakes = move || contain(|| waker.wake());
                let is_woken = thread::Builder::new().name("tinyield wake-up".into()).spawn(wakes).is_ok();
                contain(|| if is_woken { drop(again) } else { again.wake() });
            }
            Parked::Task { wake_slot, .. } => WakeSlot::wake_with(&wake_slot, Parked::wake_elsewhere),
            other => other.wake(),
        }
    }

    /// Drops what sleeps, because nothing will wake it any more. A thread that is parked returns early.
    pub(super) fn release(self) {
        match self {
            Parked::Nothing => {}
            Parked::Thread(thread) => thread.unpark(),
            Parked::Host(waker, _) => contain(|| drop(waker)),
            Parked::Task { wake_slot, .. } => drop(wake_slot),
        }
    }
}
