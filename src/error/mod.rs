//! What goes wrong: the error that a coroutine raises, the cancellation that the others see, and what `run` returns.

use std::error::{Error as StdError, Request, request_ref};
use std::panic::Location;
use std::sync::{Arc, OnceLock};
use std::{fmt, io};

use crate::trace::Frame;

/// What may fail in a coroutine, with tinyield's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// An error raised in a coroutine: any error, with the place where it was raised and the coroutines that waited on it.
///
/// Made by `?` in a coroutine's body from whatever converts into `Box<dyn Error + Send + Sync>`, or by hand with
/// [`Error::msg`] or `From`. As `anyhow::Error`, it does not implement [`std::error::Error`] itself, but converts into a
/// `Box<dyn Error + Send + Sync>`. A clone costs one atomic increment and is the same error.
///
/// `{}` prints the message; `{:?}` the message, its causes, and the [trace](Error::trace).
///
/// ```
/// use tinyield::Error;
///
/// let error = Error::from("x".parse::<i32>().unwrap_err());
/// assert_eq!(error.to_string(), "invalid digit found in string");
/// assert!(error.downcast_ref::<std::num::ParseIntError>().is_some());
/// ```
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    what: What,
    location: &'static Location<'static>,
    trace: OnceLock<Vec<Frame>>,
}

enum What {
    Raised(Box<dyn StdError + Send + Sync>),
    Cancelled(Cancelled),
    /// An error that already has the trace of an earlier failure, raised again.
    Reraised(Error),
}

impl Error {
    /// An error that is only a message.
    ///
    /// ```
    /// let error = tinyield::Error::msg(format!("no such key: {}", "colour"));
    /// assert_eq!(error.to_string(), "no such key: colour");
    /// assert_eq!(error.location().file(), file!());
    /// ```
    #[track_caller]
    pub fn msg(message: impl fmt::Display) -> Error {
        Error::at(message.to_string().into(), Location::caller())
    }

    pub(crate) fn at(error: Box<dyn StdError + Send + Sync>, location: &'static Location<'static>) -> Error {
        match error.downcast::<Boxed>() {
            Ok(boxed) => boxed.0,
            Err(error) => match error.downcast::<Cancelled>() {
                Ok(cancelled) => Error::cancelled(*cancelled, location),
                Err(error) => Error::new(What::Raised(error), location),
            },
        }
    }

    pub(crate) fn cancelled(cancelled: Cancelled, location: &'static Location<'static>) -> Error {
        Error::new(What::Cancelled(cancelled), location)
    }

    fn new(what: What, location: &'static Location<'static>) -> Error {
        Error(Arc::new(Inner { what, location, trace: OnceLock::new() }))
    }

    /// What was raised at first.
    fn original(&self) -> Error {
        match &self.0.what {
            What::Reraised(error) => error.clone(),
            _ => self.clone(),
        }
    }

    fn source(&self) -> &(dyn StdError + Send + Sync + 'static) {
        match &self.0.what {
            What::Raised(error) => &**error,
            What::Cancelled(cancelled) => cancelled,
            What::Reraised(error) => error.source(),
        }
    }

    /// Whether it was raised before, by another coroutine.
    pub(crate) fn is_raised_again(&self) -> bool {
        matches!(self.0.what, What::Reraised(_))
    }

    /// Whether both were the same when they were raised first.
    pub(crate) fn is_same_as(&self, other: &Error) -> bool {
        std::ptr::eq(self.first(), other.first())
    }

    fn first(&self) -> *const Inner {
        let mut error = self;
        while let What::Reraised(before) = &error.0.what {
            error = before;
        }
        Arc::as_ptr(&error.0)
    }

