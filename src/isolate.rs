//! Failure domains: parts of a run. An error in a domain stops only this domain. Outside of the domain, the error is a value.

use std::fmt;

use crate::error::{Grouping, LoopError, Result};
use crate::scheduler::{ScopeKind, TaskRef};
use crate::waiting::scoped::Scoped;
use crate::waiting::state::WaitState;
use crate::waiting::yieldable::{Wait, wait_is_its_state};

/// Waits for `wait` in a failure domain of its own. Returns `Ok` with the output, or `Err` with the error that stopped the domain.
///
/// An error in `wait`, or in anything that was started inside, cancels only what was started inside. The `yield` returns when all
/// of that has ended. Even if nothing fails, it waits for all background coroutines inside. A panic is not an error: it stops the
/// whole loop, unless [`catch_unwind`](Isolate::catch_unwind) turns it into an error.
///
/// If the `isolate` itself is given up, for example by a timeout around it, errors from inside still do not leave it. This includes
/// errors of cleaning up.
///
/// A [`Shared`](crate::Shared) belongs to the domain that waited for it first. Other domains may wait for it as well. If the domain
/// of the [`Shared`](crate::Shared) fails, the other domains get the error of that domain. A coroutine that was started outside
/// stays outside, even if its handle is yielded inside.
///
/// ```
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
/// All that was started inside is cancelled first, and then the coroutine that waits.
#[track_caller]
pub fn isolate<W: Wait>(wait: W) -> Isolate<W::Output> {
    Isolate { work: Scoped::new(wait), grouping: Grouping::default(), contains_panics: false }
}

/// The [`Wait`](crate::Wait) that [`isolate`](crate::isolate) returns.
#[must_use = "nothing starts before this is yielded"]
pub struct Isolate<T: 'static> {
    work: Scoped<T>,
    grouping: Grouping,
    contains_panics: bool,
}

impl<T> Isolate<T> {
    /// Turns a panic inside into an error as well. When all that was started inside has been cancelled and has ended, the `yield`
    /// returns a [`Panic`](crate::Panic) with the message of the panic.
    ///
    /// At that time, the panic hook has already printed the message. If another panic occurs while the domain is stopping, it is
    /// among the [`others`](LoopError::others). Data that the coroutine shares with others may be in an inconsistent state, as
    /// always after [`std::panic::catch_unwind`]. This method has no effect if the program is built to abort when it panics.
    ///
    /// ```
    /// use tinyield::{Coro, Loop, Panic, co, coro, isolate};
    ///
    /// #[coro]
    /// fn handle(request: u32) -> Coro<u32> {
    ///     yield;
    ///     100 / request
    /// }
    ///
    /// let server = co! {
    ///     let mut answers = Vec::new();
    ///     for request in [50, 0, 25] {
    ///         match yield isolate(handle(request)).catch_unwind() {
    ///             Ok(answer) => answers.push(answer.to_string()),
    ///             Err(error) => {
    ///                 let panic = error.downcast_ref::<Panic>().expect("it raises no error");
    ///                 answers.push(panic.message().to_string());
    ///             }
    ///         }
    ///     }
    ///     answers
    /// };
    /// assert_eq!(Loop::new().run(server).unwrap(), ["2", "attempt to divide by zero", "4"]);
    /// ```
    pub fn catch_unwind(mut self) -> Isolate<T> {
        self.contains_panics = true;
        self
    }

    /// Several errors may come up while the domain stops. This sets which of them are kept: see [`LoopError::others`].
    ///
    /// ```
    /// use tinyield::{Grouping, Loop, catch, co, isolate};
    ///
    /// let main = co! {
    ///     let impolite = co! { let _cancelled = yield catch(()); Err("second")?; };
    ///     let domain = isolate(co! { yield (impolite, co! { Err("first")?; }); }).grouping(Grouping::Never);
    ///     (yield domain).unwrap_err()
    /// };
    /// let error = Loop::new().run(main).unwrap();
    /// assert_eq!(error.to_string(), "first");
    /// assert!(error.others().is_empty());
    /// ```
    pub fn grouping(mut self, grouping: Grouping) -> Isolate<T> {
        self.grouping = grouping;
        self
    }
}

impl<T> fmt::Debug for Isolate<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Isolate").field("task", self.work.task()).field("grouping", &self.grouping).finish()
    }
}

wait_is_its_state!(Isolate<T> => std::result::Result<T, LoopError>);

#[allow(private_interfaces)]
impl<T: 'static> WaitState for Isolate<T> {
    type Output = std::result::Result<T, LoopError>;

    fn begin(&mut self, task: &TaskRef) {
        let kind = if self.contains_panics { ScopeKind::Contained } else { ScopeKind::Domain };
        self.work.begin(task, kind(self.grouping));
    }

    fn carries_value(&self) -> bool {
        true
    }

    fn is_ready(&self) -> bool {
        self.work.is_ended()
    }

    fn has_value(&self) -> bool {
        let has_failed = self.work.scope().is_some_and(|scope| scope.failure().is_some());
        self.work.is_ended() && (self.work.has_output() || has_failed)
    }

    fn take(&mut self) -> Result<Self::Output> {
        let scope = self.work.take_ended()?;
        match scope.failure() {
            Some(error) => Ok(Err(LoopError::new(error, scope.take_others()))),
            None => self.work.take_output().map(Ok),
        }
    }
}
