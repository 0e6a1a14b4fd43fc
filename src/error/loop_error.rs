//! [`LoopError`], the error of a run: the error that was raised first, and the errors that came up while everything else was
//! cancelled.

use std::error::{Error as StdError, Request};
use std::fmt;
use std::sync::Arc;

use super::context::Link;
use super::{Error, Reason};

/// Which of the errors that come up while a loop stops are kept in [`LoopError::others`].
///
/// ```
/// use tinyield::{Grouping, Loop, co};
///
/// let main = || co! { yield (co! { yield; yield; }, co! { yield; Err("disk full")?; }); };
/// let others = |grouping| Loop::builder().grouping(grouping).build().run(main()).unwrap_err().others().len();
/// assert_eq!(others(Grouping::Auto), 0);
/// assert_eq!(others(Grouping::Always), 2); // the two that were cancelled
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Grouping {
    /// Errors other than cancellations, and wrong responses to a cancellation: a cancelled coroutine that returns a value, or
    /// that ignores its cancellation again and again.
    #[default]
    Auto,
    /// No errors.
    Never,
    /// The errors of `Auto`, and the [`Cancelled`](crate::Cancelled) of every coroutine that was stopped.
    Always,
}

/// Why a loop, or an [`isolate`](crate::isolate), stopped: the error that was raised first, and the errors that came up while
/// everything else was being cancelled.
///
/// `{}` prints the message of the first error. `{:?}` also prints its causes and its trace, and the other errors with their causes
/// and traces.
///
/// Its [sources](std::error::Error::source) print the same text as the sources of the error that was raised first. One more
/// source follows, which prints the coroutines that waited. So a report of `anyhow` or `eyre` shows the causes and the
/// coroutines. To get a source with its own type, use [`find`](LoopError::find).
///
/// ```
/// use tinyield::{Coro, Loop, coro};
///
/// #[coro]
/// fn read(path: &'static str) -> Coro<String> {
///     std::fs::read_to_string(path)?
/// }
///
/// let error = Loop::new().run((read("Cargo.toml"), read("/no/such/file"))).unwrap_err();
/// assert!(error.error().downcast_ref::<std::io::Error>().is_some());
/// assert_eq!(error.error().trace()[0].name(), "read");
/// assert!(error.others().is_empty());
/// ```
#[derive(Clone)]
pub struct LoopError {
    error: Error,
    rest: Arc<Rest>,
}

/// The parts of a `LoopError` that are rarely used. They have an allocation of their own, to keep a `LoopError` small: for each
/// `yield` of an `isolate`, the frame of the coroutine has room for a `LoopError`.
struct Rest {
    others: Vec<Error>,
    first_source: Link,
}

impl LoopError {
    pub(crate) fn new(error: Error, others: Vec<Error>) -> LoopError {
        let rest = Rest { others, first_source: Link::first(error.clone()) };
        LoopError { error, rest: Arc::new(rest) }
    }

    /// The error that was raised first.
    #[must_use]
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// The error that was raised first, if it is an `E`. See [`Error::downcast_ref`].
    #[must_use]
    pub fn downcast_ref<E: StdError + 'static>(&self) -> Option<&E> {
        self.error.downcast_ref()
    }

    /// The first `E` among the error that was raised first and its sources. See [`Error::find`].
    #[must_use]
    pub fn find<E: StdError + 'static>(&self) -> Option<&E> {
        self.error.find()
    }

    /// The errors that came up while everything else stopped, in the order in which they came up. [`Grouping`] says which of
    /// them are kept.
    #[must_use]
    pub fn others(&self) -> &[Error] {
        &self.rest.others
    }

    /// Whether a [`StopHandle`](crate::StopHandle) stopped the loop.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.error.as_cancelled().is_some_and(|cancelled| *cancelled.why() == Reason::Stopped)
    }
}

impl fmt::Display for LoopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.error.innermost(), f)
    }
}

impl fmt::Debug for LoopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.error, f)?;
        for (index, other) in self.rest.others.iter().enumerate() {
            write!(f, "\nwhile stopping, {} of {}: {other:?}", index + 1, self.rest.others.len())?;
        }
        Ok(())
    }
}

impl StdError for LoopError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.rest.first_source)
    }

    // A request returns the `Error`. So if another error contains this one, the trace of the other error can continue with the
    // trace of this one: see `Error::traced`.
    fn provide<'a>(&'a self, request: &mut Request<'a>) {
        request.provide_ref(&self.error).provide_ref(self);
        self.error.innermost().as_std().provide(request);
    }
}
