//! A flag to be waited for.

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::notify::{Listener, Listeners, Notifier};
use crate::error::Result;
use crate::primitives::atomic::AtomicU64;
use crate::primitives::atomic::Ordering::SeqCst;
use crate::scheduler::{BlockedOn, Key, Scheduler, TaskRef, Timer, TimerKey, WaitQueue, Waiter};
use crate::wait::private::Sealed;
use crate::wait::{Wait, WaitState, polled_after_completion};

/// A flag that coroutines wait for, until somebody sets it.
///
/// It is a handle: clones are the same event. Waking is strict: whoever waits when it is [set](Event::set) is woken, even if
/// it is [cleared](Event::clear) at once, and so is each part of a gather. It may be waited for on any loops of its thread,
/// and set by code outside of them; other threads set it through a [`RemoteEvent`].
///
/// ```
/// # #![feature(coroutines)]
/// use tinyield::{Event, Loop, co, spawn};
///
/// let main = co! {
///     let ready = Event::new();
///     let waiter = yield spawn({
///         let ready = ready.clone();
///         co! {
///             yield ready.wait();
///             "woken"
///         }
///     });
///     yield;
///     ready.set();
///     yield waiter
/// };
/// assert_eq!(Loop::new().run(main).unwrap(), "woken");
/// ```
#[derive(Clone, Default)]
pub struct Event {
    state: Rc<State>,
}

#[derive(Default)]
struct State {
    /// Unused once there is an outside.
    flag: Cell<Flag>,
    waiting: RefCell<WaitQueue<Entry>>,
    outside: OnceCell<Outside>,
}

/// Whether it is set, in the lowest bit, and how often it has been: who began to wait before the last time is to be woken.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Flag(u64);

impl Flag {
    fn is_set(self) -> bool {
        self.0 & 1 != 0
    }

    fn times(self) -> u64 {
        self.0 >> 1
    }

    fn set(self) -> Flag {
        Flag(((self.times() + 1) << 1) | 1)
    }

    fn cleared(self) -> Flag {
        Flag(self.0 & !1)
    }
}

/// Somebody who waits. It is gone when the event was set.
struct Entry {
    /// How often the event had been set when they began.
    since: u64,
    stage: Stage,
    /// Has them woken from other threads, if that may be.
    listener: Option<Rc<Listener>>,
}

enum Stage {
    Waiting(Waiter),
    /// The timer has the waiter. When it has rung, this stays until it is fetched.
    Limited(Rc<Scheduler>, TimerKey),
}

impl Entry {
    fn still_waits(&self) -> bool {
        match &self.stage {
            Stage::Waiting(_) => true,
            Stage::Limited(scheduler, timer) => scheduler.timer_is_set(*timer),
        }
    }
}

/// What an event shares with its remote handles.
struct Outside {
    remote: Arc<Remote>,
    /// Of those who wait without a limit.
    listeners: Listeners,
    /// Of those who wait with one. They do not count: until it is over, the loop has a timer, and afterwards nobody can wake them.
    limited: Listeners,
}

impl Outside {
    /// Has the loop `scheduler` rung, if anybody could ring.
    fn listen(&self, scheduler: &Rc<Scheduler>, is_limited: bool) -> Option<Rc<Listener>> {
        let listeners = if is_limited { &self.limited } else { &self.listeners };
        (self.remote.notifier.holders() != 0).then(|| listeners.listen(scheduler))
    }
}

#[derive(Default)]
struct Remote {
    flag: AtomicU64,
    notifier: Arc<Notifier>,
}

impl Remote {
    fn flag(&self) -> Flag {
        Flag(self.flag.load(SeqCst))
    }

    fn change(&self, change: impl Fn(Flag) -> Flag) -> Flag {
        let mut old = self.flag();
        loop {
            let new = change(old);
            match self.flag.compare_exchange_weak(old.0, new.0, SeqCst, SeqCst) {
                Ok(_) => return new,
                Err(changed) => old = Flag(changed),
            }
        }
    }
}

