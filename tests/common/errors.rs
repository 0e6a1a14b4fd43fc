//! What tests look at in errors.

use tinyield::{Deadlock, Error, LoopError};

/// The names in the trace, outermost first.
pub fn names(error: &Error) -> Vec<&str> {
    error.trace().iter().map(|frame| frame.name()).collect()
}

/// The lines in the trace, outermost first.
pub fn lines(error: &Error) -> Vec<u32> {
    error.trace().iter().map(|frame| frame.location().line()).collect()
}

pub fn messages(errors: &[Error]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

pub fn is_deadlock(error: &LoopError) -> bool {
    error.error().downcast_ref::<Deadlock>().is_some()
}
