//! A failure domain of its own.

use std::fmt;
use std::rc::Rc;

use crate::coro::start_in;
use crate::error::{Cancelled, Grouping, LoopError, Reason, Result};
use crate::scheduler::{Scope, ScopeKind, Task, TaskRef};
use crate::wait::private::{AnyTask, Sealed};
use crate::wait::{Wait, WaitState, polled_after_completion};

/// Waits for `wait`, as a failure domain of its own: an error in it, or in anything started inside, cancels only what was
/// started inside, and the `yield` gives it as a value when all of that has ended.
///
/// Also when nothing fails it waits for all that was started inside. A panic is not an error: it stops the whole loop.
///
/// A [`Shared`](crate::Shared) coroutine belongs to the domain that first waited for it, and may be waited for from any
/// other. One that waits for it from outside when its domain fails gets the error raised. What was started before, and is
/// waited for in here by its handle, stays in the domain where it was started.
///
/// ```
/// # #![feature(coroutines)]
/// use tinyield::{Loop, co, isolate};
///
/// let main = co! {
///     let result = yield isolate(co! { "x".parse::<i32>()? });
///     result.map_err(|error| error.to_string())
/// };
/// assert_eq!(Loop::new().run(main).unwrap(), Err("invalid digit found in string".to_string()));
/// ```
///
/// # Cancellation
///
/// What was started inside is cancelled with it, first.
#[track_caller]
pub fn isolate<W: Wait>(wait: W) -> Isolate<W::Output> {
    let AnyTask(task) = wait.into_task();
    Isolate { task, grouping: Grouping::default() }
}

/// What [`isolate`] gives: a [`Wait`] for a `Result<T, LoopError>`.
#[must_use = "nothing is started before this is yielded"]
pub struct Isolate<T: 'static> {
    task: Task<T>,
    grouping: Grouping,
}

impl<T> Isolate<T> {
    /// Which of the errors that come up while it stops are kept.
    pub fn grouping(mut self, grouping: Grouping) -> Isolate<T> {
        self.grouping = grouping;
        self
    }
}

impl<T> fmt::Debug for Isolate<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Isolate").field("task", self.task.raw()).field("grouping", &self.grouping).finish()
    }
}

impl<T> Sealed for Isolate<T> {}

impl<T: 'static> Wait for Isolate<T> {
    type Output = std::result::Result<T, LoopError>;
    type State = Isolating<T>;

    fn into_state(self) -> Isolating<T> {
        Isolating { work: self, scope: None }
    }
}

#[doc(hidden)]
#[allow(missing_debug_implementations)]
pub struct Isolating<T: 'static> {
    work: Isolate<T>,
    scope: Option<Rc<Scope>>,
}

impl<T> Sealed for Isolating<T> {}

#[allow(private_interfaces)]
impl<T: 'static> WaitState for Isolating<T> {
    type Output = std::result::Result<T, LoopError>;

    fn begin(&mut self, task: &TaskRef) {
        if let Some(scope) = Scope::below(task, ScopeKind::Domain(self.work.grouping)) {
            start_in(&self.work.task, &scope);
            self.scope = Some(scope);
        }
    }

    fn is_ready(&self) -> bool {
        self.scope.as_ref().is_some_and(|scope| scope.is_ended())
    }

    fn take(&mut self) -> Result<Self::Output> {
        let Some(scope) = self.scope.take_if(|scope| scope.is_ended()) else { return Err(polled_after_completion()) };
        match scope.failure() {
            Some(error) => Ok(Err(LoopError::new(error, scope.take_others()))),
            None => self.work.task.take_output().unwrap_or_else(|| Err(polled_after_completion())).map(Ok),
        }
    }
}

impl<T> Drop for Isolating<T> {
    fn drop(&mut self) {
        if let Some(scope) = &self.scope
            && scope.disown()
        {
            scope.scheduler().cancel(scope, &Cancelled::new(Reason::Dropped));
        }
    }
}
