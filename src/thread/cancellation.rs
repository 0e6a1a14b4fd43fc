//! The cancellation of a closure on a thread. The closure can check for it. The cancellation also stops the loops that the closure
//! runs, and wakes the closure if it polls a future.

use std::sync::Arc;
use std::task::Waker;
#[cfg(feature = "async-std")]
use std::task::{Context, Poll};

use slab::Slab;

use crate::error::Cancelled;
use crate::primitives::{Mutex, OnceLock, lock};
use crate::scheduler::Inbox;

#[derive(Default)]
pub(crate) struct Cancellation {
    reason: OnceLock<Cancelled>,
    listeners: Mutex<Listeners>,
}

#[derive(Default)]
struct Listeners {
    /// Loops that the closure runs.
    loops: Slab<Arc<Inbox>>,
    /// Wakes the closure. Present while the closure polls a future.
    waker: Option<Waker>,
}

impl Cancellation {
    pub(super) fn reason(&self) -> Option<&Cancelled> {
        self.reason.get()
    }

    pub(super) fn cancel(&self, reason: Cancelled) {
        let _ = self.reason.set(reason.clone());
        let Listeners { loops, waker } = std::mem::take(&mut *lock(&self.listeners));
        for (_, inbox) in loops {
            inbox.stop(reason.why().clone());
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Adds a loop that is stopped when the closure is cancelled. Returns its key for [`remove_loop`](Cancellation::remove_loop).
    pub(super) fn add_loop(&self, inbox: &Arc<Inbox>) -> usize {
        let key = lock(&self.listeners).loops.insert(inbox.clone());
        // `cancel` writes the reason before it takes the loops, and the reason is read here after the insertion. So if `cancel` has
        // missed the loop, this read finds the reason.
        if let Some(reason) = self.reason() {
            inbox.stop(reason.why().clone());
        }
        key
    }

    pub(super) fn remove_loop(&self, key: usize, inbox: &Arc<Inbox>) {
        let loops = &mut lock(&self.listeners).loops;
        // After `cancel` has emptied the list, a later loop may have the same key.
        if loops.get(key).is_some_and(|other| Arc::ptr_eq(other, inbox)) {
            loops.remove(key);
        }
    }

    /// Returns `Ready` once the closure is cancelled. Only one future at a time may call this.
    #[cfg(feature = "async-std")]
    pub(crate) fn poll(&self, context: &Context<'_>) -> Poll<()> {
        let waker = &context.waker();
        if self.reason().is_none() && !lock(&self.listeners).waker.as_ref().is_some_and(|old| old.will_wake(waker)) {
            let new = Some(Waker::clone(waker));
            let old = std::mem::replace(&mut lock(&self.listeners).waker, new);
            drop(old);
        }
        // `cancel` writes the reason before it takes the waker, and the reason is read here after the waker is stored. So if
        // `cancel` has missed the waker, this read finds the reason.
        if self.reason().is_some() { Poll::Ready(()) } else { Poll::Pending }
    }
}
