//! Wake-ups from outside: from other threads, from foreign futures, from handles that outlive the loop.
//!
//! The inbox is the only part of a loop that other threads touch. A [`WakeSlot`] is an address in it, handed out as a `Waker`, and
//! counted: while nobody outside holds one, nothing outside can wake the loop.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::sync::{Arc, Weak};
use std::task::{RawWaker, RawWakerVTable, Waker};
use std::time::Instant;

use super::local::{Here, LocalMarks, LocalPoll, LocalWakes, SlotKey};
use super::{Scheduler, WakeTarget};
use crate::error::Reason;
use crate::panic::{catch, contain, discard};
use crate::primitives::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use crate::primitives::atomic::{AtomicBool, AtomicUsize};
use crate::primitives::thread::{self, Thread};
use crate::primitives::{Mutex, lock};
use crate::work;

/// What other threads share with a loop while it runs.
#[derive(Default)]
pub(crate) struct Inbox {
    /// The state holds something that the loop has not seen.
    signalled: AtomicBool,
    /// How many wake slots have holders outside. While the loop runs, what its own thread has added and removed is not in here: see
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

/// What sleeps until something comes in.
#[derive(Default)]
#[must_use = "it sleeps until it is woken"]
pub(crate) enum Parked {
    #[default]
    Nothing,
    Thread(Thread),
    Host(Waker, EndOfWatch),
    /// A task of another loop of this thread polls the loop. Its wake slot is not held: it is this loop that must be watched, or
    /// have a timer.
    Task {
        wake_slot: Arc<WakeSlot>,
        has_timers: bool,
    },
}

/// Whether a sleeping host is woken when the last holder outside has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndOfWatch {
    /// Nothing: the loop has a deadline, or is hosted and has no cycle to look for.
    Ignored,
    /// The loop has to look for a deadlock.
    Awaited,
}

impl Parked {
    /// Wakes it. Not under a lock: the waker of a host is foreign code.
    pub(crate) fn wake(self) {
        match self {
            Parked::Nothing => {}
            Parked::Thread(thread) => thread.unpark(),
            Parked::Host(waker, _) => contain(|| waker.wake()),
            Parked::Task { wake_slot, .. } => WakeSlot::wake(&wake_slot),
        }
    }

    /// Wakes it from another thread, or from this one if no thread can be started.
    fn wake_elsewhere(self) {
        match self {
            Parked::Host(waker, _) => {
                let Ok(again) = catch(|| waker.clone()).map_err(discard) else { return };
                let wakes = move || contain(|| waker.wake());
                let is_woken = thread::Builder::new().name("tinyield wake-up".into()).spawn(wakes).is_ok();
                contain(|| if is_woken { drop(again) } else { again.wake() });
            }
            Parked::Task { wake_slot, .. } => WakeSlot::wake_with(&wake_slot, Parked::wake_elsewhere),
            other => other.wake(),
        }
    }

    /// Drops it, as nothing will wake it any more. A thread returns early.
    fn release(self) {
        match self {
            Parked::Nothing => {}
            Parked::Thread(thread) => thread.unpark(),
            Parked::Host(waker, _) => contain(|| drop(waker)),
            Parked::Task { wake_slot, .. } => drop(wake_slot),
        }
    }
}

/// The loops that tasks of this loop poll, and that may be woken: they have timers, or are watched, or have such guests. That a loop
/// has its host's waker is no other reason for the host to wait.
///
/// A loop is added when it begins to sleep, and when it becomes watched, which only its own thread can do. It may stay here for longer:
/// the host removes it when it looks, so that the host looks once for each time that it was added.
#[derive(Default)]
struct Guests {
    /// By address.
    loops: BTreeMap<usize, Weak<Inbox>>,
    /// At this number, the loops that are gone are removed.
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

    fn is_empty(&self) -> bool {
        self.loops.is_empty()
    }

    /// The first loop behind that address.
    fn next(&self, last: usize) -> Option<(usize, Weak<Inbox>)> {
        let (address, guest) = self.loops.range(last + 1..).next()?;
        Some((*address, guest.clone()))
    }
}

/// What a guest means for its host.
enum Guest {
    /// Something can wake it, and so a task of the host.
    MayWake,
    /// Only guests of its own could wake it.
    MayBeWoken,
    /// Its task waits for something else, but may wait for the guest again without a poll of it.
    NotAwaited,
    /// Nothing can wake it, before it is added again.
    Asleep,
}

/// Memory for what is taken out of the inbox, kept by the loop, so that a wake-up allocates nothing.
#[derive(Default)]
pub(crate) struct Delivery {
    pub(crate) woken: Vec<Arc<WakeSlot>>,
    /// Why the loop is to stop, if it is.
    pub(crate) stop: Option<Reason>,
}

