//! What to do about a panic of tokio that says that no runtime is there.
//!
//! A coroutine that awaits a future of tokio outside of a tokio runtime panics with a message of tokio, which knows nothing of loops. It is
//! recognized by its text, as tokio has no type for it.

use crate::panic::{Payload, contain};

/// How the message of tokio begins.
const NO_RUNTIME: &str = "there is no reactor running";

const ADVICE: &str = "a coroutine used tokio outside of a tokio runtime: await the future by `yield from_tokio(async { .. })`, or run the \
                      loop in a runtime by `Runtime::new()?.block_on(to_tokio(..))` (feature `tokio` of tinyield)";

/// Adds the advice to the payload, if it has the message of tokio, and prints it: the panic hook has printed the message before.
pub(super) fn explain(payload: Payload) -> Payload {
    let text = payload.downcast_ref::<String>().map(String::as_str).or_else(|| payload.downcast_ref::<&str>().copied());
    match text {
        // The panic of an inner loop has the advice already.
        Some(text) if text.starts_with(NO_RUNTIME) && !text.ends_with(ADVICE) => {
            // If nobody can read it, nothing is printed.
            contain(|| eprintln!("{ADVICE}"));
            Box::new(format!("{text}\n{ADVICE}"))
        }
        _ => payload,
    }
}
