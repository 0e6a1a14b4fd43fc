//! The thread, the host or the task of another loop that sleeps until something comes into an inbox.

use std::sync::Arc;
use std::task::Waker;

use super::WakeSlot;
use crate::panic::{catch, contain, discard};
use crate::primitives::thread::{self, Thread};

/// The sleeper of an inbox, which is woken when something comes in.
#[derive(Default)]
#[must_use = "it sleeps until it is woken"]
pub(crate) enum Parked {
    #[default]
    Nothing,
    Thread {
        thread: Thread,
        /// Completions after which more follow do not wake the thread.
        waits_for_batch: bool,
    },
    Host(Waker, EndOfWatch),
    /// A task of another loop of this thread polls the loop. The loop is not counted as a holder of that task's wake slot.
    /// Instead, the other loop looks whether this loop may be woken (see [`guests`](super::guests)).
    Task {
        wake_slot: Arc<WakeSlot>,
        has_timers: bool,
    },
}

/// Whether a sleeping host is woken when the last holder outside has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndOfWatch {
    /// The host is not woken: the loop has a timer, or is hosted and need not look for a cycle.
    Ignored,
    /// The host is woken: the loop has to look for a deadlock, or its virtual clock may jump now.
    Awaited,
}

impl Parked {
    /// Wakes the sleeper. Never called under a lock, because the waker of a host is foreign code.
    pub(crate) fn wake(self) {
        match self {
            Parked::Nothing => {}
            Parked::Thread { thread, .. } => thread.unpark(),
            Parked::Host(waker, _) => contain(|| waker.wake()),
            Parked::Task { wake_slot, .. } => WakeSlot::wake(&wake_slot),
        }
    }

    /// Starts a thread that wakes the sleeper. If no thread can be started, this thread wakes it.
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

    /// Drops the waker of the sleeper, because this inbox does not wake it any more. A thread is unparked.
    pub(super) fn release(self) {
        match self {
            Parked::Nothing => {}
            Parked::Thread { thread, .. } => thread.unpark(),
            Parked::Host(waker, _) => contain(|| drop(waker)),
            Parked::Task { wake_slot, .. } => drop(wake_slot),
        }
    }
}