/// A list that has held more than this gives its memory back when it is empty.
const KEPT_CAPACITY: usize = 1024;

impl Delivery {
    /// Gives back the memory of an unusually long list, which is empty now.
    pub(crate) fn shrink(&mut self) {
        self.woken.shrink_to(KEPT_CAPACITY);
    }
}

impl Inbox {
    /// Whether something has come in. The loads are relaxed, so the answer may be late. A loop that is about to park is not misled:
    /// [`park`](Inbox::park) looks again under the lock.
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

    /// The loop runs: from here on, wake-ups from its own thread go to its scheduler, until [`end_run`](Inbox::end_run).
    ///
    /// While it runs, its own thread counts watchers by itself, which takes no atomic read-modify-write. What others remove meanwhile
    /// may make the common count wrap, or be zero too early. It is right again when the run ends, before anything relies on it.
    ///
    /// # Safety
    ///
    /// Until then, the scheduler is not dropped, moved, or borrowed mutably.
    pub(super) unsafe fn begin_run(&self, scheduler: &Scheduler) {
        // SAFETY: by contract.
        unsafe { self.local.open(scheduler) };
    }

    /// The loop runs no longer.
    // Inlined, it takes a register from the loop that takes the turns.
    #[inline(never)]
    pub(super) fn end_run(self: &Arc<Inbox>) {
        self.add_local_watchers();
        self.local.close();
    }

