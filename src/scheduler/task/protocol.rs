//! What a coroutine and the scheduler exchange: the scheduler resumes it with a [`Resume`], the coroutine yields a
//! [`Suspend`], and returns an [`Outcome`].

use std::convert::Infallible;
use std::fmt;
use std::ops::FromResidual;
use std::panic::Location;

use super::TaskRef;
use crate::error::{Error, Raise, Result};

/// The argument of each resumption of a coroutine. It gives the coroutine access to the loop, to [begin](Resume::begin) a wait.
///
/// It belongs to the coroutine that was resumed with it. If other code uses it, or if it is used after that coroutine has
/// ended, the use raises an error and has no other effect.
pub struct Resume {
    pub(crate) task: TaskRef,
}

impl fmt::Debug for Resume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resume").field("coroutine", &self.task.name()).finish()
    }
}

/// What a coroutine yields. The loop resumes the coroutine when the wait that it [began](Resume::begin) is over. If the
/// coroutine waits for nothing, the loop resumes it in the next round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspend;

/// How a coroutine ends: with a value, or, by `?`, with an error.
///
/// `?` takes any error that converts into `Box<dyn Error + Send + Sync>`, and keeps the file and line of the `?`.
pub struct Outcome<T>(pub(crate) Result<T>);

impl<T> Outcome<T> {
    /// Ends the coroutine with `value`.
    pub fn value(value: T) -> Outcome<T> {
        Outcome(Ok(value))
    }
}

impl<T, E> FromResidual<std::result::Result<Infallible, E>> for Outcome<T>
where
    E: Raise,
{
    #[track_caller]
    fn from_residual(residual: std::result::Result<Infallible, E>) -> Outcome<T> {
        let Err(error) = residual;
        Outcome(Err(Error::at(error.into_boxed(), Location::caller())))
    }
}

impl<T: fmt::Debug> fmt::Debug for Outcome<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Outcome").field(&self.0).finish()
    }
}
