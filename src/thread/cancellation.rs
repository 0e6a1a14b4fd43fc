//! How the cancellation of a closure on a thread is delivered: the closure checks for it, or the wait that blocks it is stopped.

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
    /// Wakes the closure, if it polls a future.
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

    /// Has the loop stopped when this is cancelled, or until [`remove_loop`](Cancellation::remove_loop) is called with the key that this
    /// returns.
    pub(super) fn add_loop(&self, inbox: &Arc<Inbox>) -> usize {
        let key = lock(&self.listeners).loops.insert(inbox.clone());
        // Read after the loop is in the list, as `cancel` writes it before it looks for loops.
        if let Some(reason) = self.reason() {
            inbox.stop(reason.why().clone());
        }
        key
    }

    pub(super) fn remove_loop(&self, key: usize, inbox: &Arc<Inbox>) {
        let loops = &mut lock(&self.listeners).loops;
        // `cancel` has taken all that were there, and the key may be that of a later one.
        if loops.get(key).is_some_and(|other| Arc::ptr_eq(other, inbox)) {
            loops.remove(key);
        }
    }

    /// Is ready once this is cancelled. One future at a time may poll it.
    #[cfg(feature = "async-std")]
    pub(crate) fn poll(&self, context: &Context<'_>) -> Poll<()> {
        let waker = &context.waker();
        if self.reason().is_none() && !lock(&self.listeners).waker.as_ref().is_some_and(|old| old.will_wake(waker)) {
            let new = Some(Waker::clone(waker));
            let old = std::mem::replace(&mut lock(&self.listeners).waker, new);
            drop(old);
        }
        // Read after the waker is stored, as `cancel` writes it before it looks for the waker.
        if self.reason().is_some() { Poll::Ready(()) } else { Poll::Pending }
    }
}
