//! One at a time.

use std::cell::Cell;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

use super::semaphore::{Acquire, Permit, Semaphore};
use crate::error::Result;
use crate::scheduler::{BlockedOn, TaskRef};
use crate::trace::Frame;
use crate::wait::private::Sealed;
use crate::wait::{Wait, WaitState};

/// Lets one coroutine at a time through, to the data that it guards; by default to none.
///
/// It is a handle: clones are the same lock. It is given from one to the next in the order in which they came. A panic does
/// not poison it: the data stays as it is.
///
/// One that is acquired again by who holds it waits for ever; if nothing else goes on, that is found as a deadlock.
///
/// ```
/// # #![feature(coroutines)]
/// use tinyield::{Coro, Lock, Loop, coro};
///
/// #[coro]
/// fn count_up(counter: Lock<u32>) -> Coro<()> {
///     let mut count = yield counter.acquire();
///     let seen = *count;
///     yield; // nobody else comes in
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

/// The data, while nobody has it. In a box, as it is moved into the guard and back.
type Data<T> = Cell<Option<Box<T>>>;

impl<T> Lock<T> {
    /// A lock that guards `data`.
    #[must_use]
    pub fn new(data: T) -> Lock<T> {
        Lock { semaphore: Semaphore::new(1), data: Rc::new(Cell::new(Some(Box::new(data)))) }
    }

    /// Waits until the others that came before are done. If it is free, this is one turn of the others.
    ///
    /// # Cancellation
    ///
    /// Its place in the queue is given up, or, if it was its turn already, the lock is passed on.
    pub fn acquire(&self) -> AcquireLock<T> {
        AcquireLock { acquire: self.semaphore.acquire(), data: self.data.clone() }
    }

    /// The data, if the lock is free.
    #[must_use = "the lock is free again when the guard is dropped"]
    #[track_caller]
    pub fn try_acquire(&self) -> Option<LockGuard<T>> {
        let permit = self.semaphore.try_acquire()?;
        Some(LockGuard::new(permit, self.data.clone()))
    }

    /// Whether somebody has it.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.semaphore.available() == 0
    }

    /// Who has it, and how many wait.
    ///
    /// ```
    /// # #![feature(coroutines)]
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

/// What [`Lock::statistics`] tells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LockStatistics {
    /// Who has it: the coroutine, or `try_acquire`, and the line.
    pub holder: Option<Frame>,
    /// How many wait for it.
    pub waiting: usize,
}

/// The data of a [`Lock`], for as long as it is kept. Dropped, the next comes in.
///
/// Forgotten, it takes the data with it: the lock is never free again.
#[must_use = "the lock is free again when the guard is dropped"]
pub struct LockGuard<T = ()> {
    /// There until it is dropped.
    data: Option<Box<T>>,
    home: Rc<Data<T>>,
    /// Dropped last: then the data is back.
    _permit: Permit,
}

impl<T> LockGuard<T> {
    fn new(permit: Permit, home: Rc<Data<T>>) -> LockGuard<T> {
        LockGuard { data: home.take(), home, _permit: permit }
    }
}

const THERE: &str = "who has the permit has the data";

impl<T> Deref for LockGuard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.data.as_ref().expect(THERE)
    }
}

impl<T> DerefMut for LockGuard<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.data.as_mut().expect(THERE)
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

/// What [`Lock::acquire`] gives: a [`Wait`] for a [`LockGuard`].
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

impl<T> Sealed for AcquireLock<T> {}

impl<T: 'static> Wait for AcquireLock<T> {
    type Output = LockGuard<T>;
    type State = AcquireLock<T>;

    fn into_state(self) -> AcquireLock<T> {
        self
    }
}

#[allow(private_interfaces)]
impl<T: 'static> WaitState for AcquireLock<T> {
    type Output = LockGuard<T>;

    fn begin(&mut self, task: &TaskRef) {
        self.acquire.begin_for(task, BlockedOn::LOCK);
    }

    fn is_ready(&self) -> bool {
        self.acquire.is_ready()
    }

    fn take(&mut self) -> Result<LockGuard<T>> {
        let permit = self.acquire.take()?;
        Ok(LockGuard::new(permit, self.data.clone()))
    }
}
