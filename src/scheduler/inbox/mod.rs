//! Wake-ups from outside: from other threads, from foreign futures, and from handles that outlive the loop.
//!
//! The inbox is the only part of a run that other threads touch, apart from the watch of an observed loop. A [`WakeSlot`] is an
//! address in the inbox. Code outside gets a `Waker` for this address, and these wakers are counted. A thread of a pool has a
//! [`Completion`], which is counted, too. While nothing outside holds such a waker or a completion, other threads cannot make a task
//! ready. They can only stop the loop, or ask it for a dump.
//!
//! [`Parked`] is the thread, the host or the task that sleeps until something comes in. [`guests`] are the loops that tasks of
//! this loop poll. [`local`] has the wake-ups from the loop's own thread, which take no lock.

mod completion;
mod guests;
mod local;
mod marks;
mod parked;
mod this_thread;
mod wake_slot;
mod waker;

use std::sync::{Arc, Weak};
use std::task::Waker;
use std::time::{Duration, Instant};

pub(crate) use self::completion::Completion;
use self::guests::Guests;
use self::local::LocalWakes;
pub(crate) use self::parked::{EndOfWatch, Parked};
pub(crate) use self::wake_slot::{WakeSlot, WakeTarget};
use super::Scheduler;
use super::slot_table::SlotKey;
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
    /// How many wake slots have holders outside, plus the number of completions that have not arrived. While the loop runs, its own
    /// thread has a separate count: see [`begin_run`](Inbox::begin_run).
    watchers: AtomicUsize,
    /// A task of another loop has polled this one.
    has_host: AtomicBool,
    state: Mutex<State>,
    pub(super) local: LocalWakes,
}

#[derive(Default)]
struct State {
    woken: Vec<Arc<WakeSlot>>,
    /// The keys of the completions that have arrived.
    completed: Vec<SlotKey>,
    /// Whether more completions are likely to follow the last one soon. Cleared at each park, so that one completion leads to at
    /// most one wait for a batch.
    more_follow: bool,
    stop: Option<Reason>,
    closed: bool,
    parked: Parked,
    guests: Guests,
    /// The loop whose task last polled this loop.
    host: Option<Weak<Inbox>>,
    /// Whether `host` has this loop in its list of guests.
    is_guest: bool,
}

/// The content that the loop has taken out of the inbox. The loop keeps the empty lists and puts them into the inbox the next time,
/// so that few wake-ups allocate memory.
#[derive(Default)]
pub(crate) struct Delivery {
    pub(crate) woken: Vec<Arc<WakeSlot>>,
    /// The keys of the completions that have arrived.
    pub(in crate::scheduler) completed: Vec<SlotKey>,
    /// The reason, if the loop was requested to stop.
    pub(crate) stop: Option<Reason>,
}

impl Delivery {
    /// Gives back memory if the lists, which are empty now, were unusually long.
    pub(crate) fn shrink(&mut self) {
        self.woken.shrink_to(KEPT_CAPACITY);
        self.completed.shrink_to(KEPT_CAPACITY);
    }
}

impl Inbox {
    /// Whether something has come in. The loads are relaxed, so the answer may be out of date. A loop that is about to park does not
    /// rely on this answer: [`park`](Inbox::park) looks again under the lock.
    #[inline]
    pub(crate) fn is_signalled(&self) -> bool {
        self.signalled.load(Relaxed) || self.local.is_signalled()
    }

    /// Whether something has come in, other than local wake-ups.
    #[inline]
    pub(crate) fn has_delivery(&self) -> bool {
        self.signalled.load(Relaxed)
    }

    /// Moves everything that has come in, other than local wake-ups, to `delivery`, whose lists must be empty.
    pub(crate) fn take(&self, delivery: &mut Delivery) {
        self.signalled.store(false, Relaxed);
        let mut state = lock(&self.state);
        std::mem::swap(&mut state.woken, &mut delivery.woken);
        std::mem::swap(&mut state.completed, &mut delivery.completed);
        delivery.stop = state.stop.take();
    }

    /// Notes that the loop runs: wake-ups from its own thread go to its scheduler, until [`end_run`](Inbox::end_run) is called.
    ///
    /// While the loop runs, its own thread has a separate count of watchers, which takes no atomic read-modify-write. Other threads
    /// use only the common count. So in the meantime the common count may wrap around, or may be zero too early. When `end_run` is
    /// called, the separate count is added to the common count, before anything relies on the sum.
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