    /// The error that was raised, if it is an `E`.
    #[must_use]
    pub fn downcast_ref<E: StdError + 'static>(&self) -> Option<&E> {
        self.source().downcast_ref()
    }

    /// Whether this is a [`Cancelled`]: the coroutine did not fail, it was stopped.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.as_cancelled().is_some()
    }

    /// Whether it is a cancellation, or came of one: an error of the user's own that wraps it.
    pub(crate) fn comes_of_cancellation(&self) -> bool {
        let mut cause: Option<&dyn StdError> = Some(self.source());
        while let Some(error) = cause {
            if request_ref::<Cancelled>(error).is_some() {
                return true;
            }
            // An `io::Error` has the source of what it is made of, not that itself.
            let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            cause = inner.map_or_else(|| error.source(), |inner| Some(inner));
        }
        false
    }

    /// The cancellation, if this is one.
    #[must_use]
    pub fn as_cancelled(&self) -> Option<&Cancelled> {
        self.downcast_ref()
    }

    /// The file and line where it was raised: of the `?`, of the `yield` that was cancelled, or of [`Error::msg`].
    #[must_use]
    pub fn location(&self) -> &'static Location<'static> {
        self.0.location
    }

    /// The coroutines that waited on this error, outermost first, for as long as exactly one waited on each; the last
    /// is the one that raised it. Empty before the error has left its coroutine.
    ///
    /// An error that came out of another loop, or out of [`isolate`](crate::isolate), and was raised again has the frames
    /// of both, the outer ones first.
    #[must_use]
    pub fn trace(&self) -> &[Frame] {
        self.0.trace.get().map_or(&[], Vec::as_slice)
    }

    /// This error, with the coroutines that waited on it; those that an earlier failure left on it come after.
    pub(crate) fn traced(self, mut frames: Vec<Frame>) -> Error {
        let inner = match self.downcast_ref::<LoopError>() {
            Some(inner) => inner.error().trace(),
            None => self.trace(),
        };
        frames.extend_from_slice(inner);
        let error = match self.0.trace.get() {
            None => self,
            Some(_) => Error::new(What::Reraised(self.original()), self.0.location),
        };
        error.0.trace.get_or_init(|| frames);
        error
    }

    fn write_report(&self, f: &mut fmt::Formatter<'_>, indent: &str) -> fmt::Result {
        write!(f, "{self}")?;
        let mut cause = self.source().source();
        while let Some(error) = cause {
            write!(f, "\n{indent}  caused by: {error}")?;
            cause = error.source();
        }
        let location = self.location();
        if self.trace().is_empty() {
            write!(f, "\n{indent}  raised at {}:{}", location.file(), location.line())?;
        } else {
            write!(f, "\n{indent}  coroutines, outermost first:")?;
            for frame in self.trace() {
                write!(f, "\n{indent}    {frame}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.source(), f)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_report(f, "")
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for Error {
    #[track_caller]
    fn from(error: E) -> Error {
        Error::at(Box::new(error), Location::caller())
    }
}

/// Carries an [`Error`] through a `Box<dyn Error>`, and is taken out again by `?`.
struct Boxed(Error);

impl fmt::Display for Boxed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Boxed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl StdError for Boxed {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source().source()
    }

    fn provide<'a>(&'a self, request: &mut Request<'a>) {
        self.0.source().provide(request);
    }
}

impl From<Error> for Box<dyn StdError + Send + Sync> {
    fn from(error: Error) -> Self {
        Box::new(Boxed(error))
    }
}

impl From<Error> for Box<dyn StdError + Send> {
    fn from(error: Error) -> Self {
        Box::new(Boxed(error))
    }
}

impl From<Error> for Box<dyn StdError> {
    fn from(error: Error) -> Self {
        Box::new(Boxed(error))
    }
}

/// What a coroutine sees, raised at the `yield` where it waits, when it is to stop.
///
/// It passes through `?` as any error does. A coroutine that wants to know of it looks at
/// [`Error::as_cancelled`] of what [`catch`](crate::catch) gives, cleans up, and raises it again,
/// or an error that has it as a [source](std::error::Error::source), or is an `anyhow::Error`, an [`io::Error`] or a [`LoopError`]
/// made of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Cancelled(Arc<Reason>);

impl Cancelled {
    pub(crate) fn new(reason: Reason) -> Cancelled {
        Cancelled(Arc::new(reason))
    }

    /// Why it was cancelled.
    #[must_use]
    pub fn reason(&self) -> Reason {
        (*self.0).clone()
    }

    pub(crate) fn why(&self) -> &Reason {
        &self.0
    }

    /// Whether a coroutine that it cancels may answer it with a value: a timeout gives that, a race ignores it.
    pub(crate) fn may_complete(&self) -> bool {
        matches!(self.why(), Reason::TimedOut | Reason::Raced)
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
            Reason::Stopped => f.write_str("the loop was told to stop"),
            Reason::Dropped => f.write_str("what ran it was dropped before it had ended"),
        }
    }
}

impl fmt::Debug for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cancelled").field(self.why()).finish()
    }
}

