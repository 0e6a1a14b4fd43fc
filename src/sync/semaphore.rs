//! Semaphores: at most a fixed number of coroutines hold a permit at the same time.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::panic::Location;
use std::rc::{Rc, Weak};

use crate::error::Result;
use crate::scheduler::{BlockedOn, Held, Key, Scheduler, TaskRef, WaitQueue, Waiter};
use crate::trace::Frame;
use crate::waiting::{WaitState, polled_after_completion, wait_is_its_state};

/// A fixed number of permits, which coroutines acquire and give back.
///
/// It is a handle: a clone is the same semaphore. A permit that is given back goes to the coroutine that has waited longest. No
/// other coroutine can take it in between. If that coroutine is cancelled before it continues, the permit goes to the next
/// coroutine in the queue.
///
/// ```
/// use std::cell::Cell;
/// use std::rc::{Rc, Weak};
/// use tinyield::{Coro, Loop, Semaphore, coro};
///
/// #[coro]
/// fn download(connections: Semaphore, open: Rc<Cell<usize>>) -> Coro<()> {
///     let _permit = yield connections.acquire();
///     open.set(open.get() + 1);
///     assert!(open.get() <= 2);
///     yield;
///     open.set(open.get() - 1);
/// }
///
/// let connections = Semaphore::new(2);
/// let open = Rc::new(Cell::new(0));
/// let all: Vec<_> = (0..10).map(|_| download(connections.clone(), open.clone())).collect();
/// Loop::new().run(all).unwrap();
/// ```
#[derive(Clone)]
pub struct Semaphore {
    state: Rc<RefCell<State>>,
}

struct State {
    permits: usize,
    /// Entries in line wait for a permit. Entries aside hold a permit (see [`WaitQueue`]). While a permit is free, no entry is in
    /// line.
    entries: WaitQueue<Entry>,
    /// The last loop with which this semaphore was registered, for dumps and deadlock reports.
    noted_in: Weak<Scheduler>,
}

impl State {
    fn has_free_permit(&self) -> bool {
        self.entries.aside() < self.permits
    }
}

struct Entry {
    /// The name and the line of the coroutine, for statistics and reports.
    frame: Frame,
    /// Present while the entry waits.
    waiter: Option<Waiter>,
}

impl Semaphore {
    /// Creates a semaphore with `permits` permits.
    ///
    /// # Panics
    ///
    /// If `permits` is 0.
    #[must_use]
    #[track_caller]
    pub fn new(permits: usize) -> Semaphore {
        assert!(permits > 0, "a semaphore of 0 permits could never be acquired; it takes at least 1");
        let state = State { permits, entries: WaitQueue::default(), noted_in: Weak::new() };
        Semaphore { state: Rc::new(RefCell::new(state)) }
    }

    /// Waits for a permit. If a permit is free, the `yield` only lets the other coroutines run once.
    ///
    /// # Cancellation
    ///
    /// The coroutine leaves the queue. If a permit was handed to the coroutine already, the next coroutine in the queue gets the
    /// permit.
    pub fn acquire(&self) -> Acquire {
        Acquire { permit: Some(Permit { semaphore: self.clone(), key: Key::NONE }) }
    }

    /// Returns a permit, if any is free.
    ///
    /// ```
    /// use tinyield::Semaphore;
    ///
    /// let semaphore = Semaphore::new(1);
    /// let permit = semaphore.try_acquire();
    /// assert!(permit.is_some());
    /// assert!(semaphore.try_acquire().is_none());
    /// drop(permit);
    /// assert!(semaphore.try_acquire().is_some());
    /// ```
    #[must_use = "a permit that is dropped is given back"]
    #[track_caller]
    pub fn try_acquire(&self) -> Option<Permit> {
        let mut state = self.state.borrow_mut();
        if !state.has_free_permit() {
            return None;
        }
        let frame = Frame::new("try_acquire".into(), Location::caller());
        let key = state.entries.put_aside(Entry { frame, waiter: None });
        Some(Permit { semaphore: self.clone(), key })
    }

    /// Returns the number of free permits.
    #[must_use]
    pub fn available(&self) -> usize {
        let state = self.state.borrow();
        state.permits - state.entries.aside()
    }

    /// Returns which coroutines hold permits, and how many coroutines wait for a permit.
    ///
    /// ```
    /// use tinyield::{Loop, Semaphore, co};
    ///
    /// let main = co! {
    ///     let semaphore = Semaphore::new(3);
    ///     let _permit = yield semaphore.acquire();
    ///     semaphore.statistics()
    /// };
    /// let statistics = Loop::new().run(main.named("main")).unwrap();
    /// assert_eq!((statistics.available, statistics.waiting), (2, 0));
    /// assert_eq!(statistics.holders[0].name(), "main");
    /// ```
    #[must_use]
    pub fn statistics(&self) -> SemaphoreStatistics {
        let state = self.state.borrow();
        SemaphoreStatistics {
            permits: state.permits,
            available: self.available(),
            holders: state.entries.iter_aside().map(|entry| entry.frame.clone()).collect(),
            waiting: state.entries.len(),
        }
    }

    /// Registers the semaphore with the loop of `task`, for dumps and deadlock reports.
    #[cold]
    fn register_in_loop_of(&self, task: &TaskRef, state: &mut State, blocked_on: BlockedOn) {
        let Some(scheduler) = task.scheduler() else { return };
        state.noted_in = Rc::downgrade(&scheduler);
        let weak: Weak<RefCell<State>> = Rc::downgrade(&self.state);
        scheduler.note_held(weak, blocked_on);
    }