    /// Adds the separate count of the loop's own thread to the common count, so that [`is_watched`](Inbox::is_watched) is right. It
    /// may be called while the loop runs.
    pub(super) fn add_local_watchers(self: &Arc<Inbox>) {
        // Spare wakers go first, because nothing outside holds them. Dropping one changes the separate count.
        self.local.drop_spares();
        let added = self.local.take_watchers();
        if added != 0 {
            // A holder signals before it is removed from the count, so this thread sees the signal from here on.
            self.watchers.fetch_add(added.cast_unsigned(), AcqRel);
            self.become_guest();
        }
    }

    /// Changes the state, and signals the loop to look at it. The caller has to wake the returned `Parked`.
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

    /// As [`stop`](Inbox::stop), but the caller has to wake the returned `Parked`.
    pub(crate) fn request_stop(&self, reason: Reason) -> Parked {
        self.deliver(|state| {
            state.stop.get_or_insert(reason);
        })
    }

    /// Takes back a request to stop. Returns false if there is none, or if the loop has seen it already.
    pub(crate) fn take_stop(&self) -> bool {
        lock(&self.state).stop.take().is_some()
    }

    /// Wakes the loop, so that it checks its state again.
    pub(crate) fn wake_parked(&self) {
        self.deliver(|_| {}).wake();
    }

    /// Whether a holder outside could still wake the loop.
    pub(crate) fn is_watched(&self) -> bool {
        self.watchers.load(Acquire) != 0
    }

    fn add_watcher(self: &Arc<Inbox>) {
        // On another thread, the loop need not become a guest here. A clone of a counted waker adds no watcher. So the other thread
        // has cloned a waker that was lent for a poll, and that poll is over before the loop sleeps.
        if !self.local.count_watchers(1) && self.watchers.fetch_add(1, Relaxed) == 0 && self.local.is_here() {
            self.become_guest();
        }
    }

    fn remove_watcher(&self) {
        self.remove_watchers(1);
    }

    pub(super) fn remove_watchers(&self, count: usize) {
        // If the local count takes the change, the loop runs on this thread, and looks for a deadlock before it sleeps. Any other
        // loop may be parked because it was watched, so it is woken.
        if !self.local.count_watchers(-count.cast_signed()) && self.watchers.fetch_sub(count, AcqRel) == count {
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
            // The reactor in which the host waits may be dropping the last waker, on this thread. async-io ignores a wake-up that
            // comes from inside of its reactor.
            parked.wake_elsewhere();
        } else {
            parked.wake();
        }
    }

    /// Blocks the thread until something comes in, or until `deadline`. May return early.
    ///
    /// If more completions are likely to follow the last one, and `batch_time` is set, the thread waits for a batch: completions after
    /// which more follow do not wake it, and it waits for `batch_time` at most. One completion leads to one such wait at most.
    pub(crate) fn park(&self, deadline: Option<Instant>, batch_time: Option<Duration>) {
        let mut state = lock(&self.state);
        if let Parked::Host(..) | Parked::Task { .. } = state.parked {
            // The waker of a host is dropped before the handle of this thread is stored. Dropping it runs foreign code, which may
            // park the thread too, and so use up an `unpark` that was meant for the code below.
            let host = std::mem::take(&mut state.parked);
            drop(state);
            host.release();
            state = lock(&self.state);
        }
        if state.closed || self.is_signalled() {
            return;
        }
        let more_follow = std::mem::take(&mut state.more_follow);
        let batch_time = batch_time.filter(|_| more_follow);
        let waits_for_batch = batch_time.is_some();
        let own = thread::current();
        let other = std::mem::replace(&mut state.parked, Parked::Thread { thread: own.clone(), waits_for_batch });
        drop(state);
        // Another thread that waits for the same loop may return early.
        other.wake();
        let timeout = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        match timeout.into_iter().chain(batch_time).min() {
            None => thread::park(),
            Some(timeout) => thread::park_timeout(timeout),
        }
        let mut state = lock(&self.state);
        if matches!(&state.parked, Parked::Thread { thread, .. } if thread.id() == own.id()) {
            state.parked = Parked::Nothing;
        }
    }

    /// Stores `waker`, which is woken when something comes in. Returns false if something has come in already. `has_timers` says
    /// whether the loop has timers.
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

    /// As [`set_host_waker`](Inbox::set_host_waker), for the waker of a task of another loop of this thread.
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

    /// Closes the inbox, because the run is over. Everything that comes in afterwards is dropped.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        let (woken, parked) = (std::mem::take(&mut state.woken), std::mem::take(&mut state.parked));
        drop(state);
        // Another thread may still be parked here, by `Idle::wait`. It returns.
        parked.release();
        drop(woken);
    }
}
