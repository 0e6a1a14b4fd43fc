//! The inbox of a run, and the wake slots in it: how foreign wakers and other threads reach a task or a function of the loop.
//!
//! The inbox is made on first use. This file relies on [`inbox`](super::inbox), the part that other threads see.

use std::sync::Arc;

use super::Scheduler;
use super::inbox::SlotKey;
use super::inbox::{Inbox, WakeSlot, WakeTarget};
use crate::capacity::KEPT_CAPACITY;

impl Scheduler {
    pub(crate) fn inbox(&self) -> &Arc<Inbox> {
        self.inbox.get_or_init(|| {
            let inbox = Arc::<Inbox>::default();
            if self.root.borrow().is_none() {
                // The run is over.
                inbox.close();
            }
            if self.is_running.get() {
                // SAFETY: while `is_running` is set, a `Running` borrows the scheduler. When the `Running` is dropped, it calls
                // `end_run`. Its borrow ends only after that.
                unsafe { inbox.begin_run(self) };
            }
            inbox
        })
    }

    /// Whether something has come in since the loop last looked at the inbox: from another thread, or from user code that has woken a
    /// task on this thread.
    #[inline]
    pub(super) fn is_signalled(&self) -> bool {
        self.inbox.get().is_some_and(|inbox| inbox.is_signalled())
    }

    /// Whether a holder outside could wake this loop, or has already woken it.
    pub(super) fn may_be_woken(&self) -> bool {
        // The signal is read last: a holder that wakes the loop signals before it stops being a holder.
        let may_be_woken = |inbox: &Arc<Inbox>| inbox.is_watched() || inbox.may_guest_wake() || inbox.is_signalled();
        self.inbox.get().is_some_and(may_be_woken)
    }

    pub(crate) fn add_wake_slot(&self, target: WakeTarget) -> Arc<WakeSlot> {
        let mut wake_slots = self.wake_slots.borrow_mut();
        let entry = wake_slots.vacant_entry();
        self.last_slot.set(self.last_slot.get() + 1);
        let key = SlotKey { index: entry.key(), stamp: self.last_slot.get() };
        let wake_slot = WakeSlot::new(self.inbox().clone(), key, &target);
        entry.insert((wake_slot.clone(), target));
        wake_slot
    }

    pub(crate) fn remove_wake_slot(&self, wake_slot: &Arc<WakeSlot>) {
        wake_slot.retire();
        let mut wake_slots = self.wake_slots.borrow_mut();
        let index = wake_slot.key.index;
        let is_there = wake_slots.get(index).is_some_and(|(there, _)| there.key == wake_slot.key);
        let removed = is_there.then(|| wake_slots.remove(index));
        // Shrinking takes time in proportion to the capacity, and has no effect while the last slot is in use. So it is tried
        // only when no slot is left, or after many removals.
        let removals = self.slot_removals.replace(self.slot_removals.get() + 1);
        let is_time = wake_slots.is_empty() || removals > wake_slots.capacity();
        if is_time && wake_slots.capacity() > 4 * wake_slots.len() + KEPT_CAPACITY {
            wake_slots.shrink_to_fit();
            self.slot_removals.set(0);
        }
        drop(wake_slots);
        drop(removed);
    }
}
