//! Wake-ups from outside: from other threads, from foreign futures, from handles that outlive the loop.
//!
//! Of the scheduler, other threads touch only the inbox and the watch (`watch.rs`). A [`WakeSlot`] is an address in the inbox. Code
//! outside gets the address as a `Waker`, and these wakers are counted: while no code outside holds one, nothing outside can wake the
//! loop. [`Parked`] is what sleeps until something comes in. [`guests`] are the loops that tasks of this loop poll. [`local`] has the
//! wake-ups from the loop's own thread, which take no lock.

mod guests;
mod local;
mod marks;
mod parked;
mod this_thread;
mod wake_slot;

use std::sync::{Arc, Weak};
use std::task::Waker;
use std::time::Instant;

use self::guests::Guests;
use self::local::LocalWakes;
pub(super) use self::local::SlotKey;
pub(crate) use self::parked::{EndOfWatch, Parked};
pub(crate) use self::wake_slot::{WakeSlot, WakeTarget};
use super::Scheduler;
use crate::capacity::KEPT_CAPACITY;
use crate::error::Reason;
use crate::primitives::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use crate::primitives::atomic::{AtomicBool, AtomicUsize};
use crate::primitives::{Mutex, lock, thread};

/// What other threads share with a loop while it runs.
#[derive(Default)]
pub(crate) struct Inbox {
    /// The state holds something that the loop has not seen.
    signalled: AtomicBool,
    /// How many wake slots have holders outside. While the loop runs, its own thread counts separately: see
    /// [`begin_run`](Inbox::begin_run).
    watchers: AtomicUsize,
    /// A task of another loop has polled this one.
    has_host: AtomicBool,
    state: Mutex<State>,
    pub(super) local: LocalWakes,
}

#[derive(Default)]
struct State {
    woken: Vec<Arc<WakeSlot>>,
    stop: Option<Reason>,
    closed: bool,
    parked: Parked,
    guests: Guests,
    /// The loop whose task polled this one last.
    host: Option<Weak<Inbox>>,
    /// That loop has this one among its guests.
    is_guest: bool,
}

/// Memory for what is taken out of the inbox, kept by the loop, so that a wake-up allocates nothing.
#[derive(Default)]
pub(crate) struct Delivery {
    pub(crate) woken: Vec<Arc<WakeSlot>>,
    /// Why the loop is to stop, if it is to stop.
    pub(crate) stop: Option<Reason>,
}

impl Delivery {
    /// Gives back the memory of an unusually long list, which is empty now.
    pub(crate) fn shrink(&mut self) {
        self.woken.shrink_to(KEPT_CAPACITY);
    }
}

impl Inbox {
    /// Whether something has come in. The loads are relaxed, so the answer may be late. A loop that is about to park does not
    /// rely on it: [`park`](Inbox::park) looks again under the lock.
    #[inline]
    pub(crate) fn is_signalled(&self) -> bool {
        self.signalled.load(Relaxed) || self.local.is_signalled()
    }

    /// Whether something has come in, other than local wake-ups.
    #[inline]
    pub(crate) fn has_delivery(&self) -> bool {
        self.signalled.load(Relaxed)
    }

    /// Takes out what has come in, other than local wake-ups. The list of `delivery` is empty.
    pub(crate) fn take(&self, delivery: &mut Delivery) {
        self.signalled.store(false, Relaxed);
        let mut state = lock(&self.state);
        std::mem::swap(&mut state.woken, &mut delivery.woken);
        delivery.stop = state.stop.take();
    }

    /// Notes that the loop runs: wake-ups from its own thread go to its scheduler, until [`end_run`](Inbox::end_run) is called.
    ///
    /// While the loop runs, its own thread has a count of watchers of its own, which takes no atomic read-modify-write. Other
    /// threads use only the common count. So the common count may wrap meanwhile, or be zero too early. The two counts are added
    /// when the run ends, before anything relies on the sum.
    ///
    /// # Safety
    ///
    /// Until `end_run` is called, the scheduler is not dropped, moved, or borrowed mutably.
    pub(super) unsafe fn begin_run(&self, scheduler: &Scheduler) {
        // SAFETY: by contract.
        unsafe { self.local.open(scheduler) };
    }

    /// Notes that the loop no longer runs.
    // If this were inlined, it would take a register from the main loop.
    #[inline(never)]
    pub(super) fn end_run(self: &Arc<Inbox>) {
        self.add_local_watchers();
        self.local.close();
    }

    /// Adds the watchers that were counted on the loop's own thread, so that [`is_watched`](Inbox::is_watched) is right also while
    /// the loop runs.
    pub(super) fn add_local_watchers(self: &Arc<Inbox>) {
        // Nothing outside holds a spare waker. Dropping it changes the local count, so the local count is taken afterwards.
        while let Some(slot) = self.local.next_with_spare() {
            WakeSlot::drop_spare(&slot);
        }
        let added = self.local.take_watchers();
        if added != 0 {
            // A holder signals before it leaves, so this thread sees the signal from here on.
            self.watchers.fetch_add(added.cast_unsigned(), AcqRel);
            self.become_guest();
        }
    }

    /// Changes the state so that the loop looks at it. The caller wakes what is returned.
    fn deliver(&self, change: impl FnOnce(&mut State)) -> Parked {
        let mut state = lock(&self.state);
        if state.closed {
            return Parked::Nothing;
        }
        change(&mut state);
        self.signalled.store(true, Relaxed);
        std::mem::take(&mut state.parked)
    }

