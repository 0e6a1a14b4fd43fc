//! The faults that a run injects, and how the run has to end after each.

use std::fmt;

use tinyield::{Deadlock, LoopError};

use crate::run::Run;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Nothing,
    /// An error in a coroutine or in a closure on a thread.
    Error,
    /// A panic in a coroutine or in a closure on a thread.
    Panic,
    /// Another thread uses the stop handle.
    Stop,
    /// The host drops the unfinished run.
    Drop,
    /// A timeout around the whole program.
    Timeout,
    /// A coroutine waits for an event that is never set.
    Deadlock,
    /// A closure that does not check whether it was cancelled.
    LateThread,
    /// Cancelled closures. Some of them run, others have not started.
    CancelledClosure,
    /// Wakers and remote handles that are used after the wait has ended, or after the loop was dropped.
    LateWaker,
}

impl Fault {
    pub const ALL: &[Fault] = &[
        Fault::Nothing,
        Fault::Error,
        Fault::Panic,
        Fault::Stop,
        Fault::Drop,
        Fault::Timeout,
        Fault::Deadlock,
        Fault::LateThread,
        Fault::CancelledClosure,
        Fault::LateWaker,
    ];

    /// Returns whether the fault had an effect.
    ///
    /// # Errors
    ///
    /// A description, if the run ended in another way than it should.
    pub fn check_end(self, run: &Run, end: End) -> Result<bool, String> {
        match (self, &end) {
            // The run ended before the fault was injected, or the program survives this fault.
            (_, End::Completed) => match self {
                Fault::Error | Fault::Panic if run.has_had_effect() => {
                    Err("the fault was injected, but the run did not fail".to_string())
                }
                Fault::Deadlock => Err("a deadlock was not found".to_string()),
                _ => Ok(run.has_had_effect()),
            },
            (Fault::Panic, End::Panicked(text)) if text == PANIC_MESSAGE => Ok(true),
            (Fault::Drop, End::Dropped) => Ok(true),
            (_, End::Failed(error)) => {
                let is_this_fault = match self {
                    Fault::Error => origin(error.error()).downcast_ref::<InjectedError>().is_some(),
                    Fault::Stop => error.is_stopped(),
                    Fault::Deadlock => error.error().downcast_ref::<Deadlock>().is_some(),
                    _ => false,
                };
                // Every cancelled coroutine raises its cancellation again, so no other error is reported.
                let has_no_others = error.others().is_empty();
                let has_trace = self != Fault::Error || !error.error().trace().is_empty();
                if is_this_fault && has_no_others && has_trace { Ok(true) } else { Err(format!("{end:?}")) }
            }
            _ => Err(format!("{end:?}")),
        }
    }
}

/// How a run ended.
#[derive(Debug)]
pub enum End {
    Completed,
    Failed(LoopError),
    Panicked(String),
    Dropped,
}

pub const PANIC_MESSAGE: &str = "a panic on purpose";

#[derive(Debug)]
pub struct InjectedError;

impl fmt::Display for InjectedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an error on purpose")
    }
}

impl std::error::Error for InjectedError {}

/// The error that was raised first, in the innermost loop or domain.
fn origin(error: &tinyield::Error) -> &tinyield::Error {
    error.downcast_ref::<LoopError>().map_or(error, |inner| origin(inner.error()))
}
