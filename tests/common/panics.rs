//! Panics that a test expects.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The message with which `f` panics. Fails if it does not panic.
#[track_caller]
pub fn panic_of<R>(f: impl FnOnce() -> R) -> String {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(_) => panic!("it should have panicked"),
        Err(payload) => text_of(payload),
    }
}

/// The message of a panic, from its payload.
pub fn text_of(payload: Box<dyn Any + Send>) -> String {
    match payload.downcast::<&'static str>() {
        Ok(text) => text.to_string(),
        Err(payload) => *payload.downcast::<String>().expect("a panic with a message"),
    }
}

/// From now on, panics whose message begins with `prefix` are not printed, in all tests of this process.
pub fn silence_panics(prefix: &'static str) {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !info.payload_as_str().is_some_and(|text| text.starts_with(prefix)) {
            print(info);
        }
    }));
}
