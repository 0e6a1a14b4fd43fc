//! A blocking call in a closure ends when the closure is cancelled. Otherwise an error could not stop everything: the coroutine that
//! waits for the closure ends only after the closure, and the closure might block until another coroutine ends.

use std::sync::Arc;

use super::cancellation::Signal;
use super::closure::Closure;
use crate::primitives::channel::Receiver;

/// The cancellation of the closure that runs on this thread, for a call that blocks.
pub(crate) struct Interrupt {
    closure: Arc<Closure>,
    signal: Arc<Signal>,
}

impl Interrupt {
    /// `None` if no closure runs on this thread.
    pub(crate) fn here() -> Option<Interrupt> {
        let closure = Closure::current()?;
        let signal = closure.cancellation.signal();
        Some(Interrupt { closure, signal })
    }

    /// Ready to receive once the closure is cancelled. Do not receive from it.
    pub(crate) fn signal(&self) -> &Receiver<()> {
        &self.signal.receiver
    }

    /// Whether the call has to return. If so, what the closure returns counts as a result of the cancellation. But if a coroutine
    /// of a loop in the closure makes the call, the loop decides what its result is.
    pub(crate) fn is_due(&self) -> bool {
        let is_due = self.closure.cancellation.reason().is_some();
        if is_due && !self.closure.holds_thread() {
            self.closure.cancellation.note_interrupted();
        }
        is_due
    }
}
