//! The state of an event: its flag, the queue of its waits, and the link to its remote handles.
//!
//! The waits queue in the order in which they began. Setting the event removes them from the queue and wakes their coroutines.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::notify::{Listener, Listeners};
use super::remote_event::{Flag, RemoteEvent, SharedFlag};
use crate::iterations;
use crate::scheduler::{BlockedOn, Key, Scheduler, TaskRef, Timer, TimerKey, WaitQueue, Waiter};

#[derive(Default)]
pub(super) struct EventState {
    /// Unused once `link` is set: the link has a flag of its own.
    flag: Cell<Flag>,
    pub(super) queue: RefCell<WaitQueue<Entry>>,
    link: OnceCell<RemoteLink>,
}

/// A queued wait. Setting the event removes it.
pub(super) struct Entry {
    /// How many times the event had been set when the wait began.
    set_count: u64,
    pub(super) pending: Pending,
    /// Present if remote handles can wake the wait.
    listener: Option<Rc<Listener>>,
}

/// The place where the waiter is kept.
pub(super) enum Pending {
    Untimed(Waiter),
    /// The timer of the limit holds the waiter. When it has fired, the entry stays until the coroutine takes the outcome.
    Timed(Rc<Scheduler>, TimerKey),
}

impl Pending {
    fn scheduler(&self) -> Option<Rc<Scheduler>> {
        match self {
            Pending::Untimed(waiter) => waiter.task().scheduler(),
            Pending::Timed(scheduler, _) => Some(scheduler.clone()),
        }
    }

    /// The waiter, unless the timer has fired.
    #[inline]
    pub(super) fn into_waiter(self) -> Option<Waiter> {
        match self {
            Pending::Untimed(waiter) => Some(waiter),
            Pending::Timed(scheduler, timer) => match scheduler.cancel_timer(timer) {
                Some(Timer::Settle(waiter)) => Some(waiter),
                _ => None,
            },
        }
    }
}

impl Entry {
    pub(super) fn is_waiting(&self) -> bool {
        match &self.pending {
            Pending::Untimed(_) => true,
            Pending::Timed(scheduler, timer) => scheduler.timer_is_set(*timer),
        }
    }
}

/// Connects an event to its remote handles.
struct RemoteLink {
    shared: Arc<SharedFlag>,
    listeners: Listeners,
    /// For waits with a limit, in loops with a real clock. These listeners do not count (see `sync/notify.rs`): until the limit,
    /// the loop cannot be deadlocked, because it has a timer. After the limit, no remote handle can wake the wait. In simulated
    /// loops, waits with a limit use `listeners`, which count: the clock stands still while a remote handle exists.
    timed_listeners: Listeners,
    /// Whether the queued waits have listeners: either all of them have one, or none has.
    ///
    /// If a wait begins while no remote handle exists, it gets no listener, unless the waits before it have listeners. The creation
    /// of a remote handle goes through the queue only if the waits have no listeners. So each wait gets a listener only once,
    /// however many remote handles are created.
    waits_listen: Cell<bool>,
}

impl RemoteLink {
    fn new(state: &Rc<EventState>) -> RemoteLink {
        let shared = Arc::new(SharedFlag::new(state.flag.get()));
        let listeners = |counts| {
            let state = Rc::downgrade(state);
            let wake_waits = move || {
                if let Some(state) = state.upgrade() {
                    state.wake_waits(state.flag());
                }
            };
            Listeners::new(shared.notifier.clone(), counts, wake_waits)
        };
        RemoteLink {
            listeners: listeners(true),
            timed_listeners: listeners(false),
            waits_listen: Cell::new(false),
            shared,
        }
    }

    fn listen(&self, scheduler: &Rc<Scheduler>, is_timed: bool) -> Rc<Listener> {
        let counts = !is_timed || scheduler.has_virtual_clock();
        if counts { self.listeners.listen(scheduler) } else { self.timed_listeners.listen(scheduler) }
    }
}

