//! [`Panic`], the error that represents a panic.

use std::any::Any;
use std::fmt;

use super::provides_itself;
use crate::panic;

/// A panic of a coroutine, as the error of an [`isolate`](crate::isolate) that
/// [contains panics](crate::wait::Isolate::catch_unwind).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panic {
    message: String,
}

impl Panic {
    pub(crate) fn new(payload: &(dyn Any + Send)) -> Panic {
        Panic { message: panic::message(payload).unwrap_or("the value of the panic is not text").to_string() }
    }

    /// The message of the panic.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "panicked: {}", self.message)
    }
}

provides_itself!(Panic);
