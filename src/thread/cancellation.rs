//! The cancellation of a closure on a thread. The closure can check for it. The cancellation also stops the loops that the closure
//! runs, wakes the closure if it polls a future, and interrupts the closure if it blocks at a channel of this library.

use std::sync::Arc;
use std::task::Waker;
#[cfg(feature = "async-std")]
use std::task::{Context, Poll};

use slab::Slab;

use crate::error::Cancelled;
use crate::primitives::atomic::AtomicBool;
use crate::primitives::atomic::Ordering::SeqCst;
use crate::primitives::channel::{self, Receiver, Sender};
use crate::primitives::{Mutex, OnceLock, lock};
use crate::scheduler::Inbox;

#[derive(Default)]
pub(crate) struct Cancellation {
    reason: OnceLock<Cancelled>,
    listeners: Mutex<Listeners>,
    /// Whether the cancellation has interrupted a blocking call of the closure.
    has_interrupted: AtomicBool,
}

#[derive(Default)]
struct Listeners {
    /// Loops that the closure runs.
    loops: Slab<Arc<Inbox>>,
    /// Wakes the closure. Present while the closure polls a future.
    waker: Option<Waker>,
    /// Made when the closure blocks for the first time.
    signal: Option<Arc<Signal>>,
}

/// A channel that has a message once the closure is cancelled. Nothing receives the message.
pub(super) struct Signal {
    sender: Sender<()>,
    pub(super) receiver: Receiver<()>,
}

impl Signal {
    fn send(&self) {
        // This fails if the message was sent before.
        let _ = self.sender.try_send(());
    }
}

impl Default for Signal {
    fn default() -> Signal {
        let (sender, receiver) = channel::bounded(1);
        Signal { sender, receiver }
    }
}

impl Cancellation {
    pub(super) fn reason(&self) -> Option<&Cancelled> {
        self.reason.get()
    }

    pub(super) fn cancel(&self, reason: Cancelled) {
        let _ = self.reason.set(reason.clone());
        let mut listeners = lock(&self.listeners);
        let (loops, waker) = (std::mem::take(&mut listeners.loops), listeners.waker.take());
        if let Some(signal) = &listeners.signal {
            signal.send();
        }
        drop(listeners);
        for (_, inbox) in loops {
            inbox.stop(reason.why().clone());
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The signal for calls that block.
    pub(super) fn signal(&self) -> Arc<Signal> {
        let signal = lock(&self.listeners).signal.get_or_insert_default().clone();
        // `cancel` writes the reason before it takes the listeners, and the reason is read here after the signal was made. So if
        // `cancel` has missed the signal, this read finds the reason.
        if self.reason().is_some() {
            signal.send();
        }
        signal
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
