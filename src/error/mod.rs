//! The errors of the library. [`Error`] is the type that a coroutine raises. The modules in this folder have the other types.
//!
//! An error is shared, and does not change after its trace was set. The trace is set once. If another coroutine raises the same
//! error again, a new error is made, which refers to the first one.

mod boxed;
mod cancelled;
mod chain;
mod context;
mod deadlock;
mod dropped;
mod livelock;
mod loop_error;
mod panicked;
mod raise;

use std::error::Error as StdError;
use std::panic::Location;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::{fmt, iter};

use boxed::Boxed;
pub use cancelled::{Cancelled, Reason};
pub(crate) use chain::provides_itself;
use chain::{Contents, as_type, find};
use context::{Link, WithContext};
pub(crate) use deadlock::NoDeadline;
pub use deadlock::{Deadlock, Stuck};
pub(crate) use livelock::Livelock;
pub use loop_error::{Grouping, LoopError};
pub use panicked::Panic;
pub use raise::Raise;

use crate::iterations;
use crate::trace::Frame;

/// A `Result` whose error is an [`Error`], unless another type is given. So after `use tinyield::*`, `Result<T, E>` is still
/// the `Result` of the standard library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error that was raised in a coroutine. It contains an error of any type, the line at which it was raised, and the
/// coroutines that waited on it.
///
/// In a coroutine, `?` makes an `Error` from each type that it can [raise](crate::by_hand::Raise). Elsewhere, use [`Error::msg`] or
/// `From`. Like `anyhow::Error`, `Error` does not implement [`std::error::Error`] itself, but converts into a
/// `Box<dyn Error + Send + Sync>`. A clone costs one atomic increment and is the same error.
///
/// `{}` prints the message. `{:?}` prints the message, the causes, and the [trace](Error::trace). If the trace does not show
/// the line at which the error was raised, `{:?}` prints this line, too.
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
    origin: Origin,
    location: &'static Location<'static>,
    trace: OnceLock<Trace>,
}

/// The coroutines that waited on an error, outermost first.
struct Trace {
    frames: Vec<Frame>,
    /// The earlier failure that caused this error. Its frames come after `frames`. They are copied only on request: an error
    /// may be raised again in each of many nested domains, and each copy would be longer than the last one.
    earlier: Option<Error>,
    all: OnceLock<Vec<Frame>>,
}

impl Trace {
    fn new(frames: Vec<Frame>, earlier: Option<Error>) -> Trace {
        Trace { frames, earlier, all: OnceLock::new() }
    }

    fn all(&self) -> &[Frame] {
        if self.earlier.is_none() {
            return &self.frames;
        }
        self.all.get_or_init(|| {
            let mut all = Vec::new();
            all.extend(self.frames.iter().inspect(|_| iterations::count()).cloned());
            for error in iter::successors(self.earlier.as_ref(), |error| error.earlier()) {
                let frames = error.0.trace.get().map_or(&[][..], |trace| &trace.frames);
                all.extend(frames.iter().inspect(|_| iterations::count()).cloned());
            }
            all
        })
    }
}

enum Origin {
    Raised(Raised),
    Cancelled(Cancelled),
    /// An error that another coroutine has raised again. The field is the first error, which has a trace of its own.
    RaisedAgain(Error),
}

/// An error of the user, and what was found in its chain of sources. Reading the sources runs user code. So they are read when
/// the error is made, inside of a coroutine, and the scheduler does not read them.
struct Raised {
    error: Box<dyn StdError + Send + Sync>,
    contains_cancellation: bool,
    /// The error of a [`LoopError`] that it contains.
    contained: Option<Error>,
    /// The last error in the chain of contained errors: the one that was raised first of all.
    deepest: Option<Error>,
    /// If it is a [`LoopError`], even in an `anyhow::Error`: the first error inside of it that is not a [`LoopError`].
    innermost: Option<Error>,
}

impl Raised {
    fn new(error: Box<dyn StdError + Send + Sync>) -> Raised {
        let Contents { error: contained, cancellation: contains_cancellation } = Contents::of(&*error);
        let deepest = contained.as_ref().map(|inner| inner.deepest().clone());
        let innermost = contained
            .as_ref()
            .filter(|_| as_type::<LoopError>(&*error).is_some())
            .map(|inner| inner.innermost().clone());
        Raised { error, contains_cancellation, contained, deepest, innermost }
    }
}

impl Error {
    /// An error that consists of a message.
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

    /// This is inline, so that no box is made for an `Error` that is raised again.
    #[inline]
    pub(crate) fn at(error: Box<dyn StdError + Send + Sync>, location: &'static Location<'static>) -> Error {
        match error.downcast::<Boxed>() {
            Ok(boxed) => boxed.0,
            Err(error) => Error::at_first(error, location),
        }
    }

