//! Wake-ups from outside: from other threads, from foreign futures, from handles that outlive the loop.
//!
//! The inbox is the only part of a loop that other threads touch. A [`WakeSlot`] is a return address in it, handed out as a
//! `Waker`, and counted: while nobody outside holds one, nothing outside can wake the loop.

use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
use std::task::{RawWaker, RawWakerVTable, Waker};
use std::time::Instant;

use crate::error::Reason;
use crate::primitives::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use crate::primitives::atomic::{AtomicBool, AtomicUsize};
use crate::primitives::thread::{self, Thread};
use crate::primitives::{Mutex, MutexGuard};

/// What other threads share with a loop while it runs.
#[derive(Default)]
pub(crate) struct Inbox {
    /// Something is in the state that the loop has not seen.
    signalled: AtomicBool,
    /// How many wake_slots somebody outside holds.
    outside: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    woken: Vec<Arc<WakeSlot>>,
    stop: Option<Reason>,
    closed: bool,
    parked: Parked,
}

/// Who is to be told when something comes in.
#[derive(Default)]
#[must_use = "it sleeps until it is woken"]
pub(crate) enum Parked {
    #[default]
    Awake,
    Thread(Thread),
    Host(Waker),
}

impl Parked {
    /// The host's waker is foreign code: not under a lock.
    pub(crate) fn wake(self) {
        match self {
            Parked::Awake => {}
            Parked::Thread(thread) => thread.unpark(),
            Parked::Host(waker) => call_host(|| waker.wake()),
        }
    }

    /// Nobody will wake it any longer: a thread comes back early.
    fn let_go(self) {
        match self {
            Parked::Awake => {}
            Parked::Thread(thread) => thread.unpark(),
            Parked::Host(waker) => call_host(|| drop(waker)),
        }
    }
}

/// What has come in since the loop looked last.
pub(crate) struct Delivery {
    pub(crate) woken: Vec<Arc<WakeSlot>>,
    /// Why the loop is to stop, if it is.
    pub(crate) stop: Option<Reason>,
}

impl Inbox {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether something has come in. One relaxed load, so it may be late, but not for a loop that is about to sleep: going
    /// to sleep looks again under the lock.
    pub(crate) fn is_signalled(&self) -> bool {
        self.signalled.load(Relaxed)
    }

    pub(crate) fn take(&self) -> Delivery {
        self.signalled.store(false, Relaxed);
        let mut state = self.state();
        Delivery { woken: std::mem::take(&mut state.woken), stop: std::mem::take(&mut state.stop) }
    }

    /// Has the loop look at what `change` left in the state, once the parked is woken.
    fn leave(&self, change: impl FnOnce(&mut State)) -> Parked {
        let mut state = self.state();
        if state.closed {
            return Parked::Awake;
        }
        change(&mut state);
        self.signalled.store(true, Relaxed);
        std::mem::take(&mut state.parked)
    }

    /// Has the loop look at what `change` left in the state.
    fn signal(&self, change: impl FnOnce(&mut State)) {
        self.leave(change).wake();
    }

    /// Has the loop cancel everything.
    pub(crate) fn stop(&self, why: Reason) {
        self.ask_to_stop(why).wake();
    }

    /// Has the loop cancel everything, once the parked is woken.
    pub(crate) fn ask_to_stop(&self, why: Reason) -> Parked {
        self.leave(|state| {
            state.stop.get_or_insert(why);
        })
    }

    /// Whether it was asked to stop and the loop has not come to hear of it; now it will not.
    pub(crate) fn take_stop(&self) -> bool {
        self.state().stop.take().is_some()
    }

    /// Has the host poll the loop again, if it sleeps.
    pub(crate) fn wake_host(&self) {
        self.signal(|_| {});
    }

    /// Whether somebody outside holds something that could still wake the loop.
    pub(crate) fn is_watched(&self) -> bool {
        self.outside.load(Acquire) != 0
    }

    fn outside_one_more(&self) {
        self.outside.fetch_add(1, Relaxed);
    }

    fn outside_one_less(&self) {
        if self.outside.fetch_sub(1, AcqRel) == 1 {
            // The loop may be asleep in the belief that somebody will wake it.
            self.signal(|_| {});
        }
    }

    /// Blocks the thread until something comes in, or until `deadline`. May come back early.
    pub(crate) fn park(&self, deadline: Option<Instant>) {
        let mut state = self.state();
        if let Parked::Host(_) = state.parked {
            // Before this thread can be unparked, as what drops it may park too.
            let host = std::mem::take(&mut state.parked);
            drop(state);
            call_host(|| drop(host));
            state = self.state();
        }
        if state.closed || self.is_signalled() {
            return;
        }
        let own = thread::current();
        let other = std::mem::replace(&mut state.parked, Parked::Thread(own.clone()));
        drop(state);
        // Another thread may wait for the same loop, and is free to come back early.
        other.wake();
        match deadline {
            None => thread::park(),
            Some(deadline) => thread::park_timeout(deadline.saturating_duration_since(Instant::now())),
        }
        let mut state = self.state();
        if matches!(&state.parked, Parked::Thread(sleeping) if sleeping.id() == own.id()) {
            state.parked = Parked::Awake;
        }
    }

    /// Has `waker` woken when something comes in; false if something has already.
    pub(crate) fn set_host_waker(&self, waker: &Waker) -> bool {
        let mut new = None;
        loop {
            let mut state = self.state();
            if self.is_signalled() {
                return false;
            }
            if matches!(&state.parked, Parked::Host(old) if old.will_wake(waker)) {
                return true;
            }
            let Some(new) = new.take() else {
                // Foreign code, as its `wake` and `drop`: it runs without the lock.
                drop(state);
                new = Some(waker.clone());
                continue;
            };
            let old = std::mem::replace(&mut state.parked, Parked::Host(new));
            drop(state);
            old.let_go();
            return true;
        }
    }

