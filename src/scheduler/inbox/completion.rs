//! The handle with which another thread wakes one task, once.
//!
//! It is cheaper than a waker of a wake slot: the other thread only puts a key into the inbox. Each completion is delivered exactly
//! once, because it is delivered when it is dropped. So the thread of the loop counts it as a watcher when it is made, and removes it
//! from the count when it arrives. If the run is over, nothing is delivered.

use std::sync::Arc;

use super::{Inbox, Parked, SlotKey};
use crate::primitives::atomic::Ordering::Relaxed;
use crate::primitives::lock;

/// When this is delivered or dropped, the task that waits for it is woken.
pub(crate) struct Completion {
    inbox: Arc<Inbox>,
    key: SlotKey,
    /// Whether more completions are likely to follow soon.
    more_follow: bool,
}

impl Completion {
    /// Makes the completion with this key. Until it arrives, the loop of `inbox` is watched.
    pub(in crate::scheduler) fn new(inbox: Arc<Inbox>, key: SlotKey) -> Completion {
        inbox.add_watcher();
        Completion { inbox, key, more_follow: false }
    }

    pub(crate) fn key(&self) -> SlotKey {
        self.key
    }

    /// Delivers the completion. `more_follow` says whether more completions are likely to follow soon: then a thread that waits for
    /// a batch is not woken.
    pub(crate) fn deliver(mut self, more_follow: bool) {
        self.more_follow = more_follow;
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        self.inbox.deliver_completion(self.key, self.more_follow).wake();
    }
}

impl Inbox {
    /// The caller has to wake the returned `Parked`.
    fn deliver_completion(&self, key: SlotKey, more_follow: bool) -> Parked {
        let mut state = lock(&self.state);
        if state.closed {
            return Parked::Nothing;
        }
        state.completed.push(key);
        state.more_follow = more_follow;
        self.signalled.store(true, Relaxed);
        match state.parked {
            Parked::Thread { waits_for_batch: true, .. } if more_follow => Parked::Nothing,
            _ => std::mem::take(&mut state.parked),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::primitives::thread;
    use crate::scheduler::inbox::Delivery;

    const KEY: SlotKey = SlotKey { index: 0, stamp: 1 };

    /// An inbox at which a thread is parked.
    fn parked(waits_for_batch: bool) -> Inbox {
        let inbox = Inbox::default();
        lock(&inbox.state).parked = Parked::Thread { thread: thread::current(), waits_for_batch };
        inbox
    }

    fn wakes(parked: &Parked) -> bool {
        matches!(parked, Parked::Thread { .. })
    }

    #[test]
    fn completion_after_which_more_follow_wakes_only_a_thread_that_does_not_wait_for_a_batch() {
        assert!(wakes(&parked(false).deliver_completion(KEY, true)));
        let inbox = parked(true);
        assert!(!wakes(&inbox.deliver_completion(KEY, true)));
        assert!(inbox.is_signalled());
        // The last completion of the batch wakes it.
        assert!(wakes(&inbox.deliver_completion(KEY, false)));
    }

    #[test]
    fn park_without_a_batch_clears_the_flag_that_more_follow() {
        let inbox = Inbox::default();
        assert!(!wakes(&inbox.deliver_completion(KEY, true)));
        inbox.take(&mut Delivery::default());
        assert!(lock(&inbox.state).more_follow);
        inbox.park(Some(Instant::now()), None);
        assert!(!lock(&inbox.state).more_follow);
    }

    #[test]
    fn stop_wakes_a_thread_that_waits_for_a_batch() {
        let inbox = parked(true);
        assert!(!wakes(&inbox.deliver_completion(KEY, true)));
        assert!(wakes(&inbox.request_stop(crate::error::Reason::Stopped)));
    }
}
