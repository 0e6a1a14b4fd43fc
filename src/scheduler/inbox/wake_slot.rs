//! Wake slots, as data: the key and the state of a slot, and the counts of its holders. [`waker`](super::waker) makes wakers of them.

use std::rc::Rc;
use std::sync::Arc;

use super::Inbox;
use super::marks::{LocalMarks, LocalPoll};
use crate::primitives::atomic::Ordering::{AcqRel, Relaxed};
use crate::primitives::atomic::{AtomicBool, AtomicUsize};
use crate::scheduler::TaskRef;
use crate::scheduler::slot_table::SlotKey;

/// The task that a wake slot wakes, or the function that it calls.
pub(crate) enum WakeTarget {
    Task(TaskRef),
    Call(Rc<dyn Fn()>),
}

/// An entry by which code outside can wake a loop.
pub(crate) struct WakeSlot {
    pub(super) inbox: Arc<Inbox>,
    pub(crate) key: SlotKey,
    /// The number of wakers of this slot that are held outside, and the bit [`RETIRED`].
    holders: AtomicUsize,
    /// The slot is in the inbox already.
    pub(super) woken: AtomicBool,
    pub(in crate::scheduler) local: LocalMarks,
}

/// The high bit of the count of holders: the slot has nothing to wake any more, and its holders no longer count as watchers of the
/// loop.
const RETIRED: usize = 1 << (usize::BITS - 1);

impl WakeSlot {
    pub(in crate::scheduler) fn new(inbox: Arc<Inbox>, key: SlotKey, target: &WakeTarget) -> Arc<WakeSlot> {
        let task = match target {
            WakeTarget::Task(task) => Some(task),
            WakeTarget::Call(_) => None,
        };
        Arc::new(WakeSlot {
            inbox,
            key,
            holders: AtomicUsize::new(0),
            woken: AtomicBool::new(false),
            local: LocalMarks::new(task),
        })
    }

    /// Notes that the slot was taken out of the inbox: the next wake-up adds it again. If another thread has woken the slot while
    /// it was in the inbox, that thread has not added it again. Everything that it wrote before is visible from here on.
    pub(crate) fn acknowledge(&self) {
        self.woken.swap(false, AcqRel);
    }

    /// Notes that the slot has nothing to wake any more.
    pub(crate) fn retire(&self) {
        let holders = self.holders.fetch_or(RETIRED, AcqRel);
        if holders != 0 && holders & RETIRED == 0 {
            self.inbox.remove_watcher();
        }
    }

    /// Whether the slot has nothing to wake any more.
    pub(in crate::scheduler) fn is_retired(&self) -> bool {
        self.holders.load(Relaxed) & RETIRED != 0
    }

    /// As [`acknowledge`](WakeSlot::acknowledge), for the list of local wake-ups.
    #[inline]
    pub(crate) fn acknowledge_locally(&self) {
        self.local.unlist();
    }

    /// Begins a poll of a future with a waker of this slot, on the loop's own thread. The poll ends when the result is dropped.
    /// `None` if the task has to suspend until the next round first.
    #[inline]
    pub(in crate::scheduler) fn begin_poll(&self) -> Option<LocalPoll<'_>> {
        self.local.begin_poll()
    }

    /// Counts one more waker that is held outside.
    pub(super) fn hold(&self) {
        let holders = self.holders.fetch_add(1, Relaxed);
        if holders & !RETIRED > RETIRED / 2 {
            // On a 64-bit machine, this happens when 2^62 clones were forgotten, and the count would overflow. As with `Arc`, this
            // ends the process.
            std::process::abort();
        }
        if holders == 0 {
            self.inbox.add_watcher();
        }
    }

    /// Gives up the counts of a waker: the waker is no longer a holder, and its count of the `Arc` is released.
    ///
    /// # Safety
    ///
    /// `slot` came from [`Arc::as_ptr`] or [`Arc::into_raw`]. A waker has one count of this `Arc` and is one of the holders, and both
    /// are used up here.
    #[inline(never)]
    pub(super) unsafe fn drop_counts(slot: *const WakeSlot) {
        // SAFETY: by contract, the count of the waker is used up here, and the `Arc` is alive until then.
        let slot = unsafe { Arc::from_raw(slot) };
        slot.release();
    }

    fn release(&self) {
        if self.holders.fetch_sub(1, AcqRel) == 1 {
            self.inbox.remove_watcher();
        }
    }
}

const _: () = {
    const fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<WakeSlot>();
};
