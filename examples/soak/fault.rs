//! What goes wrong on purpose, and what has to come of it.

use std::fmt;

use tinyield::{Deadlock, LoopError};

use crate::run::Run;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Nothing,
    /// An error, somewhere in a coroutine or in a closure on a thread.
    Error,
    Panic,
    /// A stop handle, from another thread.
    Stop,
    /// What runs the loop is dropped half-way.
    Drop,
    /// The whole program runs out of time.
    Timeout,
    /// Somebody waits for what never comes.
    Deadlock,
    /// A thread that does not see that it was cancelled.
    LateThread,
    /// Closures that are cancelled: some while they run, some before they began.
    CancelledClosure,
    /// Wakers and remote handles that are used when nobody waits any longer, also when the loop is gone.
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

    /// Whether it had an effect; or what is wrong with how the run ended.
    pub fn judge(self, run: &Run, end: End) -> Result<bool, String> {
        match (self, &end) {
            // It was over before the fault came to it; or the fault was one that the program survives.
            (_, End::Well) => match self {
                Fault::Error | Fault::Panic if run.has_fired() => Err("it fired, and nothing came of it".to_string()),
                Fault::Deadlock => Err("a deadlock was not found".to_string()),
                _ => Ok(run.has_fired()),
            },
            (Fault::Panic, End::Panicked(text)) if text == PANICKED => Ok(true),
            (Fault::Drop, End::Dropped) => Ok(true),
            (_, End::Failed(error)) => {
                let is_this_fault = match self {
                    Fault::Error => origin(error.error()).downcast_ref::<Raised>().is_some(),
                    Fault::Stop => error.is_stopped(),
                    Fault::Deadlock => error.error().downcast_ref::<Deadlock>().is_some(),
                    _ => false,
                };
                // All who were cancelled raised just that.
                let nothing_else = error.others().is_empty();
                let has_trace = self != Fault::Error || !error.error().trace().is_empty();
                if is_this_fault && nothing_else && has_trace { Ok(true) } else { Err(format!("{end:?}")) }
            }
            _ => Err(format!("{end:?}")),
        }
    }
}

/// How a run ended.
#[derive(Debug)]
pub enum End {
    Well,
    Failed(LoopError),
    Panicked(String),
    Dropped,
}

pub const PANICKED: &str = "a panic on purpose";

#[derive(Debug)]
pub struct Raised;

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an error on purpose")
    }
}

impl std::error::Error for Raised {}

/// What was raised first, in the innermost loop or domain.
fn origin(error: &tinyield::Error) -> &tinyield::Error {
    error.downcast_ref::<LoopError>().map_or(error, |inner| origin(inner.error()))
}
