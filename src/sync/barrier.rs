//! All or nobody.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use crate::error::Result;
use crate::scheduler::{BlockedOn, Key, TaskRef, WaitQueue, Waiter};
use crate::wait::private::Sealed;
use crate::wait::{Wait, WaitState, polled_after_completion};

/// Holds coroutines back until so many have come; then lets all of them through, and begins anew.
///
/// It is a handle: clones are the same barrier.
///
/// ```
/// # #![feature(coroutines)]
/// use tinyield::{Barrier, Coro, Loop, coro};
///
/// #[coro]
/// fn worker(barrier: Barrier) -> Coro<usize> {
///     let index = yield barrier.wait();
///     if index == 2 {
///         println!("all are here");
///     }
///     index
/// }
///
/// let barrier = Barrier::new(3);
/// let workers = [worker(barrier.clone()), worker(barrier.clone()), worker(barrier)];
/// assert_eq!(Loop::new().run(workers).unwrap(), [0, 1, 2]);
/// ```
#[derive(Clone)]
pub struct Barrier {
    parties: usize,
    waiting: Rc<RefCell<WaitQueue<Stage>>>,
}

enum Stage {
    Waiting(Waiter),
    /// It came as the how manieth of its round.
    Through(usize),
}

impl Barrier {
    /// A barrier that opens whenever so many wait at it.
    ///
    /// # Panics
    ///
    /// If there are none: whoever came would be one too many.
    #[must_use]
    #[track_caller]
    pub fn new(parties: usize) -> Barrier {
        assert!(parties > 0, "a barrier for 0 parties could never open; it takes at least 1");
        Barrier { parties, waiting: Rc::default() }
    }

    /// Waits until the others of this round have come; gives the place in the order of arrival, the first one's being 0.
    ///
    /// # Cancellation
    ///
    /// Who gives up before the barrier has opened has not come.
    pub fn wait(&self) -> BarrierWait {
        BarrierWait { barrier: self.clone(), place: Place::Unbegun }
    }

    /// How many it is for, and how many wait.
    #[must_use]
    pub fn statistics(&self) -> BarrierStatistics {
        BarrierStatistics { parties: self.parties, waiting: self.waiting.borrow().len() }
    }

    /// The next one to be let through, as the `index`th.
    fn let_through(&self, index: usize) -> Option<Waiter> {
        let mut waiting = self.waiting.borrow_mut();
        match std::mem::replace(waiting.advance()?, Stage::Through(index)) {
            Stage::Waiting(waiter) => Some(waiter),
            Stage::Through(_) => unreachable!("who is in line waits"),
        }
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BarrierStatistics { parties, waiting } = self.statistics();
        f.debug_struct("Barrier").field("parties", &parties).field("waiting", &waiting).finish()
    }
}

/// What [`Barrier::statistics`] tells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BarrierStatistics {
    /// How many have to come.
    pub parties: usize,
    /// How many have.
    pub waiting: usize,
}

/// What [`Barrier::wait`] gives: a [`Wait`] for the place in the order of arrival.
#[must_use = "nobody waits before this is yielded"]
pub struct BarrierWait {
    barrier: Barrier,
    place: Place,
}

#[derive(Clone, Copy)]
enum Place {
    Unbegun,
    InLine(Key),
    Last,
}

impl Drop for BarrierWait {
    fn drop(&mut self) {
        let Place::InLine(key) = self.place else { return };
        let stage = self.barrier.waiting.borrow_mut().remove(key);
        if let Some(Stage::Waiting(waiter)) = stage {
            waiter.give_up();
        }
    }
}

impl fmt::Debug for BarrierWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BarrierWait").field("barrier", &self.barrier).finish()
    }
}

impl Sealed for BarrierWait {}

impl Wait for BarrierWait {
    type Output = usize;
    type State = BarrierWait;

    fn into_state(self) -> BarrierWait {
        self
    }
}

#[allow(private_interfaces)]
impl WaitState for BarrierWait {
    type Output = usize;

    fn begin(&mut self, task: &TaskRef) {
        task.note_blocked_on(BlockedOn::BARRIER);
        let others = self.barrier.waiting.borrow().len();
        if others + 1 < self.barrier.parties {
            let stage = Stage::Waiting(Waiter::new(task));
            self.place = Place::InLine(self.barrier.waiting.borrow_mut().push_back(stage));
            return;
        }
        self.place = Place::Last;
        for index in 0..others {
            if let Some(waiter) = self.barrier.let_through(index) {
                waiter.settle();
            }
        }
    }

    fn is_ready(&self) -> bool {
        match self.place {
            Place::Unbegun => false,
            Place::InLine(key) => matches!(self.barrier.waiting.borrow().get(key), Some(Stage::Through(_))),
            Place::Last => true,
        }
    }

    fn take(&mut self) -> Result<usize> {
        if !self.is_ready() {
            return Err(polled_after_completion());
        }
        let Place::InLine(key) = self.place else { return Ok(self.barrier.parties - 1) };
        let stage = self.barrier.waiting.borrow_mut().remove(key);
        match stage {
            Some(Stage::Through(index)) => Ok(index),
            _ => Err(polled_after_completion()),
        }
    }
}
