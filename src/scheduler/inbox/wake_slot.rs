//! Wake slots, by which foreign wakers and other threads reach a loop, and the wakers for them.

use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{RawWaker, RawWakerVTable, Waker};

use super::local::{Here, SlotKey};
use super::marks::{LocalMarks, LocalPoll};
use super::{Inbox, Parked};
use crate::primitives::atomic::Ordering::{AcqRel, Relaxed};
use crate::primitives::atomic::{AtomicBool, AtomicUsize};
use crate::scheduler::TaskRef;

/// What a wake slot wakes.
pub(crate) enum WakeTarget {
    Task(TaskRef),
    Call(Rc<dyn Fn()>),
}

/// An entry of a loop that may be woken from outside.
pub(crate) struct WakeSlot {
    pub(super) inbox: Arc<Inbox>,
    pub(crate) key: SlotKey,
    /// The number of wakers of this slot that are held outside, and the bit [`RETIRED`].
    holders: AtomicUsize,
    /// The slot is in the inbox already.
    woken: AtomicBool,
    pub(in crate::scheduler) local: LocalMarks,
}

/// The high bit of the count of holders: nothing is left to wake, and wakers are no longer counted as holders.
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

    /// A waker to be lent, not kept: it is not counted, but its clones are.
    ///
    /// # Safety
    ///
    /// `wake_slot` came from [`Arc::as_ptr`], and an `Arc` of it lives for as long as the waker that is returned.
    #[inline]
    pub(crate) unsafe fn lend(wake_slot: *const WakeSlot) -> ManuallyDrop<Waker> {
        // SAFETY: `VTABLE` needs a pointer of an `Arc` that is alive whenever the waker is used, and by contract this is one. The
        // waker's own `drop` never runs, so it needs no count of its own.
        ManuallyDrop::new(unsafe { Waker::from_raw(RawWaker::new(wake_slot.cast(), &VTABLE)) })
    }

    /// A waker to be kept outside.
    pub(crate) fn waker(wake_slot: &Arc<WakeSlot>) -> Waker {
        // SAFETY: `wake_slot` is borrowed for longer than this line.
        unsafe { WakeSlot::lend(Arc::as_ptr(wake_slot)) }.deref().clone()
    }

    /// The slot that `waker` wakes, if it is one of this crate.
    pub(super) fn of(waker: &Waker) -> Option<Arc<WakeSlot>> {
        if !std::ptr::eq(waker.vtable(), &raw const VTABLE) {
            return None;
        }
        // SAFETY: `VTABLE` is private, so `waker` was made in this file, from `VTABLE` and the pointer of an `Arc`. `waker` is
        // borrowed, so that `Arc` is alive, and `borrow` does not change its count.
        Some(Arc::clone(&*unsafe { borrow(waker.data()) }))
    }

    /// Notes that the slot was taken out of the inbox: the next wake-up adds it again. If a wake-up of another thread found the
    /// slot in the inbox, that thread has not added it again. What that thread wrote before its wake-up is visible from here on.
    pub(crate) fn acknowledge(&self) {
        self.woken.swap(false, AcqRel);
    }

    /// Notes that nothing is left to wake.
    pub(crate) fn retire(&self) {
        let holders = self.holders.fetch_or(RETIRED, AcqRel);
        if holders != 0 && holders & RETIRED == 0 {
            self.inbox.remove_watcher();
        }
    }

    /// Whether nothing is left to wake.
    pub(in crate::scheduler) fn is_retired(&self) -> bool {
        self.holders.load(Relaxed) & RETIRED != 0
    }

    /// As [`acknowledge`](WakeSlot::acknowledge), for the list of local wake-ups.
    #[inline]
    pub(crate) fn acknowledge_locally(&self) {
        self.local.unlist();
    }

    /// The loop's own thread begins to poll a future with a waker of this slot. The poll ends when the result is dropped. `None`
    /// if the task has to suspend first.
    #[inline]
    pub(in crate::scheduler) fn begin_poll(&self) -> Option<LocalPoll<'_>> {
        self.local.begin_poll()
    }

    #[inline]
    pub(crate) fn wake(this: &Arc<WakeSlot>) {
        WakeSlot::wake_with(this, Parked::wake);
    }

    /// Wakes the slot. If its loop sleeps, `wake_parked` wakes the loop.
    #[inline]
    pub(super) fn wake_with(this: &Arc<WakeSlot>, wake_parked: fn(Parked)) {
        this.wake_from(this.inbox.local.here(), || WakeSlot::deliver(this, wake_parked));
    }

    /// Wakes the slot. If this is not possible on this thread, calls `deliver`, which puts the slot into the inbox.
    #[inline(always)]
    fn wake_from(&self, here: Option<Here<'_>>, deliver: impl FnOnce()) {
        if !self.is_retired() && !here.is_some_and(|here| here.wake(self)) {
            deliver();
        }
    }

    #[inline(never)]
    fn deliver(this: &Arc<WakeSlot>, wake_parked: fn(Parked)) {
        if !this.woken.swap(true, AcqRel) {
            wake_parked(this.inbox.deliver(|state| state.woken.push(Arc::clone(this))));
        }
    }

    fn hold(&self) {
        let holders = self.holders.fetch_add(1, Relaxed);
        if holders & !RETIRED > RETIRED / 2 {
            // 2^62 clones were forgotten, and the count would overflow. As with `Arc`, this ends the process.
            std::process::abort();
        }
        if holders == 0 {
            self.inbox.add_watcher();
        }
    }

    /// Drops the spare waker that the loop's own thread has kept, if there is one.
    pub(in crate::scheduler) fn drop_spare(this: &Arc<WakeSlot>) {
        if this.inbox.local.here().is_some_and(|here| here.take_spare(this)) {
            // SAFETY: the spare waker was one of `VTABLE` with this data. It is taken out, and so used up here, once.
            unsafe { drop_counts(Arc::as_ptr(this).cast()) };
        }
    }

    fn release(&self) {
        if self.holders.fetch_sub(1, AcqRel) == 1 {
            self.inbox.remove_watcher();
        }
    }
}

