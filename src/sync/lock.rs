//! Locks: one coroutine at a time can use the data.
//!
//! A lock is a [`Semaphore`] of one permit, and a place for the data.

use std::cell::Cell;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

use super::semaphore::{Acquire, Permit, Semaphore};
use crate::error::Result;
use crate::scheduler::{BlockedOn, TaskRef};
use crate::trace::Frame;
use crate::waiting::{WaitState, wait_is_its_state};

/// A lock that guards data (by default `()`, which is no data). One coroutine at a time holds the lock.
///
/// It is a handle: a clone is the same lock. Coroutines get the lock in the order in which they began to wait. A panic does not
/// poison the lock: the data stays as it is.
///
/// If a coroutine acquires a lock that it holds already, it waits forever. If nothing else can continue, the loop reports a
/// deadlock.
///
/// ```
/// use tinyield::{Coro, Lock, Loop, coro};
///
/// #[coro]
/// fn count_up(counter: Lock<u32>) -> Coro<()> {
///     let mut count = yield counter.acquire();
///     let seen = *count;
///     yield; // no other coroutine gets the lock here
///     *count = seen + 1;
/// }
///
/// let counter = Lock::new(0);
/// let all: Vec<_> = (0..10).map(|_| count_up(counter.clone())).collect();
/// Loop::new().run(all).unwrap();
/// assert_eq!(*counter.try_acquire().unwrap(), 10);
/// ```
pub struct Lock<T = ()> {
    semaphore: Semaphore,
    data: Rc<Data<T>>,
}

/// The data, while no guard has it. The data is in a box because it moves into the guard and back.
type Data<T> = Cell<Option<Box<T>>>;

impl<T> Lock<T> {
    /// Creates a lock that guards `data`.
    #[must_use]
    pub fn new(data: T) -> Lock<T> {
        Lock { semaphore: Semaphore::new(1), data: Rc::new(Cell::new(Some(Box::new(data)))) }
    }

    /// Waits for the lock. If it is free, the `yield` only lets the other coroutines run once.
    ///
    /// # Cancellation
    ///
    /// The coroutine leaves the queue. If the lock was handed to the coroutine already, the next coroutine in the queue gets the
    /// lock.
    pub fn acquire(&self) -> AcquireLock<T> {
        AcquireLock { acquire: self.semaphore.acquire(), data: self.data.clone() }
    }

    /// Returns a guard with the data, if the lock is free.
    ///
    /// ```
    /// use tinyield::Lock;
    ///
    /// let lock = Lock::new(1);
    /// let mut guard = lock.try_acquire().unwrap();
    /// *guard += 1;
    /// assert!(lock.try_acquire().is_none());
    /// drop(guard);
    /// assert_eq!(*lock.try_acquire().unwrap(), 2);
    /// ```
    #[must_use = "the lock is free again when the guard is dropped"]
    #[track_caller]
    pub fn try_acquire(&self) -> Option<LockGuard<T>> {
        let permit = self.semaphore.try_acquire()?;
        Some(LockGuard::new(permit, self.data.clone()))
    }

    /// Whether the lock is held.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.semaphore.available() == 0
    }

    /// Returns which coroutine holds the lock, and how many wait for it.
    ///
    /// ```
    /// use tinyield::{Lock, Loop, co};
    ///
    /// let main = co! {
    ///     let lock = Lock::new("data");
    ///     let _guard = yield lock.acquire();
    ///     lock.statistics()
    /// };
    /// let statistics = Loop::new().run(main.named("main")).unwrap();
    /// assert_eq!(statistics.holder.unwrap().name(), "main");
    /// assert_eq!(statistics.waiting, 0);
    /// ```
    #[must_use]
    pub fn statistics(&self) -> LockStatistics {
        let mut statistics = self.semaphore.statistics();
        LockStatistics { holder: statistics.holders.pop(), waiting: statistics.waiting }
    }
}

impl<T> Clone for Lock<T> {
    fn clone(&self) -> Lock<T> {
        Lock { semaphore: self.semaphore.clone(), data: self.data.clone() }
    }
}

impl<T: Default> Default for Lock<T> {
    fn default() -> Lock<T> {
        Lock::new(T::default())
    }
}

impl<T> fmt::Debug for Lock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LockStatistics { holder, waiting } = self.statistics();
        f.debug_struct("Lock").field("holder", &holder).field("waiting", &waiting).finish_non_exhaustive()
    }
}

/// A snapshot of a lock. Returned by [`Lock::statistics`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LockStatistics {
    /// The holder: the name of the coroutine, or `try_acquire`, and the line at which it acquired the lock.
    pub holder: Option<Frame>,
    /// The number of waits for the lock.
    pub waiting: usize,
}

/// The data of a [`Lock`]. Dropping the guard gives the lock to the next coroutine in the queue.
///
/// If a guard is forgotten ([`std::mem::forget`]), the lock stays locked and the data is lost.
#[must_use = "the lock is free again when the guard is dropped"]
pub struct LockGuard<T = ()> {
    /// Present until the guard is dropped.
    data: Option<Box<T>>,
    home: Rc<Data<T>>,
    /// The permit is dropped after the data was put back, because the fields are dropped after `drop` has run.
    _permit: Permit,
}

impl<T> LockGuard<T> {
    fn new(permit: Permit, home: Rc<Data<T>>) -> LockGuard<T> {
        LockGuard { data: home.take(), home, _permit: permit }
    }
}

const HAS_DATA: &str = "a guard has the data until it is dropped";

impl<T> Deref for LockGuard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.data.as_ref().expect(HAS_DATA)
    }
}

impl<T> DerefMut for LockGuard<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.data.as_mut().expect(HAS_DATA)
    }
}

impl<T> Drop for LockGuard<T> {
    fn drop(&mut self) {
        self.home.set(self.data.take());
    }
}

impl<T: fmt::Debug> fmt::Debug for LockGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl<T: fmt::Display> fmt::Display for LockGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}

/// A wait for a [`LockGuard`]. Returned by [`Lock::acquire`].
#[must_use = "nothing is acquired before this is yielded"]
pub struct AcquireLock<T> {
    acquire: Acquire,
    data: Rc<Data<T>>,
}

impl<T> fmt::Debug for AcquireLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcquireLock").finish_non_exhaustive()
    }
}

wait_is_its_state!(leaf AcquireLock<T> => LockGuard<T>);

#[allow(private_interfaces)]
impl<T: 'static> WaitState for AcquireLock<T> {
    type Output = LockGuard<T>;

    fn begin(&mut self, task: &TaskRef) {
        self.acquire.begin_as(task, BlockedOn::LOCK);
    }

    fn carries_value(&self) -> bool {
        true
    }

    fn gives_back(&self) -> bool {
        true
    }

    fn is_ready(&self) -> bool {
        self.acquire.is_ready()
    }

    fn take(&mut self) -> Result<LockGuard<T>> {
        let permit = self.acquire.take()?;
        Ok(LockGuard::new(permit, self.data.clone()))
    }
}
