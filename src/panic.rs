//! Panics of user code: catching them, and choosing the one that goes on.
//!
//! A payload that does not go on is dropped where a panic of its destructor does no harm: that is user code, too.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// What a panic carries.
pub(crate) type Payload = Box<dyn Any + Send>;

/// Calls `f`, and returns what it panicked with, if it did.
pub(crate) fn catch<R>(f: impl FnOnce() -> R) -> Result<R, Payload> {
    catch_unwind(AssertUnwindSafe(f))
}

/// Calls `f` where no caller can receive its panic: the panic hook has printed it, and it ends here.
pub(crate) fn contain(f: impl FnOnce()) {
    if let Err(payload) = catch(f) {
        discard(payload);
    }
}

/// Drops `payload`. If its destructor panics, the payload of that panic is forgotten: its destructor might do the same.
pub(crate) fn discard(payload: Payload) {
    let _ = catch(|| drop(payload)).map_err(std::mem::forget);
}

/// The message of a panic, if it has one.
pub(crate) fn message(payload: &(dyn Any + Send)) -> Option<&str> {
    let text = payload.downcast_ref::<&'static str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
}

/// Keeps the first of several panics, so that it can go on when all the code has run.
#[derive(Default)]
pub(crate) struct FirstPanic(Option<Payload>);

impl FirstPanic {
    /// Calls `f`, and keeps its panic if it is the first.
    pub(crate) fn run(&mut self, f: impl FnOnce()) {
        if let Err(payload) = catch(f)
            && let Some(other) = self.keep(payload)
        {
            discard(other);
        }
    }

    /// Keeps `payload` if it is the first. Otherwise returns it.
    #[must_use]
    pub(crate) fn keep(&mut self, payload: Payload) -> Option<Payload> {
        match &self.0 {
            None => {
                self.0 = Some(payload);
                None
            }
            Some(_) => Some(payload),
        }
    }

    /// Gives up the panic that was kept.
    pub(crate) fn take(&mut self) -> Option<Payload> {
        self.0.take()
    }

    /// Lets the panic go on from here. While the thread is already panicking it ends here, as a second panic would abort the
    /// process.
    pub(crate) fn resume(self) {
        match self.0 {
            None => {}
            Some(payload) if std::thread::panicking() => discard(payload),
            Some(payload) => resume_unwind(payload),
        }
    }
}
