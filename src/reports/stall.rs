//! A stall: a turn that takes so long that all other coroutines have to wait for it.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

use crate::error::provides_itself;
use crate::trace::Frame;

/// The report of a stall: the coroutine whose turn does not end, the line at which the coroutine was resumed, and the duration
/// of the turn.
///
/// The [watchdog](crate::Builder::watchdog) reports a stall, and [`View::dump`](crate::View::dump) returns one. `Stall`
/// implements [`Error`](std::error::Error), so `?` passes it on.
///
/// ```
/// use std::time::Duration;
/// use tinyield::{Loop, co};
///
/// let mut event_loop = Loop::new();
/// let view = event_loop.view();
/// let blocking = co! {
///     // The call is in a coroutine of the same loop, so it holds the loop up.
///     view.dump(Duration::from_secs(1)).unwrap_err()
/// };
/// let stall = event_loop.run(blocking.named("blocking")).unwrap();
/// assert_eq!(stall.name(), "blocking");
/// assert!(stall.to_string().starts_with("`blocking` holds the loop up since"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stall {
    pub(crate) frame: Frame,
    pub(crate) duration: Duration,
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A turn that has not ended.
    Running,
    /// A turn that has ended: the coroutine has yielded at this line.
    Yielded(&'static Location<'static>),
    /// A turn that has ended together with its coroutine.
    Ended,
    /// No coroutine is running, and the loop has not looked for requests.
    NoTurn,
}

impl Stall {
    /// The name of the coroutine. If no coroutine is running, for example because the host does not step or poll the loop, the
    /// name is `run`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.frame.name()
    }

    /// The line of the `yield` at which the coroutine was resumed. In its first turn, this is the line at which the coroutine
    /// was made. If no coroutine is running, it is the line at which the run was started.
    #[must_use]
    pub fn location(&self) -> &'static Location<'static> {
        self.frame.location()
    }

    /// The name and the line together.
    #[must_use]
    pub fn frame(&self) -> &Frame {
        &self.frame
    }

    /// How long the turn had taken when this was reported. For a turn that is over, this is its whole length.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// Whether the turn had ended when this was reported.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.kind, Kind::Yielded(_) | Kind::Ended)
    }

    /// The line of the `yield` that has ended the turn. `None` if the turn has not ended, or if the coroutine has ended in it.
    #[must_use]
    pub fn yielded_at(&self) -> Option<&'static Location<'static>> {
        match self.kind {
            Kind::Yielded(location) => Some(location),
            _ => None,
        }
    }
}

impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, duration) = (self.name(), Rounded(self.duration));
        let (file, line) = (self.location().file(), self.location().line());
        match self.kind {
            Kind::Running => write!(f, "`{name}` holds the loop up since {file}:{line}, for {duration} so far"),
            Kind::Yielded(to) => {
                write!(f, "`{name}` held the loop up from {file}:{line} to {}:{}, for {duration}", to.file(), to.line())
            }
            Kind::Ended => write!(f, "`{name}` held the loop up from {file}:{line} to its end, for {duration}"),
            Kind::NoTurn => write!(
                f,
                "no coroutine runs, but the loop that was started at {file}:{line} has not looked for requests for \
                 {duration}: its host does not step or poll it, or a destructor or a waker takes long"
            ),
        }
    }
}

provides_itself!(Stall);

/// A duration, rounded to about three digits.
struct Rounded(Duration);

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.0.as_secs_f64() {
            seconds if seconds >= 10.0 => return write!(f, "{seconds:.0} s"),
            seconds if seconds >= 1.0 => return write!(f, "{seconds:.1} s"),
            seconds => seconds * 1e3,
        };
        if unit >= 10.0 { write!(f, "{unit:.0} ms") } else { write!(f, "{unit:.1} ms") }
    }
}
