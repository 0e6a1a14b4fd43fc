//! The handle to an event for other threads, and the flag that it shares with the event.

use std::fmt;
use std::sync::Arc;

use super::notify::Notifier;
use crate::primitives::atomic::AtomicU64;
use crate::primitives::atomic::Ordering::SeqCst;

/// The lowest bit: whether the event is set. The other bits: how many times it has been set.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Flag(u64);

impl Flag {
    pub(super) fn is_set(self) -> bool {
        self.0 & 1 != 0
    }

    /// How many times the event has been set. Setting the event ends the waits that began at a lower count.
    pub(super) fn set_count(self) -> u64 {
        self.0 >> 1
    }

    pub(super) fn set(self) -> Flag {
        Flag(((self.set_count() + 1) << 1) | 1)
    }

    pub(super) fn cleared(self) -> Flag {
        Flag(self.0 & !1)
    }
}

/// The state that an event shares with its remote handles.
#[derive(Default)]
pub(super) struct SharedFlag {
    flag: AtomicU64,
    pub(super) notifier: Arc<Notifier>,
}

impl SharedFlag {
    pub(super) fn new(flag: Flag) -> SharedFlag {
        SharedFlag { flag: AtomicU64::new(flag.0), ..SharedFlag::default() }
    }

    pub(super) fn get(&self) -> Flag {
        Flag(self.flag.load(SeqCst))
    }

    /// Changes the flag, and returns the new one. It does not wake the waits.
    pub(super) fn change(&self, change: impl Fn(Flag) -> Flag) -> Flag {
        let mut old = self.get();
        loop {
            let new = change(old);
            match self.flag.compare_exchange_weak(old.0, new.0, SeqCst, SeqCst) {
                Ok(_) => return new,
                Err(changed) => old = Flag(changed),
            }
        }
    }
}

/// A handle to an [`Event`](crate::Event) for other threads. Made by [`Event::remote`](crate::Event::remote).
///
/// The handle may outlive the event, and the loops whose coroutines wait for the event. Then it is a flag that nothing waits for.
///
/// ```
/// use tinyield::{Event, Loop};
///
/// let event = Event::new();
/// let remote = event.remote();
/// std::thread::spawn(move || remote.set());
/// Loop::new().run(event.wait()).unwrap();
/// assert!(event.is_set());
/// ```
///
/// While a handle exists, a loop that waits for the event is not deadlocked. If the last handle is dropped and the event was not
/// set, the loop stops with a [`Deadlock`](crate::Deadlock):
///
/// ```
/// use tinyield::{Deadlock, Event, Loop};
///
/// let event = Event::new();
/// let remote = event.remote();
/// std::thread::spawn(move || drop(remote));
/// let error = Loop::new().run(event.wait()).unwrap_err();
/// assert!(error.error().downcast_ref::<Deadlock>().is_some());
/// ```
pub struct RemoteEvent {
    shared: Arc<SharedFlag>,
}

impl RemoteEvent {
    pub(super) fn new(shared: Arc<SharedFlag>) -> RemoteEvent {
        shared.notifier.hold();
        RemoteEvent { shared }
    }

    /// Sets the event, and wakes every coroutine that waits for it at this moment.
    pub fn set(&self) {
        self.shared.change(Flag::set);
        self.shared.notifier.notify();
    }

    /// Clears the event. Coroutines that an earlier `set` has woken stay woken.
    pub fn clear(&self) {
        self.shared.change(Flag::cleared);
    }

    /// Whether the event is set.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.shared.get().is_set()
    }
}

impl Clone for RemoteEvent {
    fn clone(&self) -> RemoteEvent {
        RemoteEvent::new(self.shared.clone())
    }
}

impl Drop for RemoteEvent {
    fn drop(&mut self) {
        self.shared.notifier.release();
    }
}

impl fmt::Debug for RemoteEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteEvent").field("is_set", &self.is_set()).finish_non_exhaustive()
    }
}
