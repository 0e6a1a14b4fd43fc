//! The state of a wait that was yielded. It relies on the scheduler: a part that is not ready registers a `Waiter`, which counts as
//! pending, and the coroutine continues when nothing is pending.

use crate::error::{Error, Result};
use crate::scheduler::TaskRef;

/// The state of a wait. It owns all its data. It begins once, and when all its parts are ready, its output is taken once.
///
/// If the state is dropped before its output is taken, the wait gives up: it removes every waiter that it has registered.
#[doc(hidden)]
#[allow(private_interfaces)]
pub trait WaitState: private::Sealed + 'static {
    type Output: 'static;

    /// Whether a cancellation is put off until the wait is over.
    const SHIELDED: bool = false;

    /// Whether [`take`](WaitState::take) may raise an error of which the task was not notified when the error came up. If it
    /// may, a collection of waits looks for errors before it takes any output, so that no output is lost.
    const RAISES_LATE: bool = false;

    /// Begins the wait of `task`: registers a `Waiter` for each part that is not ready.
    fn begin(&mut self, task: &TaskRef);

    /// Whether all parts are ready.
    fn is_ready(&self) -> bool;

    /// Whether the output is a value that can be lost. False if the output only says that the wait is over.
    fn carries_value(&self) -> bool {
        false
    }

    /// Whether dropping the state gives back every value that has arrived. For example, a message goes back to its channel, and a
    /// permit to its semaphore. Not used if the wait carries no value.
    fn gives_back(&self) -> bool {
        false
    }

    /// Whether the wait is ready and has an output. A wait for a task that was ended by a cancellation has no output.
    fn has_value(&self) -> bool {
        self.is_ready() && !self.has_failed()
    }

    /// The error of a part that has failed.
    fn failure(&self) -> Option<Error> {
        None
    }

    /// Whether a part has failed. Unlike [`failure`](WaitState::failure), this also counts errors that are not raised.
    fn has_failed(&self) -> bool {
        self.failure().is_some()
    }

    /// Decides the races of leaves in this wait. If a leaf of a race is ready, the race gives up its other leaves.
    fn decide_races(&mut self) {}

    /// Takes the output, or returns the error of a part. If a part is not ready, this returns an error. Only misuse can cause
    /// that.
    fn take(&mut self) -> Result<Self::Output>;

    /// What the `yield` returns when `error` is raised at it.
    fn raised(&mut self, error: Error) -> Result<Self::Output> {
        Err(error)
    }
}

pub(crate) mod private {
    use crate::scheduler::Task;

    pub trait Sealed {}

    /// A wrapper that keeps a type of the scheduler out of a public signature.
    #[allow(missing_debug_implementations)]
    pub struct AnyTask<T>(pub(crate) Task<T>);
}

/// The error of a wait that has no output because of misuse.
#[track_caller]
#[cold]
#[inline(never)]
pub(crate) fn polled_after_completion() -> Error {
    Error::msg("a wait was polled after it had been ready, or with the `Resume` of another coroutine")
}
