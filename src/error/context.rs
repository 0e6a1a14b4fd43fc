//! The links that this crate adds to a chain of errors. A link is a context, or lists the coroutines of a loop.

use std::error::{Error as StdError, Request};
use std::fmt;
use std::sync::OnceLock;

use super::{Error, line};
use crate::iterations;

/// An error with a message as its context.
pub(super) struct WithContext {
    message: String,
    error: Error,
}

impl WithContext {
    pub(super) fn new(message: &str, error: Error) -> WithContext {
        WithContext { message: message.to_string(), error }
    }

    pub(super) fn error(&self) -> &Error {
        &self.error
    }

    pub(super) fn into_error(self) -> Error {
        self.error
    }
}

impl fmt::Display for WithContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for WithContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl StdError for WithContext {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self.error.as_std())
    }
}

/// A link in the chain of sources of a [`LoopError`](super::LoopError). Each link except the last one represents a source of
/// the user's error, and has the number of that source. The last link lists the coroutines that waited. So code that prints the
/// chain, such as `anyhow` and `eyre`, also prints these coroutines.
///
/// The sources are read only on request, because reading them runs user code.
pub(super) struct Link {
    error: Error,
    /// The link represents the source with the number `depth` in the chain that begins with this error.
    base: Error,
    depth: usize,
    next: OnceLock<Box<Link>>,
}

impl Link {
    /// The first link for a run that failed with `error`.
    pub(super) fn first(error: Error) -> Link {
        let base = error.innermost().clone();
        Link::after(&error, &base, 0)
    }

    /// The link after the source with the number `depth` in the chain of `base`. The error below a context begins a new chain.
    /// Without this, each link of a long chain of contexts would need a walk from the top.
    fn after(error: &Error, base: &Error, depth: usize) -> Link {
        let inner =
            nth_source(base, depth).and_then(|source| source.downcast_ref::<WithContext>()).map(WithContext::error);
        let (base, depth) = inner.map_or_else(|| (base.clone(), depth + 1), |inner| (inner.clone(), 0));
        Link { error: error.clone(), base, depth, next: OnceLock::new() }
    }

    /// The place of the source that this link represents: an error, and a number in the chain that begins with this error. If
    /// that source is a link of an inner loop, this is the place of what the inner link represents. So the coroutines of the
    /// inner loop are listed only once, by the last link of the outer loop.
    fn place(&self) -> (&Error, usize) {
        let (mut base, mut depth) = (&self.base, self.depth);
        while let Some(inner) = nth_source(base, depth).and_then(|source| source.downcast_ref::<Link>())
            && base.was_caused_by(&inner.error)
        {
            (base, depth) = (&inner.base, inner.depth);
        }
        (base, depth)
    }

    /// The source that this link represents. `None` if this is the link that lists the coroutines.
    fn source_of_user(&self) -> Option<&(dyn StdError + 'static)> {
        let (base, depth) = self.place();
        nth_source(base, depth)
    }

    /// If this is the link that lists the coroutines: the error for which they waited.
    pub(super) fn error_if_of_coroutines(&self) -> Option<&Error> {
        self.source_of_user().is_none().then_some(&self.error)
    }

    fn write_coroutines(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let raised_at = line(self.error.location());
        let trace = self.error.trace();
        if !trace.is_empty() {
            f.write_str("coroutines, outermost first:")?;
            for frame in trace {
                write!(f, "\n  {frame}")?;
            }
        }
        if !trace.iter().any(|frame| line(frame.location()) == raised_at) {
            let separator = if trace.is_empty() { "" } else { "\n" };
            write!(f, "{separator}raised at {}:{}", raised_at.0, raised_at.1)?;
        }
        Ok(())
    }
}

fn nth_source(base: &Error, depth: usize) -> Option<&(dyn StdError + 'static)> {
    let mut error: &(dyn StdError + 'static) = base.as_std();
    for _ in 0..depth {
        iterations::count();
        error = error.source()?;
    }
    Some(error)
}

/// A clone does not have the next links. They are made again on request.
impl Clone for Link {
    fn clone(&self) -> Link {
        let (error, base) = (self.error.clone(), self.base.clone());
        Link { error, base, depth: self.depth, next: OnceLock::new() }
    }
}

/// Drops the links without recursion, because the chain may be long.
impl Drop for Link {
    fn drop(&mut self) {
        let mut next = self.next.take();
        while let Some(mut link) = next {
            next = link.next.take();
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.source_of_user() {
            Some(error) => fmt::Display::fmt(error, f),
            None => self.write_coroutines(f),
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.source_of_user() {
            Some(error) => fmt::Debug::fmt(error, f),
            None => self.write_coroutines(f),
        }
    }
}

impl StdError for Link {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        let (base, depth) = self.place();
        nth_source(base, depth)?;
        Some(&**self.next.get_or_init(|| Box::new(Link::after(&self.error, base, depth))))
    }

    fn provide<'a>(&'a self, request: &mut Request<'a>) {
        // The link may be reached past its `LoopError`, because the `source` of an `io::Error` skips the contained error.
        request.provide_ref(&self.error);
        if let Some(error) = self.source_of_user() {
            error.provide(request);
        }
    }
}