    /// Removes an entry. If the entry held a permit, the first entry in line gets the permit.
    fn release(&self, key: Key) {
        let mut state = self.state.borrow_mut();
        let Some(entry) = state.entries.remove(key) else { return };
        match entry.waiter {
            Some(waiter) => {
                drop(state);
                waiter.give_up();
            }
            None => {
                let next = state.entries.advance().and_then(|next| next.waiter.take());
                drop(state);
                if let Some(waiter) = next {
                    waiter.settle();
                }
            }
        }
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SemaphoreStatistics { permits, available, holders, waiting } = self.statistics();
        f.debug_struct("Semaphore")
            .field("permits", &permits)
            .field("available", &available)
            .field("holders", &holders)
            .field("waiting", &waiting)
            .finish()
    }
}

/// A snapshot of a semaphore. Returned by [`Semaphore::statistics`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SemaphoreStatistics {
    /// The number of all permits, free and held.
    pub permits: usize,
    /// The number of free permits.
    pub available: usize,
    /// The holders of the other permits: the name of each coroutine, or `try_acquire`, and the line at which it acquired the permit.
    pub holders: Vec<Frame>,
    /// The number of waits for a permit.
    pub waiting: usize,
}

/// A permit of a [`Semaphore`]. Dropping a permit gives it back.
#[must_use = "a permit that is dropped is given back"]
pub struct Permit {
    semaphore: Semaphore,
    key: Key,
}

impl Permit {
    fn is_granted(&self) -> bool {
        let state = self.semaphore.state.borrow();
        state.entries.get(self.key).is_some_and(|entry| entry.waiter.is_none())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.semaphore.release(self.key);
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("semaphore", &self.semaphore).finish()
    }
}

/// A wait for a [`Permit`]. Returned by [`Semaphore::acquire`].
#[must_use = "nothing is acquired before this is yielded"]
pub struct Acquire {
    /// Present until the output is taken. While the wait is queued, the permit has the key of the queued entry: dropping the permit
    /// removes the entry from the queue.
    permit: Option<Permit>,
}

impl Acquire {
    /// Begins the wait. In reports, it is a wait for `blocked_on`.
    pub(super) fn begin_as(&mut self, task: &TaskRef, blocked_on: BlockedOn) {
        task.note_blocked_on(blocked_on);
        let Some(permit) = &mut self.permit else { return };
        let mut state = permit.semaphore.state.borrow_mut();
        let frame = Frame::new(holder_name(task), task.location.get());
        permit.key = if state.has_free_permit() {
            state.entries.put_aside(Entry { frame, waiter: None })
        } else {
            let is_noted = task.with_scheduler(|scheduler| std::ptr::eq(state.noted_in.as_ptr(), scheduler));
            if is_noted == Some(false) {
                permit.semaphore.register_in_loop_of(task, &mut state, blocked_on);
            }
            state.entries.push_back(Entry { frame, waiter: Some(Waiter::new(task)) })
        };
    }
}

/// For dumps and deadlock reports.
impl Held for RefCell<State> {
    fn holders(&self) -> Vec<Frame> {
        self.borrow().entries.iter_aside().map(|entry| entry.frame.clone()).collect()
    }

    fn waiting(&self) -> Vec<TaskRef> {
        let state = self.borrow();
        state.entries.iter().filter_map(|entry| Some(entry.waiter.as_ref()?.task().clone())).collect()
    }
}

/// The name of the holder of a permit that `task` acquires: the name of its coroutine.
#[inline]
fn holder_name(task: &TaskRef) -> Cow<'static, str> {
    match task.function_name() {
        // Internal tasks have no name.
        Some(name) if !name.is_empty() => Cow::Borrowed(name),
        _ => name_or_owner(task),
    }
}

/// The name of `task`, or of the coroutine that it runs for if it has none. Not inlined, because most tasks have the name of their
/// function.
#[inline(never)]
fn name_or_owner(task: &TaskRef) -> Cow<'static, str> {
    let name = task.name();
    if name.is_empty() { owner_name(task) } else { name }
}

/// The name of the nearest coroutine that `task` runs for. In `timeout(semaphore.acquire(), limit)`, for example, an internal task
/// acquires the permit for the coroutine that yields the timeout.
///
/// If the wait was given to [`Loop::run`](crate::Loop::run), there is no such coroutine. The name is then `run`, as in the report
/// of a deadlock.
#[cold]
fn owner_name(task: &TaskRef) -> Cow<'static, str> {
    let owner_of = |task: &TaskRef| task.scope()?.owner();
    let mut owners = std::iter::successors(owner_of(task), owner_of);
    owners.find(|owner| !owner.is_internal()).map_or("run".into(), |owner| owner.name())
}

impl fmt::Debug for Acquire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Acquire");
        match &self.permit {
            Some(permit) => debug.field("semaphore", &permit.semaphore).finish(),
            None => debug.finish_non_exhaustive(),
        }
    }
}

wait_is_its_state!(leaf Acquire => Permit);

#[allow(private_interfaces)]
impl WaitState for Acquire {
    type Output = Permit;

    fn begin(&mut self, task: &TaskRef) {
        self.begin_as(task, BlockedOn::SEMAPHORE);
    }

    fn carries_value(&self) -> bool {
        true
    }

    fn gives_back(&self) -> bool {
        true
    }

    fn is_ready(&self) -> bool {
        self.permit.as_ref().is_none_or(Permit::is_granted)
    }

    fn take(&mut self) -> Result<Permit> {
        self.permit.take_if(|permit| permit.is_granted()).ok_or_else(polled_after_completion)
    }
}