impl Event {
    /// An event that is not set.
    #[must_use]
    pub fn new() -> Event {
        Event::default()
    }

    /// Sets it, and wakes all that wait for it.
    pub fn set(&self) {
        let flag = self.state.change(Flag::set);
        self.state.wake(flag.times());
    }

    /// Sets it back: who waits from now on waits for the next [`set`](Event::set).
    pub fn clear(&self) {
        self.state.change(Flag::cleared);
    }

    /// Whether it is set.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.state.flag().is_set()
    }

    /// Waits until it is set. If it is, this is one turn of the others.
    ///
    /// # Cancellation
    ///
    /// Nothing is left behind.
    pub fn wait(&self) -> EventWait {
        EventWait(Init { event: self.clone(), place: Place::Unbegun })
    }

    /// Waits until it is set, but no longer than `limit`, counted from the `yield`; gives whether it was set.
    ///
    /// [`Duration::MAX`] is no limit.
    ///
    /// ```
    /// # #![feature(coroutines)]
    /// use std::time::Duration;
    /// use tinyield::{Event, Loop, co};
    ///
    /// let main = co! {
    ///     let event = Event::new();
    ///     let late = yield event.wait_timeout(Duration::from_millis(2));
    ///     event.set();
    ///     (late, yield event.wait_timeout(Duration::from_secs(60)))
    /// };
    /// assert_eq!(Loop::new().run(main).unwrap(), (false, true));
    /// ```
    ///
    /// # Cancellation
    ///
    /// Nothing is left behind, neither a timer nor a place in the queue.
    pub fn wait_timeout(&self, limit: Duration) -> EventWaitTimeout {
        EventWaitTimeout { visit: Init { event: self.clone(), place: Place::Unbegun }, limit }
    }

    /// A handle for other threads.
    ///
    /// While there is one, a loop whose coroutines wait for this event is not deadlocked.
    #[must_use]
    pub fn remote(&self) -> RemoteEvent {
        let outside = self.state.outside.get_or_init(|| {
            let remote = Arc::new(Remote { flag: AtomicU64::new(self.state.flag.get().0), ..Remote::default() });
            let listeners = |counts| {
                let state = Rc::downgrade(&self.state);
                let answer = move || {
                    if let Some(state) = state.upgrade() {
                        state.wake(state.flag().times());
                    }
                };
                Listeners::new(remote.notifier.clone(), counts, answer)
            };
            Outside { listeners: listeners(true), limited: listeners(false), remote }
        });
        outside.remote.notifier.hold();
        // Those who wait already are now to be reached from outside.
        self.state.waiting.borrow_mut().for_each_mut(|entry| {
            let (scheduler, is_limited) = match &entry.stage {
                Stage::Waiting(waiter) => (waiter.task().scheduler(), false),
                Stage::Limited(scheduler, _) => (Some(scheduler.clone()), true),
            };
            if let Some(scheduler) = scheduler {
                entry.listener = outside.listen(&scheduler, is_limited);
            }
        });
        RemoteEvent { remote: outside.remote.clone() }
    }

    /// Who waits, and who may set it.
    #[must_use]
    pub fn statistics(&self) -> EventStatistics {
        EventStatistics {
            is_set: self.is_set(),
            waiting: self.state.waiting.borrow().iter().filter(|entry| entry.still_waits()).count(),
            remotes: self.state.outside.get().map_or(0, |outside| outside.remote.notifier.holders()),
        }
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let EventStatistics { is_set, waiting, remotes } = self.statistics();
        let mut event = f.debug_struct("Event");
        event.field("is_set", &is_set).field("waiting", &waiting).field("remotes", &remotes).finish()
    }
}

/// What [`Event::statistics`] tells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventStatistics {
    /// Whether it is set.
    pub is_set: bool,
    /// How many wait for it, each part of a gather counted by itself.
    pub waiting: usize,
    /// How many [`RemoteEvent`]s there are.
    pub remotes: usize,
}

