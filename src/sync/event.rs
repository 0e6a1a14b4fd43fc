//! Events: flags that coroutines wait for.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use super::event_state::{Entry, EventState};
use super::remote_event::RemoteEvent;
use crate::error::Result;
use crate::scheduler::{Key, TaskRef};
use crate::waiting::{WaitState, polled_after_completion, wait_is_its_state};

/// A flag that coroutines wait for until it is set.
///
/// It is a handle: a clone is the same event. Coroutines on any loop of this thread can wait for it, and code outside of a loop can set
/// it. Other threads set it through a [`RemoteEvent`].
///
/// [`set`](Event::set) wakes every coroutine that waits at that moment, even if the event is [cleared](Event::clear) right after.
/// This is also true for a wait that is one part of a gather: this part is over.
///
/// ```
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
    state: Rc<EventState>,
}

impl Event {
    /// Creates an event that is not set.
    #[must_use]
    pub fn new() -> Event {
        Event::default()
    }

    /// Sets the event, and wakes every coroutine that waits for it.
    pub fn set(&self) {
        self.state.set();
    }

    /// Clears the event. A coroutine that begins to wait afterwards waits for the next [`set`](Event::set).
    ///
    /// ```
    /// use tinyield::Event;
    ///
    /// let event = Event::new();
    /// event.set();
    /// assert!(event.is_set());
    /// event.clear();
    /// assert!(!event.is_set());
    /// ```
    pub fn clear(&self) {
        self.state.clear();
    }

    /// Whether the event is set.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.state.flag().is_set()
    }

    /// Waits until the event is set. If it is set already, the `yield` only lets the other coroutines run once.
    ///
    /// # Cancellation
    ///
    /// The coroutine leaves the queue of the event.
    pub fn wait(&self) -> EventWait {
        EventWait { event: self.clone(), stage: Stage::Init }
    }

    /// Waits until the event is set, but not longer than `limit`, counted from the `yield`. Returns whether the event was set.
    ///
    /// [`Duration::MAX`] means no limit.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tinyield::{Event, Loop, co};
    ///
    /// let main = co! {
    ///     let event = Event::new();
    ///     let too_early = yield event.wait_timeout(Duration::from_millis(2));
    ///     event.set();
    ///     (too_early, yield event.wait_timeout(Duration::from_secs(60)))
    /// };
    /// assert_eq!(Loop::new().run(main).unwrap(), (false, true));
    /// ```
    ///
    /// # Cancellation
    ///
    /// The coroutine leaves the queue of the event, and its timer is removed.
    pub fn wait_timeout(&self, limit: Duration) -> EventWaitTimeout {
        EventWaitTimeout { wait: self.wait(), limit }
    }

    /// Creates a handle for other threads.
    ///
    /// While a handle exists, a loop whose coroutines wait for this event is not deadlocked.
    #[must_use]
    pub fn remote(&self) -> RemoteEvent {
        self.state.remote()
    }

    /// Returns whether the event is set, and how many coroutines and remote handles use it.
    #[must_use]
    pub fn statistics(&self) -> EventStatistics {
        EventStatistics {
            is_set: self.is_set(),
            waiting: self.state.queue.borrow().iter().filter(|entry| entry.is_waiting()).count(),
            remotes: self.state.remotes(),
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

/// A snapshot of an event. Returned by [`Event::statistics`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventStatistics {
    /// Whether the event is set.
    pub is_set: bool,
    /// The number of waits. Each part of a gather counts as one.
    pub waiting: usize,
    /// The number of [`RemoteEvent`]s.
    pub remotes: usize,
}

/// A wait until an event is set. Returned by [`Event::wait`]; the `yield` returns `()`.
#[must_use = "the wait begins when this is yielded"]
pub struct EventWait {
    event: Event,
    stage: Stage,
}

enum Stage {
    Init,
    Queued(Key),
    /// Whether the event was set.
    Done(bool),
}

impl EventWait {
    fn begin_within(&mut self, limit: Option<Duration>, task: &TaskRef) {
        let key = self.event.state.begin_wait(limit, task);
        self.stage = key.map_or(Stage::Done(true), Stage::Queued);
    }

    /// Returns whether the event was set.
    fn take_outcome(&mut self) -> Result<bool> {
        if let Stage::Queued(key) = self.stage {
            let mut queue = self.event.state.queue.borrow_mut();
            if !queue.get(key).is_some_and(Entry::is_waiting) {
                // `set` removes the entry. A timeout leaves it in the queue.
                let entry = queue.remove(key);
                drop(queue);
                self.stage = Stage::Done(entry.is_none());
            }
        }
        match self.stage {
            Stage::Done(was_set) => Ok(was_set),
            Stage::Init | Stage::Queued(_) => Err(polled_after_completion()),
        }
    }
}

impl Drop for EventWait {
    fn drop(&mut self) {
        let Stage::Queued(key) = self.stage else { return };
        let entry = self.event.state.queue.borrow_mut().remove(key);
        if let Some(waiter) = entry.and_then(|entry| entry.pending.into_waiter()) {
            waiter.give_up();
        }
    }
}

impl fmt::Debug for EventWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventWait").field("event", &self.event).finish()
    }
}

wait_is_its_state!(leaf EventWait => ());

#[allow(private_interfaces)]
impl WaitState for EventWait {
    type Output = ();

    fn begin(&mut self, task: &TaskRef) {
        self.begin_within(None, task);
    }

    fn is_ready(&self) -> bool {
        match self.stage {
            Stage::Init => false,
            Stage::Queued(key) => !self.event.state.queue.borrow().get(key).is_some_and(Entry::is_waiting),
            Stage::Done(_) => true,
        }
    }

    fn take(&mut self) -> Result<()> {
        self.take_outcome().map(|_| ())
    }
}

/// A wait with a limit until an event is set. Returned by [`Event::wait_timeout`]; the `yield` returns whether the event was set.
#[must_use = "the wait begins when this is yielded"]
pub struct EventWaitTimeout {
    wait: EventWait,
    limit: Duration,
}

impl fmt::Debug for EventWaitTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventWaitTimeout").field("event", &self.wait.event).field("limit", &self.limit).finish()
    }
}

wait_is_its_state!(leaf EventWaitTimeout => bool);

#[allow(private_interfaces)]
impl WaitState for EventWaitTimeout {
    type Output = bool;

    fn begin(&mut self, task: &TaskRef) {
        self.wait.begin_within(Some(self.limit), task);
    }

    fn is_ready(&self) -> bool {
        self.wait.is_ready()
    }

    fn take(&mut self) -> Result<bool> {
        self.wait.take_outcome()
    }
}
