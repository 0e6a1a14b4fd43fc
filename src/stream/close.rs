//! The wait that ends the coroutine of a stream.
//!
//! The coroutine runs in a scope of its own, which has no owner while the stream is read. The task that closes the stream becomes its
//! owner.

use std::fmt;
use std::rc::Rc;

use super::Reader;
use crate::error::{Error, Result};
use crate::scheduler::{Scope, TaskRef, Waiter};
use crate::waiting::{WaitState, polled_after_completion, wait_is_its_state};

/// The [`Wait`](crate::Wait) that [`Stream::close`](crate::Stream::close) returns.
#[must_use = "the stream is dropped if this is not yielded, and nobody waits for its end"]
pub struct Close<T: 'static> {
    reader: Rc<Reader<T>>,
    stage: Stage,
}

enum Stage {
    Init,
    /// The coroutine has ended, or never begins.
    Ended,
    /// The coroutine had not ended when the wait began. This is its scope.
    Ending(Rc<Scope>),
    Done,
}

impl<T> Close<T> {
    pub(super) fn new(reader: Rc<Reader<T>>) -> Close<T> {
        Close { reader, stage: Stage::Init }
    }
}

impl<T> fmt::Debug for Close<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Close").field("stream", self.reader.task.raw()).finish()
    }
}

wait_is_its_state!(Close<T> => ());

#[allow(private_interfaces)]
impl<T: 'static> WaitState for Close<T> {
    type Output = ();

    const RAISES_LATE: bool = true;

    fn begin(&mut self, task: &TaskRef) {
        self.stage = Stage::Ended;
        self.reader.handover.close();
        let Some(scope) = self.reader.scope() else { return };
        // A task of another loop cannot wait for the scope. For such a task, closing the stream is the same as dropping it.
        if task.scope().is_some_and(|own| Rc::ptr_eq(own.scheduler(), scope.scheduler())) {
            scope.set_owner(Waiter::new(task));
            self.stage = Stage::Ending(scope);
        }
        self.reader.cancel();
    }

    fn is_ready(&self) -> bool {
        match &self.stage {
            Stage::Init => false,
            Stage::Ending(scope) => scope.is_over(),
            Stage::Ended | Stage::Done => true,
        }
    }

    /// Outside of the domain of the coroutine, an error of its cleanup is raised here.
    fn failure(&self) -> Option<Error> {
        match &self.stage {
            Stage::Ending(scope) if scope.is_over() => self.reader.error(),
            _ => None,
        }
    }

    fn take(&mut self) -> Result<()> {
        let failure = self.failure();
        if !self.is_ready() || matches!(self.stage, Stage::Done) {
            return Err(polled_after_completion());
        }
        self.stage = Stage::Done;
        failure.map_or(Ok(()), Err)
    }
}

impl<T> Drop for Close<T> {
    fn drop(&mut self) {
        if let Stage::Ending(scope) = &self.stage {
            scope.disown();
        }
    }
}
