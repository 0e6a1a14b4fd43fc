//! Barriers: coroutines wait until a fixed number of them have arrived.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use crate::error::Result;
use crate::scheduler::{BlockedOn, Key, TaskRef, WaitQueue, Waiter};
use crate::waiting::{WaitState, polled_after_completion, wait_is_its_state};

/// A point at which coroutines wait until a fixed number of them have arrived. Then all of them continue, and the next round of the
/// barrier begins.
///
/// It is a handle: a clone is the same barrier.
///
/// ```
/// use tinyield::{Barrier, Coro, Loop, coro};
///
/// #[coro]
/// fn worker(barrier: Barrier) -> Coro<usize> {
///     let index = yield barrier.wait();
///     if index == 2 {
///         println!("all have arrived");
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
    queue: Rc<RefCell<WaitQueue<Entry>>>,
}

enum Entry {
    Waiting(Waiter),
    /// The arrival index of the coroutine in its round.
    Released(usize),
}

impl Barrier {
    /// Creates a barrier that opens each time `parties` coroutines wait at it.
    ///
    /// # Panics
    ///
    /// If `parties` is 0.
    #[must_use]
    #[track_caller]
    pub fn new(parties: usize) -> Barrier {
        assert!(parties > 0, "a barrier for 0 parties could never open; it takes at least 1");
        Barrier { parties, queue: Rc::default() }
    }

    /// Waits until all parties of this round have arrived. Returns the arrival index: 0 for the first to arrive, `parties - 1` for
    /// the last.
    ///
    /// # Cancellation
    ///
    /// If the barrier has not opened yet, the coroutine no longer counts as arrived. The arrival index of each coroutine that came
    /// after it goes down by one.
    pub fn wait(&self) -> BarrierWait {
        BarrierWait { barrier: self.clone(), stage: Stage::Init }
    }

    /// Returns how many parties the barrier is for, and how many wait.
    ///
    /// ```
    /// use tinyield::Barrier;
    ///
    /// let statistics = Barrier::new(3).statistics();
    /// assert_eq!((statistics.parties, statistics.waiting), (3, 0));
    /// ```
    #[must_use]
    pub fn statistics(&self) -> BarrierStatistics {
        BarrierStatistics { parties: self.parties, waiting: self.queue.borrow().len() }
    }

    /// Releases the first wait in the queue. Its entry stays until the coroutine takes the index.
    fn release_first(&self, index: usize) -> Option<Waiter> {
        let mut queue = self.queue.borrow_mut();
        match std::mem::replace(queue.advance()?, Entry::Released(index)) {
            Entry::Waiting(waiter) => Some(waiter),
            Entry::Released(_) => unreachable!("a released wait is not in line"),
        }
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BarrierStatistics { parties, waiting } = self.statistics();
        f.debug_struct("Barrier").field("parties", &parties).field("waiting", &waiting).finish()
    }
}

/// A snapshot of a barrier. Returned by [`Barrier::statistics`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BarrierStatistics {
    /// The number of coroutines that have to arrive in each round.
    pub parties: usize,
    /// The number of coroutines that wait in this round.
    pub waiting: usize,
}

/// A wait for the other parties of a round. Returned by [`Barrier::wait`]; the `yield` returns the arrival index.
#[must_use = "the wait begins when this is yielded"]
pub struct BarrierWait {
    barrier: Barrier,
    stage: Stage,
}

enum Stage {
    Init,
    Queued(Key),
    /// The arrival index of the coroutine in its round.
    Done(usize),
}

impl Drop for BarrierWait {
    fn drop(&mut self) {
        let Stage::Queued(key) = self.stage else { return };
        let entry = self.barrier.queue.borrow_mut().remove(key);
        if let Some(Entry::Waiting(waiter)) = entry {
            waiter.give_up();
        }
    }
}

impl fmt::Debug for BarrierWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BarrierWait").field("barrier", &self.barrier).finish()
    }
}

wait_is_its_state!(leaf BarrierWait => usize);

#[allow(private_interfaces)]
impl WaitState for BarrierWait {
    type Output = usize;

    fn begin(&mut self, task: &TaskRef) {
        task.note_blocked_on(BlockedOn::BARRIER);
        let others = self.barrier.queue.borrow().len();
        if others + 1 < self.barrier.parties {
            let entry = Entry::Waiting(Waiter::new(task));
            self.stage = Stage::Queued(self.barrier.queue.borrow_mut().push_back(entry));
            return;
        }
        self.stage = Stage::Done(others);
        for index in 0..others {
            if let Some(waiter) = self.barrier.release_first(index) {
                waiter.settle();
            }
        }
    }

    fn is_ready(&self) -> bool {
        match self.stage {
            Stage::Init => false,
            Stage::Queued(key) => matches!(self.barrier.queue.borrow().get(key), Some(Entry::Released(_))),
            Stage::Done(_) => true,
        }
    }

    fn take(&mut self) -> Result<usize> {
        if let Stage::Queued(key) = self.stage {
            let mut queue = self.barrier.queue.borrow_mut();
            if let Some(&Entry::Released(index)) = queue.get(key) {
                queue.remove(key);
                self.stage = Stage::Done(index);
            }
        }
        match self.stage {
            Stage::Done(index) => Ok(index),
            Stage::Init | Stage::Queued(_) => Err(polled_after_completion()),
        }
    }
}
