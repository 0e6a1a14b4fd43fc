//! The inbox of a run, and the wake slots in it: how foreign wakers and remote handles reach a task or a function of the loop.
//!
//! The inbox is made on first use. This file relies on [`inbox`](super::inbox), the part that other threads see.

use std::sync::Arc;

use super::Scheduler;
use super::inbox::{Inbox, WakeSlot, WakeTarget};

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
        let mut added = None;
        self.wake_slots.borrow_mut().insert_with(|key| {
            let wake_slot = WakeSlot::new(self.inbox().clone(), key, &target);
            added = Some(wake_slot.clone());
            (wake_slot, target)
        });
        added.expect("the table has made the entry")
    }

    pub(crate) fn remove_wake_slot(&self, wake_slot: &Arc<WakeSlot>) {
        wake_slot.retire();
        // The entry is dropped after the borrow has ended.
        let removed = self.wake_slots.borrow_mut().remove(wake_slot.key);
        drop(removed);
    }
}
