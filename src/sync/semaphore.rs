//! So many at once, and no more.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::panic::Location;
use std::rc::Rc;

use crate::error::Result;
use crate::scheduler::{BlockedOn, Key, TaskRef, WaitQueue, Waiter};
use crate::trace::Frame;
use crate::wait::private::Sealed;
use crate::wait::{Wait, WaitState, polled_after_completion};

/// Lets so many coroutines at once through, and has the others wait.
///
/// It is a handle: clones are the same semaphore. A permit that is given back goes straight to whoever has waited longest;
/// nobody comes in between, and one who gives up, even then, passes it on.
///
/// ```
/// # #![feature(coroutines)]
/// use std::cell::Cell;
/// use std::rc::Rc;
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
    /// Those in line wait, the others have a permit. If one is free, nobody waits.
    visitors: WaitQueue<Visitor>,
}

struct Visitor {
    /// To be told who has a permit.
    frame: Frame,
    /// There until it has a permit.
    waiter: Option<Waiter>,
}

impl Semaphore {
    /// A semaphore of so many permits.
    ///
    /// # Panics
    ///
    /// If there are none: nobody could ever acquire one.
    #[must_use]
    #[track_caller]
    pub fn new(permits: usize) -> Semaphore {
        assert!(permits > 0, "a semaphore of 0 permits could never be acquired; it takes at least 1");
        let state = State { permits, visitors: WaitQueue::default() };
        Semaphore { state: Rc::new(RefCell::new(state)) }
    }

    /// Waits for a permit. If one is free, this is one turn of the others.
    ///
    /// # Cancellation
    ///
    /// Its place in the queue is given up, or, if it was its turn already, the permit is passed on.
    pub fn acquire(&self) -> Acquire {
        Acquire { permit: Some(Permit { semaphore: self.clone(), key: Key::NOBODY }) }
    }

    /// A permit, if one is free.
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
        if !state.has_permit() {
            return None;
        }
        let frame = Frame::new("try_acquire".into(), Location::caller());
        let key = state.visitors.put_aside(Visitor { frame, waiter: None });
        Some(Permit { semaphore: self.clone(), key })
    }

    /// How many permits are free.
    #[must_use]
    pub fn available(&self) -> usize {
        let state = self.state.borrow();
        state.permits - state.visitors.aside()
    }

    /// Who holds the permits, and how many wait.
    ///
    /// ```
    /// # #![feature(coroutines)]
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
            holders: state.visitors.iter_aside().map(|visitor| visitor.frame.clone()).collect(),
            waiting: state.visitors.len(),
        }
    }

    /// A visitor leaves. If it had a permit, that goes to whoever has waited longest.
    fn leave(&self, key: Key) {
        let mut state = self.state.borrow_mut();
        let Some(visitor) = state.visitors.remove(key) else { return };
        match visitor.waiter {
            Some(waiter) => {
                drop(state);
                waiter.give_up();
            }
            None => {
                let next = state.visitors.advance().and_then(|next| next.waiter.take());
                drop(state);
                if let Some(waiter) = next {
                    waiter.settle();
                }
            }
        }
    }
}

impl State {
    /// Whether one is free.
    fn has_permit(&self) -> bool {
        self.visitors.aside() < self.permits
    }
}

/// The name of a coroutine, and the line at which it waits.
fn frame_of(task: &TaskRef) -> Frame {
    let name = task.name();
    Frame::new(if name.is_empty() { name_of_owner(task) } else { name }, task.location.get())
}

/// Who waits for a coroutine that the library made to carry a wait, as in a timeout. As in a deadlock, it is `run` if it was a loop
/// that was told to.
#[cold]
fn name_of_owner(task: &TaskRef) -> Cow<'static, str> {
    let mut next = task.scope().and_then(|scope| scope.owner());
    while let Some(owner) = next {
        let name = owner.name();
        if !name.is_empty() {
            return name;
        }
        next = owner.scope().and_then(|scope| scope.owner());
    }
    "run".into()
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

/// What [`Semaphore::statistics`] tells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SemaphoreStatistics {
    /// How many permits there are in all.
    pub permits: usize,
    /// How many of them are free.
    pub available: usize,
    /// Who has the others: the coroutine, or `try_acquire`, and the line.
    pub holders: Vec<Frame>,
    /// How many wait for one.
    pub waiting: usize,
}

/// Leave to go on, from a [`Semaphore`]. Dropped, it is given back.
#[must_use = "a permit that is dropped is given back"]
pub struct Permit {
    semaphore: Semaphore,
    key: Key,
}

impl Permit {
    /// Whether it can be taken already.
    fn is_there(&self) -> bool {
        let state = self.semaphore.state.borrow();
        state.visitors.get(self.key).is_some_and(|visitor| visitor.waiter.is_none())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.semaphore.leave(self.key);
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("semaphore", &self.semaphore).finish()
    }
}

/// What [`Semaphore::acquire`] gives: a [`Wait`] for a [`Permit`].
#[must_use = "nothing is acquired before this is yielded"]
pub struct Acquire {
    /// There until it is taken. Who is in line, or has not come yet, has nothing but the makings of one: to drop it is to
    /// leave.
    permit: Option<Permit>,
}

impl Acquire {
    /// Begins to wait for what counts, in a deadlock, as a thing of this [`kind`].
    pub(super) fn begin_for(&mut self, task: &TaskRef, on: BlockedOn) {
        task.note_blocked_on(on);
        let Some(permit) = &mut self.permit else { return };
        let mut state = permit.semaphore.state.borrow_mut();
        let frame = frame_of(task);
        permit.key = if state.has_permit() {
            state.visitors.put_aside(Visitor { frame, waiter: None })
        } else {
            state.visitors.push_back(Visitor { frame, waiter: Some(Waiter::new(task)) })
        };
    }
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

impl Sealed for Acquire {}

impl Wait for Acquire {
    type Output = Permit;
    type State = Acquire;

    fn into_state(self) -> Acquire {
        self
    }
}

#[allow(private_interfaces)]
impl WaitState for Acquire {
    type Output = Permit;

    fn begin(&mut self, task: &TaskRef) {
        self.begin_for(task, BlockedOn::SEMAPHORE);
    }

    fn is_ready(&self) -> bool {
        self.permit.as_ref().is_none_or(Permit::is_there)
    }

    fn take(&mut self) -> Result<Permit> {
        self.permit.take_if(|permit| permit.is_there()).ok_or_else(polled_after_completion)
    }
}