    /// As [`at`](Error::at), for an error that is not an `Error` yet.
    #[inline(never)]
    fn at_first(error: Box<dyn StdError + Send + Sync>, location: &'static Location<'static>) -> Error {
        match error.downcast::<Cancelled>() {
            Ok(cancelled) => Error::cancelled(*cancelled, location),
            Err(error) => Error::new(Origin::Raised(Raised::new(error)), location),
        }
    }

    pub(crate) fn cancelled(cancelled: Cancelled, location: &'static Location<'static>) -> Error {
        Error::new(Origin::Cancelled(cancelled), location)
    }

    fn new(origin: Origin, location: &'static Location<'static>) -> Error {
        Error(Arc::new(Inner { origin, location, trace: OnceLock::new() }))
    }

    /// The error that was raised first. This one may be the same error, raised again.
    fn original(&self) -> &Error {
        match &self.0.origin {
            Origin::RaisedAgain(original) => original,
            _ => self,
        }
    }

    /// If this error is a [`LoopError`]: the first error inside of it that is not a [`LoopError`]. Otherwise this error.
    fn innermost(&self) -> &Error {
        match &self.original().0.origin {
            Origin::Raised(Raised { innermost: Some(innermost), .. }) => innermost,
            _ => self,
        }
    }

    /// The error that was raised first of all, if this error contains other errors. Otherwise this error.
    fn deepest(&self) -> &Error {
        match &self.original().0.origin {
            Origin::Raised(Raised { deepest: Some(deepest), .. }) => deepest,
            _ => self,
        }
    }

    /// The earlier failure that caused this error. The trace of this error ends with the frames of the earlier failure.
    fn earlier(&self) -> Option<&Error> {
        match (self.0.trace.get(), &self.0.origin) {
            (Some(trace), _) => trace.earlier.as_ref(),
            (None, Origin::Raised(raised)) => raised.contained.as_ref(),
            (None, _) => None,
        }
    }

    /// Whether the trace of this error ends with the frames of `other`.
    fn was_caused_by(&self, other: &Error) -> bool {
        iter::successors(self.earlier(), |error| error.earlier()).any(|error| Arc::ptr_eq(&error.0, &other.0))
    }

    fn as_std(&self) -> &(dyn StdError + Send + Sync + 'static) {
        match &self.0.origin {
            Origin::Raised(raised) => &*raised.error,
            Origin::Cancelled(cancelled) => cancelled,
            Origin::RaisedAgain(original) => original.as_std(),
        }
    }

    /// Whether both are the same error. One of them may be the other one, raised again.
    pub(crate) fn is_same_as(&self, other: &Error) -> bool {
        Arc::ptr_eq(&self.original().0, &other.original().0)
    }

    /// A number for this error. While this error exists, only errors that are the [same](Error::is_same_as) have the same number.
    pub(crate) fn identity(&self) -> usize {
        Arc::as_ptr(&self.original().0).addr()
    }

    /// The error that was raised, if it is an `E`. If it is a [context](crate::Coro::context), this checks the error below the
    /// context as well. This does not check other sources: see [`find`](Error::find).
    ///
    /// An `anyhow::Error` hides the type of the error in it. So if an `anyhow::Error` was raised, only the error types of this crate
    /// are found in it, except those that contain a message, such as [`SendError`](crate::channel::SendError). To get an error of
    /// another type, raise the error itself, and not an `anyhow::Error`. Or add a context to the `anyhow::Error` with its method
    /// `context`, and use `find`.
    #[must_use]
    pub fn downcast_ref<E: StdError + 'static>(&self) -> Option<&E> {
        let mut error: &(dyn StdError + 'static) = self.as_std();
        loop {
            if let Some(found) = as_type(error) {
                return Some(found);
            }
            error = error.downcast_ref::<WithContext>()?.error().as_std();
        }
    }

