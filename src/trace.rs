//! The frames of a trace: the coroutines that waited for the one that failed, and the lines where they waited.

use std::borrow::Cow;
use std::fmt;
use std::panic::Location;

/// One coroutine of a [trace](crate::Error::trace): its name, and the line of the `yield` at which it waited. The last frame has
/// the line at which the coroutine raised the error.
///
/// ```
/// use tinyield::{Coro, Loop, coro};
///
/// #[coro]
/// fn inner() -> Coro<()> {
///     Err("no such luck")?
/// }
///
/// #[coro]
/// fn outer() -> Coro<()> {
///     yield inner()
/// }
///
/// let error = Loop::new().run(outer()).unwrap_err();
/// let names: Vec<_> = error.error().trace().iter().map(|frame| frame.name()).collect();
/// assert_eq!(names, ["outer", "inner"]);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    name: Cow<'static, str>,
    location: &'static Location<'static>,
}

impl Frame {
    pub(crate) fn new(name: Cow<'static, str>, location: &'static Location<'static>) -> Frame {
        Frame { name, location }
    }

    pub(crate) fn into_name(self) -> Cow<'static, str> {
        self.name
    }

    /// The name of the coroutine: the name of its function, `co!` for a block, or the name that
    /// [`Coro::named`](crate::Coro::named) set.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The line of the `yield` at which it waited. In the last frame: the line of the `?` that raised the error.
    #[must_use]
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}:{}", self.name, self.location.file(), self.location.line())
    }
}
