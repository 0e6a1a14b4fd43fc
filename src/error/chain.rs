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

/// `error`, if it is an `E`. An `anyhow::Error` hides the type of the error that it was made from. But it passes requests on to that
/// error, and has the source of that error. So an `E` that provides itself is found in it. An error that passes requests on to its
/// own source is no `E`.
pub(super) fn as_type<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let source_address = |error: &(dyn StdError + 'static)| error.source().map(|source| (&raw const *source).addr());
    let is_hidden = |found: &&'a E| source_address(*found) == source_address(error);
    error.downcast_ref().or_else(|| request_ref::<E>(error).filter(is_hidden))
}

/// Implements `std::error::Error` for an error without sources. The error provides itself: see [`as_type`].
macro_rules! provides_itself {
    ($($error:ty),+ $(,)?) => {
        $(impl std::error::Error for $error {
            fn provide<'a>(&'a self, request: &mut std::error::Request<'a>) {
                request.provide_ref(self);
            }
        })+
    };
}
pub(crate) use provides_itself;

/// The first `E` among `error` and its sources.
pub(super) fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        iterations::count();
        if let Some(found) = as_type::<E>(error) {
            return Some(found);
        }
        // The `source` of each of these types skips the contained error, and returns the source of that error.
        let loop_error = as_type::<LoopError>(error).map(LoopError::error);
        let contained = loop_error.or_else(|| as_type::<Boxed>(error).map(|Boxed(error)| error));
        next = contained.map_or_else(|| source(error), |contained| Some(contained.as_std()));
    }
    None
}
