//! An [`Error`] in a `Box<dyn Error>`. `Error` itself cannot implement `std::error::Error`: every type that implements that trait
//! converts into `Error`, and for `Error` itself, this conversion would overlap with `From<T> for T` of the standard library.

use std::error::{Error as StdError, Request};
use std::fmt;

use super::Error;

/// Carries an [`Error`] in a `Box<dyn Error>`. `?` takes the `Error` out again.
pub(super) struct Boxed(pub(super) Error);

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
        self.0.as_std().source()
    }

    fn provide<'a>(&'a self, request: &mut Request<'a>) {
        request.provide_ref(&self.0).provide_ref(self);
        self.0.as_std().provide(request);
    }
}

impl From<Error> for Box<dyn StdError + Send + Sync> {
    #[inline]
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
