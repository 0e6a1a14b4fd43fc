//! Cancellation: the error that is raised in a coroutine that has to stop, and the reason.

use std::error::{Error as StdError, Request};
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// The error that is raised in a coroutine that has to stop. It is raised at the `yield` at which the coroutine waits.
///
/// `?` passes it on like any other error. A coroutine can see this error with [`catch`](crate::catch) and
/// [`Error::as_cancelled`](crate::Error::as_cancelled), and clean up. After that, the coroutine has to raise the same error
/// again. It may also raise an error that has this error as a [source](std::error::Error::source), or an `anyhow::Error`,
/// [`io::Error`](std::io::Error) or [`LoopError`](crate::LoopError) that contains it. If it raises another error or returns a value
/// while the loop stops, this error or value is reported among the [`others`](crate::LoopError::others). After a timeout, an
/// abort or a lost race, a value is not reported, and another error stops the loop.
///
/// ```
/// use tinyield::{Event, Loop, Reason, catch, co};
///
/// let never = Event::new();
/// let worker = co! {
///     let error = (yield catch(never.wait())).unwrap_err();
///     let cancelled = error.as_cancelled().expect("nothing sets the event");
///     assert!(matches!(cancelled.reason(), Reason::Failed { .. }));
///     println!("cleaning up, as {cancelled}");
///     Err(error)?;
/// };
/// let error = Loop::new().run((worker, co! { yield; Err("disk full")?; })).unwrap_err();
/// assert_eq!(error.to_string(), "disk full");
/// assert!(error.others().is_empty());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Cancelled(Arc<Reason>);

impl Cancelled {
    pub(crate) fn new(reason: Reason) -> Cancelled {
        Cancelled(Arc::new(reason))
    }

    pub(crate) fn into_shared(self) -> Arc<Reason> {
        self.0
    }

    pub(crate) fn from_shared(reason: Arc<Reason>) -> Cancelled {
        Cancelled(reason)
    }

    /// Why the coroutine was cancelled.
    #[must_use]
    pub fn reason(&self) -> Reason {
        (*self.0).clone()
    }

    pub(crate) fn why(&self) -> &Reason {
        &self.0
    }

    /// Whether a coroutine may end with a value after this cancellation. A timeout and an abortable return the value. A race
    /// ignores it.
    pub(crate) fn may_complete(&self) -> bool {
        matches!(self.why(), Reason::TimedOut | Reason::Raced | Reason::Aborted)
    }
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cancelled: ")?;
        match self.why() {
            Reason::Failed { name, location } => {
                write!(f, "`{name}` failed at {}:{}", location.file(), location.line())
            }
            Reason::TimedOut => f.write_str("timed out"),
            Reason::Raced => f.write_str("another coroutine won the race"),
            Reason::Aborted => f.write_str("aborted"),
            Reason::Stopped => f.write_str("the loop was told to stop"),
            Reason::Dropped => f.write_str("dropped, because nothing waits for it any more"),
        }
    }
}

impl fmt::Debug for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cancelled").field(self.why()).finish()
    }
}

impl StdError for Cancelled {
    // An `anyhow::Error` that was made from a `Cancelled` does not have the `Cancelled` as its source, but it passes requests
    // on to the `Cancelled`. So the `Cancelled` is found by a request.
    fn provide<'a>(&'a self, request: &mut Request<'a>) {
        request.provide_ref(self);
    }
}

/// Why a coroutine was [cancelled](Cancelled).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Another coroutine of its loop, or of its [`isolate`](crate::isolate), failed or panicked.
    Failed {
        /// The name of the coroutine that failed.
        name: String,
        /// Where it raised its error. For a panic: where it last waited.
        location: &'static Location<'static>,
    },
    /// The time of the [`timeout`](crate::timeout) around it was up.
    TimedOut,
    /// Another coroutine won the [`race`](crate::race).
    Raced,
    /// [`AbortHandle::abort`](crate::AbortHandle::abort) was called.
    Aborted,
    /// [`StopHandle::stop`](crate::StopHandle::stop) was called.
    Stopped,
    /// The [`Runtime`](crate::Runtime) or the future that ran the coroutine was dropped, or nothing waits for the coroutine any
    /// more.
    Dropped,
}