impl StdError for Cancelled {
    // So it is seen in what neither is it nor has it as its source: an `anyhow::Error`.
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
        /// Where it raised its error; for a panic, where it last waited.
        location: &'static Location<'static>,
    },
    /// The [`timeout`](crate::timeout) around it ran out.
    TimedOut,
    /// Another coroutine won the [`race`](crate::race).
    Raced,
    /// [`StopHandle::stop`](crate::StopHandle::stop) was called.
    Stopped,
    /// The [`Runtime`](crate::Runtime), or the future, that ran it was dropped.
    Dropped,
}

/// Which of the errors that come up while a loop stops are kept in [`LoopError::others`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Grouping {
    /// Real errors, and answers to cancellation that are none: a value, or swallowing it for ever.
    #[default]
    Auto,
    /// None.
    Never,
    /// Those of `Auto`, and the [`Cancelled`] of every coroutine that was stopped.
    Always,
}

/// Why a loop, or an [`isolate`](crate::isolate), stopped: the error that was raised first, and those that came up while
/// everything else was being cancelled.
///
/// `{}` prints the message of the error; `{:?}` also its causes, its trace, and the others.
#[derive(Clone)]
pub struct LoopError {
    error: Error,
    others: Arc<[Error]>,
}

impl LoopError {
    pub(crate) fn new(error: Error, others: Vec<Error>) -> LoopError {
        LoopError { error, others: others.into() }
    }

    /// The error that stopped it.
    #[must_use]
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// What came up while it stopped, in the order in which it did; [`Grouping`] says what is kept.
    #[must_use]
    pub fn others(&self) -> &[Error] {
        &self.others
    }

    /// Whether it was told to stop, by a [`StopHandle`](crate::StopHandle).
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.error.as_cancelled().is_some_and(|cancelled| *cancelled.why() == Reason::Stopped)
    }
}

impl fmt::Display for LoopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl fmt::Debug for LoopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.write_report(f, "")?;
        for (index, other) in self.others.iter().enumerate() {
            write!(f, "\nwhile stopping, {} of {}: ", index + 1, self.others.len())?;
            other.write_report(f, "")?;
        }
        Ok(())
    }
}

impl StdError for LoopError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.error.source().source()
    }

    fn provide<'a>(&'a self, request: &mut Request<'a>) {
        self.error.source().provide(request);
    }
}

/// What stops a loop in which every coroutine waits for something that can no longer happen.
///
/// Its message names each of them, where it waits and on what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deadlock {
    stuck: Vec<Stuck>,
    cycle: Vec<String>,
}

impl Deadlock {
    pub(crate) fn new(stuck: Vec<Stuck>, cycle: Vec<String>) -> Deadlock {
        Deadlock { stuck, cycle }
    }

    /// The coroutines that wait, in the order in which they were started.
    #[must_use]
    pub fn stuck(&self) -> &[Stuck] {
        &self.stuck
    }

    /// The names of coroutines that wait on each other, in a circle; empty if there is none.
    #[must_use]
    pub fn cycle(&self) -> &[String] {
        &self.cycle
    }
}

impl fmt::Display for Deadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.cycle.is_empty() {
            write!(f, "deadlock, a cycle of coroutines that wait on each other: ")?;
            for name in &self.cycle {
                write!(f, "`{name}` -> ")?;
            }
            write!(f, "`{}`", self.cycle[0])?;
        } else {
            f.write_str("deadlock: nothing is ready, no timer runs, and nothing outside can wake the loop")?;
        }
        for stuck in &self.stuck {
            write!(f, "\n  {stuck}")?;
        }
        Ok(())
    }
}

impl StdError for Deadlock {}

/// One coroutine of a [`Deadlock`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    frame: Frame,
    waits_on: String,
}

impl Stuck {
    pub(crate) fn new(frame: Frame, waits_on: String) -> Stuck {
        Stuck { frame, waits_on }
    }

    /// The coroutine, and the line at which it waits.
    #[must_use]
    pub fn frame(&self) -> &Frame {
        &self.frame
    }

    /// What it waits on, in words: "an event", "`worker`".
    #[must_use]
    pub fn waits_on(&self) -> &str {
        &self.waits_on
    }
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let location = self.frame.location();
        write!(f, "`{}` waits at {}:{} on {}", self.frame.name(), location.file(), location.line(), self.waits_on)
    }
}