    /// The first `E` in the chain of the error that was raised and its sources. The errors in a [`LoopError`] and in an
    /// [`io::Error`](std::io::Error) belong to the chain.
    ///
    /// An `anyhow::Error` without a context hides the type of the error in it, but not the types of the sources. See
    /// [`downcast_ref`](Error::downcast_ref) for what is found in it, and what to do.
    ///
    /// ```
    /// use std::num::ParseIntError;
    /// use tinyield::Error;
    ///
    /// let number = "x".parse::<i32>().unwrap_err();
    /// let error = Error::from(std::io::Error::other(number));
    /// assert!(error.downcast_ref::<ParseIntError>().is_none());
    /// assert!(error.find::<ParseIntError>().is_some());
    /// ```
    #[must_use]
    pub fn find<E: StdError + 'static>(&self) -> Option<&E> {
        find(self.as_std())
    }

    /// An error with the text `message`, whose cause is this error.
    pub(crate) fn with_context(self, message: Rc<str>) -> Error {
        let location = self.0.location;
        let contained = match &self.0.origin {
            _ if self.0.trace.get().is_some() => Some(self.clone()),
            Origin::Raised(raised) => raised.contained.clone(),
            _ => None,
        };
        let deepest = contained.as_ref().map(|inner| inner.deepest().clone());
        let contains_cancellation = self.comes_of_cancellation();
        let error = Box::new(WithContext::new(&message, self));
        let raised = Raised { error, contains_cancellation, contained, deepest, innermost: None };
        Error::new(Origin::Raised(raised), location)
    }

    /// Whether this is a [`Cancelled`]: the coroutine did not fail, but was stopped.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.as_cancelled().is_some()
    }

    /// Whether it is a cancellation, or an error that contains one.
    pub(crate) fn comes_of_cancellation(&self) -> bool {
        match &self.original().0.origin {
            Origin::Raised(raised) => raised.contains_cancellation,
            _ => self.is_cancelled(),
        }
    }

    /// The cancellation, if this is one.
    #[must_use]
    pub fn as_cancelled(&self) -> Option<&Cancelled> {
        // When a coroutine is cancelled, its cancellation gets no context. So only the outermost error is checked.
        self.as_std().downcast_ref()
    }

    /// The file and line at which the error was raised. This is the line of the `?`, of the cancelled `yield`, or of the call
    /// of [`Error::msg`] or `From` that made the error.
    #[must_use]
    pub fn location(&self) -> &'static Location<'static> {
        self.0.location
    }

    /// The coroutines that waited on this error, outermost first. The last one raised the error. Each of the others was the
    /// only coroutine that waited for the next one. The frames of a coroutine are added when the error leaves it. If the error
    /// came up while its domain was being cancelled, the trace has at most the 100 innermost frames.
    ///
    /// An error may come out of another loop or an [`isolate`](crate::isolate), and be raised again, by itself or as one of the
    /// first 64 [sources](std::error::Error::source) of another error. Such an error has the frames of both raises, the outer
    /// frames first.
    #[must_use]
    pub fn trace(&self) -> &[Frame] {
        let mut errors = iter::successors(Some(self), |error| error.earlier());
        errors.find_map(|error| error.0.trace.get()).map_or(&[], Trace::all)
    }

    /// The last frame of the trace.
    pub(crate) fn last_frame(&self) -> Option<&Frame> {
        let deepest = self.deepest().original();
        [deepest, self].into_iter().find_map(|error| error.0.trace.get()?.frames.last())
    }

    /// Adds the coroutines that waited on this error as its trace. The frames of an earlier failure come after them.
    pub(crate) fn traced(self, frames: Vec<Frame>) -> Error {
        let (error, earlier) = match (self.0.trace.get(), &self.0.origin) {
            (Some(_), _) => {
                let again = Error::new(Origin::RaisedAgain(self.original().clone()), self.0.location);
                (again, Some(self))
            }
            (None, _) => {
                let contained = self.earlier().cloned();
                (self, contained)
            }
        };
        error.0.trace.get_or_init(|| Trace::new(frames, earlier));
        error
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_std(), f)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        let mut cause = self.as_std().source();
        while let Some(error) = cause {
            // A link with the coroutines of a loop is skipped if the trace below has these coroutines.
            let listed = error.downcast_ref::<Link>().and_then(Link::error_if_of_coroutines);
            if !listed.is_some_and(|listed| self.was_caused_by(listed)) {
                write!(f, "\n  caused by: {error}")?;
            }
            cause = error.source();
        }
        if !self.trace().is_empty() {
            write!(f, "\n  coroutines, outermost first:")?;
            for frame in self.trace() {
                write!(f, "\n    {frame}")?;
            }
        }
        let raised_at = line(self.location());
        if !self.trace().iter().any(|frame| line(frame.location()) == raised_at) {
            write!(f, "\n  raised at {}:{}", raised_at.0, raised_at.1)?;
        }
        Ok(())
    }
}

fn line(location: &'static Location<'static>) -> (&'static str, u32) {
    (location.file(), location.line())
}

impl<E: StdError + Send + Sync + 'static> From<E> for Error {
    #[track_caller]
    fn from(error: E) -> Error {
        Error::at(Box::new(error), Location::caller())
    }
}
