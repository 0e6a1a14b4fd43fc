//! Guests: the loops that tasks of another loop, their host, poll.
//!
//! A host reports a deadlock only if nothing can wake any of its guests. So each inbox has a list of the guests that may be woken.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};

use super::{Inbox, Parked};
use crate::iterations;
use crate::primitives::atomic::Ordering::Relaxed;
use crate::primitives::lock;

/// The guests of this loop that may be woken: each of them has a timer, is watched, or has such guests itself. A guest has the
/// waker of its host's task, but is not counted as a holder of that waker. So a guest keeps its host from reporting a deadlock
/// only while one of these three conditions is true.
///
/// If one of the conditions is true, a guest is added by its own thread when it begins to sleep. It is also added when it gets its
/// first watcher. A guest that nothing can wake any more stays in the list until the host looks at its guests. So for each
/// addition, the host looks at most once at a guest that nothing can wake.
#[derive(Default)]
pub(super) struct Guests {
    /// Sorted by the address of the inbox.
    loops: BTreeMap<usize, Weak<Inbox>>,
    /// When there are this many entries, the entries of loops that no longer exist are removed.
    prune_at: usize,
}

impl Guests {
    fn add(&mut self, guest: &Arc<Inbox>) {
        if self.loops.len() >= self.prune_at {
            self.loops.retain(|_, guest| guest.strong_count() != 0);
            self.prune_at = 2 * self.loops.len() + 8;
        }
        self.loops.insert(Arc::as_ptr(guest).addr(), Arc::downgrade(guest));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.loops.is_empty()
    }

    /// The first loop at an address above `last`.
    fn next(&self, last: usize) -> Option<(usize, Weak<Inbox>)> {
        let (address, guest) = self.loops.range(last + 1..).next()?;
        Some((*address, guest.clone()))
    }
}

/// Whether a guest may wake its host.
enum Guest {
    /// Something can wake the guest, and the guest then wakes a task of the host.
    MayWake,
    /// Only the guests of this guest could wake it.
    MayBeWoken,
    /// The task that polled the guest waits for no future now, so a wake-up by the guest has no effect. The guest stays in the
    /// list, because the task may wait for it again without another poll of the guest.
    NotAwaited,
    /// Nothing can wake the guest. If that changes, the guest is added again.
    Asleep,
}

impl Inbox {
    /// Adds this loop to the guests of its host, that host to the guests of its own host, and so on. A host looks at its guests
    /// before it reports a deadlock.
    pub(super) fn become_guest(self: &Arc<Inbox>) {
        if !self.has_host.load(Relaxed) {
            return;
        }
        let mut guest = self.clone();
        loop {
            iterations::count();
            let mut state = lock(&guest.state);
            if state.is_guest {
                // This loop is in the list of its host already. So the host is in the list of its own host, or does not sleep.
                break;
            }
            let Some(host) = state.host.as_ref().and_then(Weak::upgrade) else { break };
            state.is_guest = true;
            drop(state);
            lock(&host.state).guests.add(&guest);
            guest = host;
        }
    }

    /// Whether a holder outside, or a timer, could still wake a guest of this loop, or a guest of a guest, and so on.
    pub(crate) fn may_guest_wake(self: &Arc<Inbox>) -> bool {
        if lock(&self.state).guests.is_empty() {
            return false;
        }
        let mut seen = BTreeSet::from([Arc::as_ptr(self)]);
        let mut hosts = vec![self.clone()];
        while let Some(host) = hosts.pop() {
            let mut last = 0;
            loop {
                iterations::count();
                let next = lock(&host.state).guests.next(last);
                let Some((address, guest)) = next else { break };
                last = address;
                let guest = guest.upgrade();
                match guest.as_ref().map_or(Guest::Asleep, |guest| guest.as_guest_of(&host)) {
                    Guest::MayWake => return true,
                    Guest::NotAwaited => {}
                    Guest::Asleep => drop(lock(&host.state).guests.loops.remove(&address)),
                    Guest::MayBeWoken => {
                        if let Some(guest) = guest.filter(|guest| seen.insert(Arc::as_ptr(guest))) {
                            hosts.push(guest);
                        }
                    }
                }
            }
        }
        false
    }

    /// Whether this loop, a guest of `host`, may wake `host`. The host removes the guest if the answer is
    /// [`Asleep`](Guest::Asleep).
    fn as_guest_of(&self, host: &Arc<Inbox>) -> Guest {
        let mut state = lock(&self.state);
        let guest = match &state.parked {
            // A task of another loop polls the guest now, or the task that polled it has ended.
            Parked::Task { wake_slot, .. } if !Arc::ptr_eq(&wake_slot.inbox, host) || wake_slot.is_retired() => {
                Guest::Asleep
            }
            Parked::Task { wake_slot, .. } if !wake_slot.local.awaits() => Guest::NotAwaited,
            Parked::Task { has_timers: true, .. } => Guest::MayWake,
            // If the inbox is signalled, a holder has taken the parked task out, and is about to wake it. This holder still counts as
            // a watcher, so the inbox is watched.
            Parked::Nothing | Parked::Thread { .. } | Parked::Host(..)
                if state.closed || !self.signalled.load(Relaxed) =>
            {
                Guest::Asleep
            }
            _ if self.is_watched() => Guest::MayWake,
            _ if state.guests.is_empty() => Guest::Asleep,
            _ => Guest::MayBeWoken,
        };
        let is_host = state.host.as_ref().is_some_and(|known| std::ptr::eq(known.as_ptr(), &**host));
        if is_host && matches!(guest, Guest::Asleep) {
            state.is_guest = false;
        }
        guest
    }
}