    /// Adds the watchers that were counted on the loop's own thread, so that [`is_watched`](Inbox::is_watched) is right also while
    /// the loop runs.
    pub(super) fn add_local_watchers(self: &Arc<Inbox>) {
        // A spare waker is held by nobody. While the loop runs, its watcher is counted here.
        while let Some(slot) = self.local.next_with_spare() {
            WakeSlot::drop_spare(&slot);
        }
        let added = self.local.take_watchers();
        if added != 0 {
            // As a holder that has left has signalled before, this thread sees its signal from here on.
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

    /// Makes the loop look again: wakes the thread or the host that sleeps.
    pub(crate) fn wake_parked(&self) {
        self.deliver(|_| {}).wake();
    }

    /// Whether a holder outside could still wake the loop.
    pub(crate) fn is_watched(&self) -> bool {
        self.watchers.load(Acquire) != 0
    }

    fn add_watcher(self: &Arc<Inbox>) {
        // Another thread has a watcher already, or has borrowed its waker from a poll, which is over before the loop sleeps.
        if !self.local.count_watcher(1) && self.watchers.fetch_add(1, Relaxed) == 0 && self.local.is_here() {
            self.become_guest();
        }
    }

    fn remove_watcher(&self) {
        // A loop that runs on this thread will look for a deadlock. Another one may be parked because it was watched.
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
            // The waker may be dropped inside the reactor that the host waits in. async-io ignores what wakes it from there.
            parked.wake_elsewhere();
        } else {
            parked.wake();
        }
    }

    /// Has the host look at this loop before it takes itself to be stuck, and the host of the host, and so on.
    fn become_guest(self: &Arc<Inbox>) {
        if !self.has_host.load(Relaxed) {
            return;
        }
        let mut guest = self.clone();
        loop {
            work::count();
            let mut state = lock(&guest.state);
            if state.is_guest {
                // So is the host then, unless it does not sleep.
                break;
            }
            let Some(host) = state.host.as_ref().and_then(Weak::upgrade) else { break };
            state.is_guest = true;
            drop(state);
            lock(&host.state).guests.add(&guest);
            guest = host;
        }
    }

    /// Whether a holder outside, or a timer, could still wake a loop that a task of this one polls, directly or through others.
    pub(crate) fn may_guest_wake(self: &Arc<Inbox>) -> bool {
        if lock(&self.state).guests.is_empty() {
            return false;
        }
        let mut seen = BTreeSet::from([Arc::as_ptr(self)]);
        let mut hosts = vec![self.clone()];
        while let Some(host) = hosts.pop() {
            let mut last = 0;
            loop {
                work::count();
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

    /// What this loop means for `host`, which has it among its guests, and removes it if it is asleep.
    fn as_guest_of(&self, host: &Arc<Inbox>) -> Guest {
        let mut state = lock(&self.state);
        let guest = match &state.parked {
            // It is polled by another loop, or its task has ended.
            Parked::Task { wake_slot, .. } if !Arc::ptr_eq(&wake_slot.inbox, host) || wake_slot.is_retired() => {
                Guest::Asleep
            }
            Parked::Task { wake_slot, .. } if !wake_slot.local.awaits() => Guest::NotAwaited,
            Parked::Task { has_timers: true, .. } => Guest::MayWake,
            // A holder that has signalled, and that is about to wake the task, is still there.
            Parked::Nothing | Parked::Thread(_) | Parked::Host(..) if state.closed || !self.signalled.load(Relaxed) => {
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

    /// Blocks the thread until something comes in, or until `deadline`. May return early.
    pub(crate) fn park(&self, deadline: Option<Instant>) {
        let mut state = lock(&self.state);
        if let Parked::Host(..) | Parked::Task { .. } = state.parked {
            // Dropped before this thread can be unparked: foreign code may park the thread, too.
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

    /// Has `waker` woken when something comes in. False if something has already. `has_timers` is whether the loop has any.
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
                // Cloning, waking and dropping a waker is foreign code: not under the lock.
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

    /// The loop is gone: what comes in from now on is dropped.
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

/// A place in a loop that may be woken from outside.
pub(crate) struct WakeSlot {
    inbox: Arc<Inbox>,
    pub(crate) key: SlotKey,
    /// How many wakers of it are held outside, and [`RETIRED`].
    holders: AtomicUsize,
    /// It is in the inbox already.
    woken: AtomicBool,
    pub(super) local: LocalMarks,
}

/// The high bit of the count of holders: nothing is left to wake, and wakers no longer count.
const RETIRED: usize = 1 << (usize::BITS - 1);

impl WakeSlot {
    pub(super) fn new(inbox: Arc<Inbox>, key: SlotKey, target: &WakeTarget) -> Arc<WakeSlot> {
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
    fn of(waker: &Waker) -> Option<Arc<WakeSlot>> {
        if !std::ptr::eq(waker.vtable(), &raw const VTABLE) {
            return None;
        }
        // SAFETY: `VTABLE` is private, so `waker` was made with it in this file, of the pointer of an `Arc`. `waker` is borrowed, so
        // that is alive, and `borrow` leaves its count alone.
        Some(Arc::clone(&*unsafe { borrow(waker.data()) }))
    }

    /// It was taken out of the inbox: the next wake-up is a new one. What other threads did before they found it in the inbox, and
    /// so did not add it again, is visible from here on.
    pub(crate) fn acknowledge(&self) {
        self.woken.swap(false, AcqRel);
    }

    /// Nothing is left to wake.
    pub(crate) fn retire(&self) {
        let holders = self.holders.fetch_or(RETIRED, AcqRel);
        if holders != 0 && holders & RETIRED == 0 {
            self.inbox.remove_watcher();
        }
    }

    /// Whether nothing is left to wake.
    pub(super) fn is_retired(&self) -> bool {
        self.holders.load(Relaxed) & RETIRED != 0
    }

    /// As [`acknowledge`](WakeSlot::acknowledge), of the list of local wake-ups.
    #[inline]
    pub(crate) fn acknowledge_locally(&self) {
        self.local.unlist();
    }

    /// The loop's own thread polls a future with a waker of this, until the result is dropped. `None` if the task has to take a
    /// turn first.
    #[inline]
    pub(super) fn begin_poll(&self) -> Option<LocalPoll<'_>> {
        self.local.begin_poll()
    }

    #[inline]
    pub(crate) fn wake(this: &Arc<WakeSlot>) {
        WakeSlot::wake_with(this, Parked::wake);
    }

    /// Wakes it, and what sleeps in its loop by `wake_parked`.
    #[inline]
    fn wake_with(this: &Arc<WakeSlot>, wake_parked: fn(Parked)) {
        this.wake_from(this.inbox.local.here(), || WakeSlot::deliver(this, wake_parked));
    }

    /// Wakes it, by `deliver` if it cannot be done on this thread.
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
            // Thousands of millions of forgotten clones. As with `Arc`, no program is better than a wrong one.
            std::process::abort();
        }
        if holders == 0 {
            self.inbox.add_watcher();
        }
    }

    /// Drops the waker that the loop's own thread has kept, if it has.
    pub(super) fn drop_spare(this: &Arc<WakeSlot>) {
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

/// The data of each waker is an `Arc<WakeSlot>` as a raw pointer. Each waker but a lent one has one count of the `Arc` and is one of
/// the holders. All functions may be called from any thread, as `Waker` demands: `WakeSlot` is `Send + Sync`, as its fields are.
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
        // Its counts are those of the clone from here on.
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
    let here = wake_slot.inbox.local.here();
    // It wakes before it leaves the holders: a loop that finds no holder then finds the wake-up when it looks again.
    wake_slot.wake_from(here, || WakeSlot::deliver(&wake_slot, Parked::wake));
    if !here.is_some_and(|here| here.keep_spare(&wake_slot)) {
        // SAFETY: by contract. The waker is not kept.
        unsafe { drop_counts(data) };
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
    // SAFETY: by contract the waker's count goes with it.
    let wake_slot = ManuallyDrop::into_inner(unsafe { borrow(data) });
    wake_slot.release();
}
