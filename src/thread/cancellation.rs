//! The cancellation of a closure on a thread. The closure can check for it. The cancellation also stops the loops that the closure
//! runs, wakes the closure if it polls a future, and interrupts the closure if it blocks at a channel of this library.

use std::sync::Arc;
use std::task::Waker;
#[cfg(feature = "async-std")]
use std::task::{Context, Poll};

use crossbeam_channel::Receiver;
use slab::Slab;

use crate::error::Cancelled;
use crate::primitives::atomic::AtomicBool;
use crate::primitives::atomic::Ordering::SeqCst;
use crate::primitives::{Flag, Mutex, OnceLock, lock};
use crate::scheduler::Inbox;

#[derive(Default)]
pub(crate) struct Cancellation {
    /// [`cancel`](Cancellation::cancel) writes the reason before it takes the listeners. Each function that adds a listener reads
    /// the reason afterwards. So if `cancel` has missed the listener, the function finds the reason.
    reason: OnceLock<Cancelled>,
    listeners: Mutex<Listeners>,
    /// Whether the cancellation has interrupted a blocking call of the closure itself. A call in a loop that the closure runs does
    /// not count.
    has_interrupted: AtomicBool,
}

#[derive(Default)]
struct Listeners {
    /// Loops that the closure runs.
    loops: Slab<Arc<Inbox>>,
    /// Wakes the closure. Present while the closure polls a future.
    waker: Option<Waker>,
    /// Set once the closure is cancelled. Made when the closure blocks for the first time.
    signal: Option<Flag>,
}

impl Cancellation {
    pub(super) fn reason(&self) -> Option<&Cancelled> {
        self.reason.get()
    }

    pub(super) fn cancel(&self, reason: Cancelled) {
        let _ = self.reason.set(reason.clone());
        let mut listeners = lock(&self.listeners);
        let (loops, waker) = (std::mem::take(&mut listeners.loops), listeners.waker.take());
        if let Some(signal) = &mut listeners.signal {
            signal.set(true);
        }
        drop(listeners);
        for (_, inbox) in loops {
            inbox.stop(reason.why().clone());
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// For calls that block: ready once the closure is cancelled.
    pub(super) fn signal(&self) -> Receiver<()> {
        let mut listeners = lock(&self.listeners);
        let signal = listeners.signal.get_or_insert_default();
        // See the field `reason`.
        if self.reason().is_some() {
            signal.set(true);
        }
        signal.watch()
    }

    pub(super) fn note_interrupted(&self) {
        self.has_interrupted.store(true, SeqCst);
    }

    pub(super) fn has_interrupted(&self) -> bool {
        self.has_interrupted.load(SeqCst)
    }

    /// Adds a loop that is stopped when the closure is cancelled. Returns its key for [`remove_loop`](Cancellation::remove_loop).
    pub(super) fn add_loop(&self, inbox: &Arc<Inbox>) -> usize {
        let key = lock(&self.listeners).loops.insert(inbox.clone());
        // See the field `reason`.
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
        // See the field `reason`.
        if self.reason().is_some() { Poll::Ready(()) } else { Poll::Pending }
    }
}
