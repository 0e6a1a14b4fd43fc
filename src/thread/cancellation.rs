//! How a closure on a thread is told that it was cancelled.

use std::cell::RefCell;
#[cfg(any(feature = "smol", feature = "async-std"))]
use std::sync::Weak;
use std::sync::{Arc, PoisonError};
use std::task::Waker;
#[cfg(any(feature = "smol", feature = "async-std"))]
use std::task::{Context, Poll};

use crate::error::Cancelled;
use crate::primitives::{Mutex, MutexGuard, OnceLock, thread_local};

/// How a closure on a thread is told that it was cancelled.
#[derive(Default)]
pub(crate) struct Cancellation {
    why: OnceLock<Cancelled>,
    /// Of a closure that does not look, but waits to be told.
    waker: Mutex<Option<Waker>>,
    /// Of the closure in which somebody waits for this one, if it is one.
    #[cfg(any(feature = "smol", feature = "async-std"))]
    waiting: Mutex<Weak<Cancellation>>,
}

/// Why what this thread runs was cancelled, if it was.
pub(super) fn of_this_thread() -> Option<Cancelled> {
    let why = |current: &RefCell<Option<Arc<Cancellation>>>| current.borrow().as_ref()?.why.get().cloned();
    // A thread that is ending runs nothing.
    CURRENT.try_with(why).ok().flatten()
}

/// The cancellation of what this thread runs; outside of a pool, one that never comes.
#[cfg(any(feature = "smol", feature = "async-std"))]
pub(crate) fn cancellation() -> Arc<Cancellation> {
    CURRENT.with(|current| current.borrow().clone()).unwrap_or_default()
}

impl Cancellation {
    /// For a closure that is started here.
    pub(super) fn new() -> Cancellation {
        Cancellation {
            #[cfg(any(feature = "smol", feature = "async-std"))]
            waiting: Mutex::new(Cancellation::of_this_thread()),
            ..Cancellation::default()
        }
    }

    #[cfg(any(feature = "smol", feature = "async-std"))]
    pub(super) fn of_this_thread() -> Weak<Cancellation> {
        let here = CURRENT.try_with(|current| current.borrow().as_ref().map(Arc::downgrade));
        here.ok().flatten().unwrap_or_default()
    }

    #[cfg(any(feature = "smol", feature = "async-std"))]
    pub(super) fn waiting(&self) -> MutexGuard<'_, Weak<Cancellation>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waker(&self) -> MutexGuard<'_, Option<Waker>> {
        self.waker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tell(&self, why: Cancelled) {
        let _ = self.why.set(why);
        let waker = self.waker().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether it has been cancelled; if not, the waker is woken when it is.
    #[cfg(any(feature = "smol", feature = "async-std"))]
    pub(crate) fn poll(&self, context: &Context<'_>) -> Poll<()> {
        let told = || self.why.get().is_some();
        if !told() && !self.waker().as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            let waker = context.waker().clone();
            let old = self.waker().replace(waker);
            drop(old);
        }
        // Looked at last: who tells sets it first.
        if told() { Poll::Ready(()) } else { Poll::Pending }
    }
}

thread_local! {
    /// Where the closure that this thread runs would be told of its cancellation.
    pub(super) static CURRENT: RefCell<Option<Arc<Cancellation>>> = const { RefCell::new(None) };
}