/// What somebody who was woken leaves behind.
type Leftover = (Option<Rc<Scheduler>>, Option<Rc<Listener>>);

impl State {
    fn flag(&self) -> Flag {
        self.outside.get().map_or_else(|| self.flag.get(), |outside| outside.remote.flag())
    }

    fn change(&self, change: impl Fn(Flag) -> Flag) -> Flag {
        if let Some(outside) = self.outside.get() {
            return outside.remote.change(change);
        }
        let flag = change(self.flag.get());
        self.flag.set(flag);
        flag
    }

    /// Wakes those who waited when it was set for the `times`th time.
    fn wake(&self, times: u64) {
        while let Some((waiter, left)) = self.next_woken(times) {
            waiter.settle();
            drop(left);
        }
    }

    /// Whoever is to be woken next. With them comes what is to be dropped while nothing is borrowed.
    fn next_woken(&self, times: u64) -> Option<(Waiter, Leftover)> {
        let mut waiting = self.waiting.borrow_mut();
        while let Some(Entry { stage, .. }) = waiting.front_mut().filter(|entry| entry.since < times) {
            if let Stage::Limited(scheduler, timer) = stage
                && !scheduler.timer_is_set(*timer)
            {
                // It was too late for this one, which does not know yet.
                waiting.advance();
                continue;
            }
            let Entry { stage, listener, .. } = waiting.pop_front()?;
            match stage {
                Stage::Waiting(waiter) => return Some((waiter, (None, listener))),
                Stage::Limited(scheduler, timer) => {
                    if let Some(Timer::Settle(waiter)) = scheduler.cancel_timer(timer) {
                        return Some((waiter, (Some(scheduler), listener)));
                    }
                }
            }
        }
        None
    }
}

/// A handle to an [`Event`] for other threads, and for whatever outlives its loop.
///
/// When the event, or the loop of those that wait for it, is gone, it is a flag like any other.
///
/// ```
/// # #![feature(coroutines)]
/// use tinyield::{Event, Loop};
///
/// let event = Event::new();
/// let remote = event.remote();
/// std::thread::spawn(move || remote.set());
/// Loop::new().run(event.wait()).unwrap();
/// assert!(event.is_set());
/// ```
///
/// When the last of them is dropped without having set the event, those that wait in vain are told so:
///
/// ```
/// # #![feature(coroutines)]
/// use tinyield::{Deadlock, Event, Loop};
///
/// let event = Event::new();
/// let remote = event.remote();
/// std::thread::spawn(move || drop(remote));
/// let error = Loop::new().run(event.wait()).unwrap_err();
/// assert!(error.error().downcast_ref::<Deadlock>().is_some());
/// ```
pub struct RemoteEvent {
    remote: Arc<Remote>,
}

impl RemoteEvent {
    /// Sets the event, and wakes all that wait for it at this moment.
    pub fn set(&self) {
        self.remote.change(Flag::set);
        self.remote.notifier.notify();
    }

    /// Sets it back. Those that waited when it was set are woken all the same.
    pub fn clear(&self) {
        self.remote.change(Flag::cleared);
    }

    /// Whether the event is set.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.remote.flag().is_set()
    }
}

impl Clone for RemoteEvent {
    fn clone(&self) -> RemoteEvent {
        self.remote.notifier.hold();
        RemoteEvent { remote: self.remote.clone() }
    }
}

impl Drop for RemoteEvent {
    fn drop(&mut self) {
        self.remote.notifier.release();
    }
}

impl fmt::Debug for RemoteEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteEvent").field("is_set", &self.is_set()).finish_non_exhaustive()
    }
}

/// What [`Event::wait`] gives: a [`Wait`] for `()`.
#[must_use = "nobody waits before this is yielded"]
pub struct EventWait(Init);

/// What [`Event::wait_timeout`] gives: a [`Wait`] for whether the event was set.
#[must_use = "nobody waits before this is yielded"]
pub struct EventWaitTimeout {
    visit: Init,
    limit: Duration,
}

