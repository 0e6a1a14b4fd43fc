//! Panics of user code: catching them, and choosing the panic that is resumed.
//!
//! The destructor of a payload is user code, too. A payload that is not resumed is dropped where a panic of its destructor does no
//! harm.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// The payload of a panic.
pub(crate) type Payload = Box<dyn Any + Send>;

/// Calls `f`. If `f` panics, returns the payload.
pub(crate) fn catch<R>(f: impl FnOnce() -> R) -> Result<R, Payload> {
    catch_unwind(AssertUnwindSafe(f))
}

/// Calls `f` in a place where no caller can receive its panic. The panic hook prints the panic, and the panic ends here.
pub(crate) fn contain(f: impl FnOnce()) {
    if let Err(payload) = catch(f) {
        discard(payload);
    }
}

/// Drops `payload`. If its destructor panics, the payload of this second panic is forgotten, because that destructor might panic,
/// too.
pub(crate) fn discard(payload: Payload) {
    let _ = catch(|| drop(payload)).map_err(std::mem::forget);
}

/// The message of a panic, if it has one.
pub(crate) fn message(payload: &(dyn Any + Send)) -> Option<&str> {
    let text = payload.downcast_ref::<&'static str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
}

/// Keeps the first of several panics, so that it can be resumed when all the code has run.
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

    /// Takes out the panic that was kept.
    pub(crate) fn take(&mut self) -> Option<Payload> {
        self.0.take()
    }

    /// Resumes the panic. If the thread is already panicking, drops the payload instead, because a second panic would abort the
    /// process.
    pub(crate) fn resume(self) {
        match self.0 {
            None => {}
            Some(payload) if std::thread::panicking() => discard(payload),
            Some(payload) => resume_unwind(payload),
        }
    }
}
