//! Answers to cancellation: holding it off, and looking at it.

use std::fmt;
use std::rc::Rc;

use crate::coro::start_in;
use crate::error::{Cancelled, Error, Reason, Result};
use crate::scheduler::{Scope, ScopeKind, Task, TaskRef};
use crate::wait::private::{AnyTask, Sealed};
use crate::wait::{Wait, WaitState, polled_after_completion};

/// Waits for `wait`, and cannot be cancelled meanwhile, nor can what it starts: for cleaning up, which may have to wait.
///
/// A coroutine that is cancelled while it waits here, or was before, gets the output as if it were not; its next `yield`
/// raises. What `wait` left running in the background is cancelled then.
///
/// ```
/// # #![feature(coroutines)]
/// use std::time::Duration;
/// use tinyield::{Loop, catch, co, shield, sleep, timeout};
///
/// let polite = co! {
///     if let Err(cancelled) = yield catch(sleep(Duration::from_secs(60))) {
///         yield shield(sleep(Duration::from_millis(1)));
///         println!("said goodbye");
///         Err(cancelled)?;
///     }
/// };
/// let main = co! { yield timeout(polite, Duration::from_millis(1)) };
/// assert!(Loop::new().run(main).unwrap().is_err());
/// ```
///
/// # Cancellation
///
/// None, until the wait is over.
#[track_caller]
pub fn shield<W: Wait>(wait: W) -> Shield<W::Output> {
    let AnyTask(task) = wait.into_task();
    Shield { task }
}

/// What [`shield`] gives: a [`Wait`].
#[must_use = "nothing is started before this is yielded"]
pub struct Shield<T: 'static> {
    task: Task<T>,
}

impl<T> fmt::Debug for Shield<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shield").field("task", self.task.raw()).finish()
    }
}

impl<T> Sealed for Shield<T> {}

impl<T: 'static> Wait for Shield<T> {
    type Output = T;
    type State = Shielding<T>;

    fn into_state(self) -> Shielding<T> {
        Shielding { task: self.task, scope: None }
    }
}

#[doc(hidden)]
#[allow(missing_debug_implementations)]
pub struct Shielding<T: 'static> {
    task: Task<T>,
    scope: Option<Rc<Scope>>,
}

impl<T> Sealed for Shielding<T> {}

#[allow(private_interfaces)]
impl<T: 'static> WaitState for Shielding<T> {
    type Output = T;

    const SHIELDED: bool = true;

    fn begin(&mut self, task: &TaskRef) {
        if let Some(scope) = Scope::below(task, ScopeKind::Shield) {
            start_in(&self.task, &scope);
            self.scope = Some(scope);
        }
    }

    fn is_ready(&self) -> bool {
        self.scope.as_ref().is_some_and(|scope| scope.is_ended())
    }

    fn failure(&self) -> Option<Error> {
        if self.is_ready() { self.task.raw().error() } else { None }
    }

    fn take(&mut self) -> Result<T> {
        self.scope.take_if(|scope| scope.is_ended()).ok_or_else(polled_after_completion)?;
        self.task.take_output().unwrap_or_else(|| Err(polled_after_completion()))
    }
}

impl<T> Drop for Shielding<T> {
    fn drop(&mut self) {
        let Some(scope) = &self.scope else { return };
        if let Some(owner) = scope.owner() {
            owner.leave_shield();
        }
        if scope.disown() {
            scope.scheduler().cancel(scope, &Cancelled::new(Reason::Dropped));
        }
    }
}

/// Waits for `wait`, and gives what it raises as a value: above all a cancellation, to be looked at and raised again.
///
/// An error in a coroutine that `wait` started is not caught: it stops the loop, or the [`isolate`](crate::isolate), around
/// it, and what this gives is the [`Cancelled`](crate::Cancelled) of the coroutine that waits.
///
/// ```
/// # #![feature(coroutines)]
/// use std::time::Duration;
/// use tinyield::{Loop, Reason, catch, co, sleep};
///
/// let main = co! {
///     let watchful = co! {
///         let error = (yield catch(sleep(Duration::from_secs(60)))).unwrap_err();
///         assert!(matches!(error.as_cancelled().unwrap().reason(), Reason::Failed { name, .. } if name == "faulty"));
///         Err(error)?;
///     };
///     yield (watchful, co! { yield; Err("oh no")?; }.named("faulty"));
/// };
/// assert_eq!(Loop::new().run(main).unwrap_err().to_string(), "oh no");
/// ```
///
/// # Cancellation
///
/// It is what this is for. A coroutine that catches it and goes on is told again at its next `yield`, and is dropped when
/// it has done so 100 times in a row.
pub fn catch<W: Wait>(wait: W) -> Catch<W> {
    Catch { wait }
}

/// What [`catch`] gives: a [`Wait`] for a `Result<_, Error>`.
#[must_use = "nothing is started before this is yielded"]
#[derive(Debug)]
pub struct Catch<W> {
    wait: W,
}

impl<W> Sealed for Catch<W> {}

impl<W: Wait> Wait for Catch<W> {
    type Output = std::result::Result<W::Output, Error>;
    type State = Catching<W::State>;

    fn into_state(self) -> Catching<W::State> {
        Catching(self.wait.into_state())
    }
}

#[doc(hidden)]
#[allow(missing_debug_implementations)]
pub struct Catching<X>(X);

impl<X> Sealed for Catching<X> {}

#[allow(private_interfaces)]
impl<X: WaitState> WaitState for Catching<X> {
    type Output = std::result::Result<X::Output, Error>;

    const SHIELDED: bool = X::SHIELDED;

    fn begin(&mut self, task: &TaskRef) {
        self.0.begin(task);
    }

    fn is_ready(&self) -> bool {
        self.0.is_ready() || self.0.has_failed()
    }

    fn has_failed(&self) -> bool {
        self.0.has_failed()
    }

    fn take(&mut self) -> Result<Self::Output> {
        Ok(match self.0.failure() {
            Some(error) => Err(error),
            None => self.0.take(),
        })
    }

    fn raised(&mut self, error: Error) -> Result<Self::Output> {
        Ok(Err(error))
    }
}