struct Init {
    event: Event,
    place: Place,
}

enum Place {
    Unbegun,
    InLine(Key),
    Through,
}

impl Init {
    fn begin(&mut self, task: &TaskRef, limit: Option<Duration>) {
        task.note_blocked_on(BlockedOn::EVENT);
        let limit = limit.filter(|&limit| limit < Duration::MAX);
        let state = &self.event.state;
        let mut flag = state.flag();
        let mut listener = None;
        if !flag.is_set()
            && let Some(outside) = state.outside.get()
        {
            listener = task.scheduler().and_then(|scheduler| outside.listen(&scheduler, limit.is_some()));
            // Other threads can reach it from here on, so a look at the flag now tells whether it is too late for them to.
            flag = state.flag();
        }
        if flag.is_set() {
            self.place = Place::Through;
            return;
        }
        let stage = match limit {
            None => Stage::Waiting(Waiter::new(task)),
            Some(limit) => {
                let scheduler = task.scheduler().expect("a running task has a loop");
                task.note_blocked_on(BlockedOn::TIMER);
                let timer = scheduler.set_timer_after(limit, Timer::Settle(Waiter::new(task)));
                Stage::Limited(scheduler, timer)
            }
        };
        let entry = Entry { since: flag.times(), stage, listener };
        self.place = Place::InLine(state.waiting.borrow_mut().push_back(entry));
    }

    fn is_ready(&self) -> bool {
        match self.place {
            Place::Unbegun => false,
            Place::Through => true,
            Place::InLine(key) => !self.event.state.waiting.borrow().get(key).is_some_and(Entry::still_waits),
        }
    }

    /// Whether it was set.
    fn take(&mut self) -> Result<bool> {
        if !self.is_ready() {
            return Err(polled_after_completion());
        }
        let Place::InLine(key) = self.place else { return Ok(true) };
        self.place = Place::Through;
        let too_late = self.event.state.waiting.borrow_mut().remove(key);
        Ok(too_late.is_none())
    }
}

impl Drop for Init {
    fn drop(&mut self) {
        let Place::InLine(key) = self.place else { return };
        let entry = self.event.state.waiting.borrow_mut().remove(key);
        match entry.map(|entry| entry.stage) {
            Some(Stage::Waiting(waiter)) => waiter.give_up(),
            Some(Stage::Limited(scheduler, timer)) => {
                if let Some(Timer::Settle(waiter)) = scheduler.cancel_timer(timer) {
                    waiter.give_up();
                }
            }
            None => {}
        }
    }
}

impl fmt::Debug for EventWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventWait").field("event", &self.0.event).finish()
    }
}

impl fmt::Debug for EventWaitTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventWaitTimeout").field("event", &self.visit.event).field("limit", &self.limit).finish()
    }
}

impl Sealed for EventWait {}

impl Wait for EventWait {
    type Output = ();
    type State = EventWait;

    fn into_state(self) -> EventWait {
        self
    }
}

#[allow(private_interfaces)]
impl WaitState for EventWait {
    type Output = ();

    fn begin(&mut self, task: &TaskRef) {
        self.0.begin(task, None);
    }

    fn is_ready(&self) -> bool {
        self.0.is_ready()
    }

    fn take(&mut self) -> Result<()> {
        self.0.take().map(|_| ())
    }
}

impl Sealed for EventWaitTimeout {}

impl Wait for EventWaitTimeout {
    type Output = bool;
    type State = EventWaitTimeout;

    fn into_state(self) -> EventWaitTimeout {
        self
    }
}

#[allow(private_interfaces)]
impl WaitState for EventWaitTimeout {
    type Output = bool;

    fn begin(&mut self, task: &TaskRef) {
        self.visit.begin(task, Some(self.limit));
    }

    fn is_ready(&self) -> bool {
        self.visit.is_ready()
    }

    fn take(&mut self) -> Result<bool> {
        self.visit.take()
    }
}