impl EventState {
    pub(super) fn flag(&self) -> Flag {
        self.link.get().map_or_else(|| self.flag.get(), |link| link.shared.get())
    }

    fn change_flag(&self, change: impl Fn(Flag) -> Flag) -> Flag {
        if let Some(link) = self.link.get() {
            return link.shared.change(change);
        }
        let flag = change(self.flag.get());
        self.flag.set(flag);
        flag
    }

    pub(super) fn set(&self) {
        self.wake_waits(self.change_flag(Flag::set));
    }

    pub(super) fn clear(&self) {
        self.change_flag(Flag::cleared);
    }

    /// Wakes the waits that began before the event was last set. `flag` says how many times it has been set.
    fn wake_waits(&self, flag: Flag) {
        while let Some(Entry { pending, listener, .. }) = self.pop_waiting(flag.set_count()) {
            if let Some(waiter) = pending.into_waiter() {
                waiter.settle();
            }
            drop(listener);
        }
    }

    /// Removes the first wait from the queue, if it began before the event was set for the `set_count`th time.
    fn pop_waiting(&self, set_count: u64) -> Option<Entry> {
        let mut queue = self.queue.borrow_mut();
        while let Some(entry) = queue.front_mut().filter(|entry| entry.set_count < set_count) {
            if entry.is_waiting() {
                return queue.pop_front();
            }
            // The timer has fired already, but the coroutine has not taken the outcome yet.
            queue.advance();
        }
        None
    }

    /// Queues a wait, unless the event is set.
    pub(super) fn begin_wait(&self, limit: Option<Duration>, task: &TaskRef) -> Option<Key> {
        task.note_blocked_on(BlockedOn::EVENT);
        let limit = limit.filter(|&limit| limit < Duration::MAX);
        let mut flag = self.flag();
        let mut listener = None;
        if !flag.is_set()
            && let Some(link) = self.link.get()
        {
            listener = self.listen(link, task, limit.is_some());
            // From here on, other threads notify this loop. So the flag is read again: it includes all changes that they made
            // before.
            flag = self.flag();
        }
        if flag.is_set() {
            return None;
        }
        let pending = match limit {
            None => Pending::Untimed(Waiter::new(task)),
            Some(limit) => {
                let scheduler = task.scheduler().expect("a running task has a loop");
                task.note_blocked_on(BlockedOn::TIMER);
                let timer = scheduler.set_timer_after(limit, Timer::Settle(Waiter::new(task)));
                Pending::Timed(scheduler, timer)
            }
        };
        let entry = Entry { set_count: flag.set_count(), pending, listener };
        Some(self.queue.borrow_mut().push_back(entry))
    }

    /// The listener for a wait that is about to be queued.
    fn listen(&self, link: &RemoteLink, task: &TaskRef, is_timed: bool) -> Option<Rc<Listener>> {
        if self.queue.borrow().len() == 0 {
            link.waits_listen.set(link.shared.notifier.holders() != 0);
        }
        if !link.waits_listen.get() {
            return None;
        }
        Some(link.listen(&task.scheduler()?, is_timed))
    }

    pub(super) fn remote(self: &Rc<EventState>) -> RemoteEvent {
        let link = self.link.get_or_init(|| RemoteLink::new(self));
        let remote = RemoteEvent::new(link.shared.clone());
        if !link.waits_listen.replace(true) {
            self.queue.borrow_mut().for_each_mut(|entry| {
                iterations::count();
                let is_timed = matches!(entry.pending, Pending::Timed(..));
                entry.listener = entry.pending.scheduler().map(|scheduler| link.listen(&scheduler, is_timed));
            });
        }
        remote
    }

    /// The number of remote handles.
    pub(super) fn remotes(&self) -> usize {
        self.link.get().map_or(0, |link| link.shared.notifier.holders())
    }
}
