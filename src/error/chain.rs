//! The chain of sources of an error: what it contains, and the first error of some type in it.

use std::error::{Error as StdError, request_ref};
use std::{io, iter};

use super::boxed::Boxed;
use super::{Cancelled, Error, LoopError};
use crate::iterations;

/// How many errors of a chain are looked at when an error is raised. The chain of a user may be long, or have no end.
const MAX_SOURCES: usize = 64;

/// What was found in an error and its sources.
#[derive(Default)]
pub(super) struct Contents {
    /// The error of the first [`LoopError`], or the first [`Error`].
    pub(super) error: Option<Error>,
    /// Whether there is a cancellation.
    pub(super) cancellation: bool,
}

impl Contents {
    pub(super) fn of(error: &(dyn StdError + 'static)) -> Contents {
        for error in iter::successors(Some(error), |error| source(*error)).take(MAX_SOURCES) {
            iterations::count();
            // A request to a `LoopError` returns the error that it contains, even if the `LoopError` is inside of an
            // `anyhow::Error`.
            if let Some(contained) = request_ref::<Error>(error) {
                // The sources of this error were read when it was made.
                return Contents { cancellation: contained.comes_of_cancellation(), error: Some(contained.clone()) };
            }
            if request_ref::<Cancelled>(error).is_some() {
                return Contents { error: None, cancellation: true };
            }
        }
        Contents::default()
    }
}

/// The next error in the chain. The `source` of an `io::Error` skips the contained error, and returns the source of that error.
fn source<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    inner.map_or_else(|| error.source(), |inner| Some(inner))
}

/// The first `E` among `error` and its sources.
pub(super) fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        iterations::count();
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        // The `source` of each of these types skips the contained error, and returns the source of that error.
        let loop_error = error.downcast_ref::<LoopError>().map(LoopError::error);
        let contained = loop_error.or_else(|| error.downcast_ref::<Boxed>().map(|Boxed(error)| error));
        next = contained.map_or_else(|| source(error), |contained| Some(contained.as_std()));
    }
    None
}