    /// Makes the loop cancel everything.
    pub(crate) fn stop(&self, reason: Reason) {
        self.request_stop(reason).wake();
    }

    /// Makes the loop cancel everything, once the caller has woken what is returned.
    pub(crate) fn request_stop(&self, reason: Reason) -> Parked {
        self.deliver(|state| {
            state.stop.get_or_insert(reason);
        })
    }

    /// Takes back a request to stop. False if there is none, or the loop has seen it.
    pub(crate) fn take_stop(&self) -> bool {
        lock(&self.state).stop.take().is_some()
    }

    /// Wakes the thread or the host that sleeps, so that the loop checks its state again.
    pub(crate) fn wake_parked(&self) {
        self.deliver(|_| {}).wake();
    }

    /// Whether a holder outside could still wake the loop.
    pub(crate) fn is_watched(&self) -> bool {
        self.watchers.load(Acquire) != 0
    }

    fn add_watcher(self: &Arc<Inbox>) {
        // On another thread, the loop need not become a guest here. The other thread has cloned one of two kinds of wakers.
        // Either the waker is counted already, or it was lent for a poll. That poll is over before the loop sleeps.
        if !self.local.count_watcher(1) && self.watchers.fetch_add(1, Relaxed) == 0 && self.local.is_here() {
            self.become_guest();
        }
    }

    fn remove_watcher(&self) {
        // A loop that runs on this thread looks for a deadlock before it sleeps. Any other loop may be parked because it was
        // watched, so it is woken.
        if !self.local.count_watcher(-1) && self.watchers.fetch_sub(1, AcqRel) == 1 {
            self.end_watch();
        }
    }

    fn end_watch(&self) {
        let mut state = lock(&self.state);
        if state.closed || matches!(state.parked, Parked::Host(_, EndOfWatch::Ignored)) {
            return;
        }
        self.signalled.store(true, Relaxed);
        let parked = std::mem::take(&mut state.parked);
        drop(state);
        if self.local.is_here() {
            // The waker may be dropped inside the reactor that the host waits in. async-io ignores a wake-up from there.
            parked.wake_elsewhere();
        } else {
            parked.wake();
        }
    }

    /// Blocks the thread until something comes in, or until `deadline`. May return early.
    pub(crate) fn park(&self, deadline: Option<Instant>) {
        let mut state = lock(&self.state);
        if let Parked::Host(..) | Parked::Task { .. } = state.parked {
            // The waker of a host is dropped before this thread can be unparked: its drop is foreign code, which may park the
            // thread, too.
            let host = std::mem::take(&mut state.parked);
            drop(state);
            host.release();
            state = lock(&self.state);
        }
        if state.closed || self.is_signalled() {
            return;
        }
        let own = thread::current();
        let other = std::mem::replace(&mut state.parked, Parked::Thread(own.clone()));
        drop(state);
        // Another thread that waits for the same loop may return early.
        other.wake();
        match deadline {
            None => thread::park(),
            Some(deadline) => thread::park_timeout(deadline.saturating_duration_since(Instant::now())),
        }
        let mut state = lock(&self.state);
        if matches!(&state.parked, Parked::Thread(parked) if parked.id() == own.id()) {
            state.parked = Parked::Nothing;
        }
    }

    /// Stores `waker`, which is woken when something comes in. Returns false if something has come in already. `has_timers` is
    /// true if the loop has timers.
    pub(crate) fn set_host_waker(self: &Arc<Inbox>, waker: &Waker, end_of_watch: EndOfWatch, has_timers: bool) -> bool {
        if let Some(wake_slot) = WakeSlot::of(waker)
            && wake_slot.inbox.local.is_here()
        {
            return self.set_host_task(wake_slot, has_timers);
        }
        let mut new = None;
        loop {
            let mut state = lock(&self.state);
            if self.is_signalled() {
                return false;
            }
            if let Parked::Host(old, known) = &mut state.parked
                && old.will_wake(waker)
            {
                *known = end_of_watch;
                return true;
            }
            let Some(new) = new.take() else {
                // Cloning, waking and dropping a waker runs foreign code, so it is not done under the lock.
                drop(state);
                new = Some(waker.clone());
                continue;
            };
            let old = std::mem::replace(&mut state.parked, Parked::Host(new, end_of_watch));
            drop(state);
            old.release();
            return true;
        }
    }

    /// As [`set_host_waker`](Inbox::set_host_waker), if a task of a loop of this thread polls this one.
    fn set_host_task(self: &Arc<Inbox>, wake_slot: Arc<WakeSlot>, has_timers: bool) -> bool {
        let mut state = lock(&self.state);
        if self.is_signalled() {
            return false;
        }
        let host = wake_slot.inbox.clone();
        let old = std::mem::replace(&mut state.parked, Parked::Task { wake_slot, has_timers });
        let is_known = state.host.as_ref().is_some_and(|known| std::ptr::eq(known.as_ptr(), &*host));
        if !is_known {
            state.host = Some(Arc::downgrade(&host));
            state.is_guest = false;
            self.has_host.store(true, Relaxed);
        }
        let may_be_woken = has_timers || self.is_watched() || !state.guests.is_empty();
        drop(state);
        if may_be_woken {
            self.become_guest();
        }
        old.release();
        true
    }

    /// Closes the inbox, as the loop is gone: what comes in from now on is dropped.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        let (woken, parked) = (std::mem::take(&mut state.woken), std::mem::take(&mut state.parked));
        drop(state);
        // A thread may wait for a loop that another thread has run to its end.
        parked.release();
        drop(woken);
    }
}