/// The data of each waker is an `Arc<WakeSlot>` as a raw pointer. Each waker, except a lent one, has one count of the `Arc` and
/// is one of the holders. All functions may be called from any thread, as `Waker` demands: `WakeSlot` is `Send + Sync`, as its
/// fields are.
static VTABLE: RawWakerVTable = RawWakerVTable::new(clone_waker, wake, wake_by_ref, drop_waker);

const _: () = {
    const fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<WakeSlot>();
};

/// # Safety
///
/// `data` is that of a waker of [`VTABLE`] which is alive during the call.
unsafe fn borrow(data: *const ()) -> ManuallyDrop<Arc<WakeSlot>> {
    // SAFETY: by contract `data` came from `Arc::into_raw` and its count is still held by the waker. `ManuallyDrop` leaves it there.
    ManuallyDrop::new(unsafe { Arc::from_raw(data.cast()) })
}

/// # Safety
///
/// As [`borrow`].
unsafe fn clone_waker(data: *const ()) -> RawWaker {
    // SAFETY: by contract.
    let wake_slot = unsafe { borrow(data) };
    if wake_slot.inbox.local.here().is_some_and(|here| here.take_spare(&wake_slot)) {
        // The clone takes over the counts of the spare waker.
        return RawWaker::new(data, &VTABLE);
    }
    wake_slot.hold();
    RawWaker::new(Arc::into_raw(Arc::clone(&wake_slot)).cast(), &VTABLE)
}

/// # Safety
///
/// As [`borrow`]. The waker is used up.
unsafe fn wake(data: *const ()) {
    // SAFETY: by contract.
    let wake_slot = unsafe { borrow(data) };
    let is_done = wake_slot.inbox.local.here().is_some_and(|here| here.wake_and_keep_spare(&wake_slot));
    if !is_done {
        // SAFETY: by contract. The waker is used up there.
        unsafe { wake_slow(data) }
    }
}

/// # Safety
///
/// As [`borrow`]. The waker is used up.
#[inline(never)]
unsafe fn wake_slow(data: *const ()) {
    // The waker first wakes, and only then stops being a holder. So a loop that finds no holder finds the wake-up when it looks
    // again.
    // SAFETY: by contract, for both.
    unsafe {
        wake_by_ref(data);
        drop_waker(data);
    }
}

/// # Safety
///
/// As [`borrow`].
unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: by contract.
    WakeSlot::wake(&*unsafe { borrow(data) });
}

/// # Safety
///
/// As [`borrow`]. The waker is used up.
unsafe fn drop_waker(data: *const ()) {
    // SAFETY: by contract.
    let wake_slot = unsafe { borrow(data) };
    if !wake_slot.inbox.local.here().is_some_and(|here| here.keep_spare(&wake_slot)) {
        // SAFETY: by contract. The waker is not kept.
        unsafe { drop_counts(data) };
    }
}

/// # Safety
///
/// As [`borrow`]. The waker is used up, and is not kept as a spare one.
#[inline(never)]
unsafe fn drop_counts(data: *const ()) {
    // SAFETY: by contract the waker is used up, so the count of the `Arc` that it holds is given up here.
    let wake_slot = ManuallyDrop::into_inner(unsafe { borrow(data) });
    wake_slot.release();
}
