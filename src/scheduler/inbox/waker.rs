//! The wakers of wake slots. Foreign code and other threads wake a loop through these wakers.
//!
//! On the loop's own thread, a waker uses [`local`](super::local), which takes no lock. On any other thread, the slot goes into the
//! inbox.

use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::sync::Arc;
use std::task::{RawWaker, RawWakerVTable, Waker};

use super::local::Here;
use super::parked::Parked;
use super::wake_slot::WakeSlot;
use crate::primitives::atomic::Ordering::AcqRel;

impl WakeSlot {
    /// Makes a waker to lend for a poll. It is not counted, but its clones are.
    ///
    /// # Safety
    ///
    /// `wake_slot` came from [`Arc::as_ptr`], and an `Arc` of it lives for as long as the waker that is returned.
    #[inline]
    pub(crate) unsafe fn lend(wake_slot: *const WakeSlot) -> ManuallyDrop<Waker> {
        // SAFETY: `VTABLE` needs the pointer of an `Arc` that is alive whenever the waker is used. By contract, `wake_slot` is such a
        // pointer. The waker's own `drop` never runs, so it needs no count of its own.
        ManuallyDrop::new(unsafe { Waker::from_raw(RawWaker::new(wake_slot.cast(), &VTABLE)) })
    }

    /// Makes a waker that is counted, to keep outside.
    pub(crate) fn waker(wake_slot: &Arc<WakeSlot>) -> Waker {
        // SAFETY: `wake_slot` is borrowed for longer than this line.
        unsafe { WakeSlot::lend(Arc::as_ptr(wake_slot)) }.deref().clone()
    }

    /// The slot that `waker` wakes, if `waker` is one of this crate.
    pub(super) fn of(waker: &Waker) -> Option<Arc<WakeSlot>> {
        if !std::ptr::eq(waker.vtable(), &raw const VTABLE) {
            return None;
        }
        // SAFETY: `VTABLE` is private, so `waker` was made in this file, from `VTABLE` and the pointer of an `Arc`. `waker` is
        // borrowed, so that `Arc` is alive, and `borrow` does not change its count.
        Some(Arc::clone(&*unsafe { borrow(waker.data()) }))
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
}

/// The data of each waker is an `Arc<WakeSlot>` as a raw pointer. Each waker, except a lent one, has one count of the `Arc` and
/// is one of the holders. All functions may be called from any thread, as `Waker` demands: `WakeSlot` is `Send + Sync`, as its
/// fields are.
static VTABLE: RawWakerVTable = RawWakerVTable::new(clone_waker, wake, wake_by_ref, drop_waker);

/// # Safety
///
/// `data` is the data of a waker of [`VTABLE`], and this waker is alive during the call.
unsafe fn borrow(data: *const ()) -> ManuallyDrop<Arc<WakeSlot>> {
    // SAFETY: by contract, `data` is the pointer of an `Arc`. The waker has a count of this `Arc`, or is a lent one: then another count
    // exists for as long as the waker (see `lend`). `ManuallyDrop` changes no count.
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
        unsafe { WakeSlot::drop_counts(data.cast()) };
    }
}
