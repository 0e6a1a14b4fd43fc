//! So many at once, and no more.

use std::cell::RefCell;
use std::fmt;
use std::panic::Location;
use std::rc::Rc;

use slab::Slab;

use crate::error::Result;
use crate::scheduler::{Key, TaskRef, WaitQueue, Waiter, kind};
use crate::trace::Frame;
use crate::wait::private::Sealed;
use crate::wait::{Wait, Waiting, not_there};

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
    /// Who has the permits that are out. If there are others, nobody waits.
    holders: Slab<Frame>,
    waiting: WaitQueue<Stage>,
}

enum Stage {
    Waiting(Waiter),
    /// It has this permit, and does not know yet.
    Chosen(usize),
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
        let state = State { permits, holders: Slab::new(), waiting: WaitQueue::default() };
        Semaphore { state: Rc::new(RefCell::new(state)) }
    }

    /// Waits for a permit. If one is free, this is one turn of the others.
    ///
    /// # Cancellation
    ///
    /// Its place in the queue is given up, or, if it was its turn already, the permit is passed on.
    pub fn acquire(&self) -> Acquire {
        Acquire { semaphore: self.clone(), place: Place::Unbegun }
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
        let holder = Frame::new("try_acquire".into(), Location::caller());
        let slot = self.state.borrow_mut().give_out(holder)?;
        Some(Permit { semaphore: self.clone(), slot })
    }

    /// How many permits are free.
    #[must_use]
    pub fn available(&self) -> usize {
        let state = self.state.borrow();
        state.permits - state.holders.len()
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
            holders: state.holders.iter().map(|(_, holder)| holder.clone()).collect(),
            waiting: state.waiting.len(),
        }
    }

    /// The permit `slot` comes back: it goes to whoever has waited longest.
    fn take_back(&self, slot: usize) {
        let mut state = self.state.borrow_mut();
        let holder = state.holders.remove(slot);
        let next = state.choose_next();
        drop(state);
        drop(holder);
        if let Some(waiter) = next {
            waiter.settle();
        }
    }
}

impl State {
    /// A permit for `holder`, if one is free.
    fn give_out(&mut self, holder: Frame) -> Option<usize> {
        (self.holders.len() < self.permits).then(|| self.holders.insert(holder))
    }

    /// Gives the permit that has just become free to whoever has waited longest.
    fn choose_next(&mut self) -> Option<Waiter> {
        let stage = self.waiting.advance()?;
        let Stage::Waiting(waiter) = std::mem::replace(stage, Stage::Chosen(usize::MAX)) else {
            unreachable!("who is in line waits")
        };
        *stage = Stage::Chosen(self.holders.insert(frame_of(waiter.task())));
        Some(waiter)
    }
}

/// The name of a coroutine, and the line at which it waits.
pub(super) fn frame_of(task: &TaskRef) -> Frame {
    Frame::new(task.name(), task.header().location.get())
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
    slot: usize,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.semaphore.take_back(self.slot);
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
    semaphore: Semaphore,
    place: Place,
}

enum Place {
    Unbegun,
    InLine(Key),
    There(Permit),
    Through,
}

impl Acquire {
    /// Begins to wait for what counts, in a deadlock, as a thing of this [`kind`].
    pub(super) fn begin_for(&mut self, task: &TaskRef, kind: u8) {
        task.note(kind);
        let mut state = self.semaphore.state.borrow_mut();
        self.place = match state.give_out(frame_of(task)) {
            Some(slot) => Place::There(Permit { semaphore: self.semaphore.clone(), slot }),
            None => Place::InLine(state.waiting.push_back(Stage::Waiting(Waiter::new(task)))),
        };
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        let Place::InLine(key) = self.place else { return };
        let stage = self.semaphore.state.borrow_mut().waiting.remove(key);
        match stage {
            Some(Stage::Waiting(waiter)) => waiter.give_up(),
            Some(Stage::Chosen(slot)) => self.semaphore.take_back(slot),
            None => {}
        }
    }
}

impl fmt::Debug for Acquire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquire").field("semaphore", &self.semaphore).finish()
    }
}

impl Sealed for Acquire {}

impl Wait for Acquire {
    type Output = Permit;
    type Waiting = Acquire;

    fn into_waiting(self) -> Acquire {
        self
    }
}

#[allow(private_interfaces)]
impl Waiting for Acquire {
    type Output = Permit;

    fn begin(&mut self, task: &TaskRef) {
        self.begin_for(task, kind::SEMAPHORE);
    }

    fn is_ready(&self) -> bool {
        match self.place {
            Place::Unbegun => false,
            Place::There(_) | Place::Through => true,
            Place::InLine(key) => {
                matches!(self.semaphore.state.borrow().waiting.get(key), Some(Stage::Chosen(_)))
            }
        }
    }

    fn take(&mut self) -> Result<Permit> {
        if !self.is_ready() {
            return Err(not_there());
        }
        match std::mem::replace(&mut self.place, Place::Through) {
            Place::There(permit) => Ok(permit),
            Place::InLine(key) => {
                let stage = self.semaphore.state.borrow_mut().waiting.remove(key);
                match stage {
                    Some(Stage::Chosen(slot)) => Ok(Permit { semaphore: self.semaphore.clone(), slot }),
                    _ => Err(not_there()),
                }
            }
            Place::Unbegun | Place::Through => Err(not_there()),
        }
    }
}