    /// The loop is gone: what comes in from now on is dropped.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        let (woken, parked) = (std::mem::take(&mut state.woken), std::mem::take(&mut state.parked));
        drop(state);
        // A thread may wait for a loop that another one has brought to its end.
        parked.let_go();
        drop(woken);
    }
}

/// Calls what may be the waker of a host, which is foreign code: not under the lock. Should it panic, there is nobody to tell
/// but the hook: whoever wakes the loop knows nothing of its host, and may have others to wake.
fn call_host(call: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(call)) {
        std::mem::forget(payload);
    }
}

/// Something in a loop that may be woken from outside, by its id there.
pub(crate) struct WakeSlot {
    inbox: Arc<Inbox>,
    pub(crate) index: usize,
    /// How many wakers of it are held outside, and [`RETIRED`].
    holders: AtomicUsize,
    /// It is in the inbox already.
    woken: AtomicBool,
}

/// Nothing is left to wake: wakers of it no longer count. In the high bit of the count of holders.
const RETIRED: usize = 1 << (usize::BITS - 1);

impl WakeSlot {
    pub(crate) fn new(inbox: Arc<Inbox>, index: usize) -> Arc<WakeSlot> {
        Arc::new(WakeSlot { inbox, index, holders: AtomicUsize::new(0), woken: AtomicBool::new(false) })
    }

    /// A waker to be lent, not kept: it is not counted, but its clones are.
    ///
    /// # Safety
    ///
    /// `wake_slot` came from [`Arc::as_ptr`], and some `Arc` of it lives for as long as what is returned.
    #[inline]
    pub(crate) unsafe fn lend(wake_slot: *const WakeSlot) -> ManuallyDrop<Waker> {
        // SAFETY: `VTABLE` asks for a pointer of an `Arc` that is alive whenever the waker is used, and by contract this is
        // one. The waker's own `drop` never runs, so that it needs no count of its own.
        ManuallyDrop::new(unsafe { Waker::from_raw(RawWaker::new(wake_slot.cast(), &VTABLE)) })
    }

    /// A waker to be kept by somebody outside.
    pub(crate) fn waker(wake_slot: &Arc<WakeSlot>) -> Waker {
        // SAFETY: `wake_slot` is borrowed for longer than this line.
        unsafe { WakeSlot::lend(Arc::as_ptr(wake_slot)) }.deref().clone()
    }

    /// Taken out of the inbox: the next wake-up is a new one. What those have done who found it there already, and so left it
    /// at that, is seen from here on.
    pub(crate) fn acknowledge(&self) {
        self.woken.swap(false, AcqRel);
    }

    /// There is nothing left to wake.
    pub(crate) fn retire(&self) {
        let holders = self.holders.fetch_or(RETIRED, AcqRel);
        if holders != 0 && holders & RETIRED == 0 {
            self.inbox.outside_one_less();
        }
    }

    pub(crate) fn wake(this: &Arc<WakeSlot>) {
        if this.holders.load(Relaxed) & RETIRED == 0 && !this.woken.swap(true, AcqRel) {
            this.inbox.signal(|state| state.woken.push(Arc::clone(this)));
        }
    }

    fn hold(&self) {
        let holders = self.holders.fetch_add(1, Relaxed);
        if holders & !RETIRED > RETIRED / 2 {
            // Thousands of millions of forgotten clones: as with `Arc`, better no program than a wrong one.
            std::process::abort();
        }
        if holders == 0 {
            self.inbox.outside_one_more();
        }
    }

    fn release(&self) {
        if self.holders.fetch_sub(1, AcqRel) == 1 {
            self.inbox.outside_one_less();
        }
    }
}

/// The data of each waker is an `Arc<WakeSlot>` made a raw pointer, and each but a lent one has a count in it and one among
/// its holders. All functions may be called from any thread, as `Waker` demands: `WakeSlot` is `Send + Sync`, being made of
/// such.
static VTABLE: RawWakerVTable = RawWakerVTable::new(clone_waker, wake, wake_by_ref, drop_waker);

const _: () = {
    const fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<WakeSlot>();
};

/// # Safety
///
/// `data` is that of a waker of [`VTABLE`] which is alive during the call.
unsafe fn borrow(data: *const ()) -> ManuallyDrop<Arc<WakeSlot>> {
    // SAFETY: by contract `data` came from `Arc::into_raw` and its count is still held by the waker; `ManuallyDrop` leaves
    // it there.
    ManuallyDrop::new(unsafe { Arc::from_raw(data.cast()) })
}

/// # Safety
///
/// As [`borrow`].
unsafe fn clone_waker(data: *const ()) -> RawWaker {
    // SAFETY: by contract.
    let wake_slot = unsafe { borrow(data) };
    wake_slot.hold();
    RawWaker::new(Arc::into_raw(Arc::clone(&wake_slot)).cast(), &VTABLE)
}

/// # Safety
///
/// As [`borrow`]; the waker is given up.
unsafe fn wake(data: *const ()) {
    // SAFETY: by contract. The wake-up comes before the holder leaves, so that the loop, once it sees nobody outside, finds
    // the wake-up when it looks again.
    unsafe { wake_by_ref(data) };
    // SAFETY: by contract.
    unsafe { drop_waker(data) };
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
/// As [`borrow`]; the waker is given up.
unsafe fn drop_waker(data: *const ()) {
    // SAFETY: by contract: the waker's count goes with it.
    let wake_slot = ManuallyDrop::into_inner(unsafe { borrow(data) });
    wake_slot.release();
}
