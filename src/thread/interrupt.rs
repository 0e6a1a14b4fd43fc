//! A blocking call in a closure ends when the closure is cancelled. Without this, an error might not end the run: the coroutine that
//! waits for a closure ends only after the closure. If the other end of the channel belongs to this coroutine, neither would end.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Select};

use super::closure::Closure;

/// A call that may block its thread several times.
#[derive(Default)]
pub(crate) struct BlockingCall {
    is_begun: bool,
    /// Present if a closure runs on this thread.
    closure: Option<(Arc<Closure>, Receiver<()>)>,
}

impl BlockingCall {
    /// Blocks the thread until one of the operations in `select` is ready, or the closure that runs on this thread is cancelled. If
    /// the closure was cancelled before, this does not block, and returns false. Then the call has to return, and an error of the
    /// closure counts as the cancellation.
    pub(crate) fn block<'a>(&'a mut self, mut select: Select<'a>) -> bool {
        // Most calls never block. So they do not look for a closure.
        if !self.is_begun {
            self.is_begun = true;
            self.closure = Closure::current().map(|closure| {
                let signal = closure.cancellation.signal();
                (closure, signal)
            });
        }
        if let Some((closure, signal)) = &self.closure {
            if closure.cancellation.reason().is_some() {
                // If the closure waits for a loop, a coroutine of that loop makes the call. The loop has a result of its own.
                if !closure.holds_thread() {
                    closure.cancellation.note_interrupted();
                }
                return false;
            }
            select.recv(signal);
        }
        select.ready();
        true
    }
}
