//! Advice for a panic of tokio whose cause is a missing runtime, or a second runtime.
//!
//! The messages of tokio are not written for users of this crate, so they do not give the right advice. This file recognizes
//! such a panic by its text, because tokio has no type for it.

use crate::panic::{Payload, contain, message};

/// Pairs of the beginning of a message of tokio, and the advice for it.
const ADVICE: [(&str, &str); 2] = [
    (
        "there is no reactor running",
        "a coroutine used tokio outside of a tokio runtime: await the future by `yield from_tokio(async { .. })`, or run the loop in a \
         runtime by `runtime.block_on(to_tokio(..))` (feature `tokio` of tinyield)",
    ),
    (
        "Cannot start a runtime from within a runtime",
        "a runtime of tokio polls this code, so it may not block: await `to_tokio(..)` instead of calling `Loop::run`, and await futures \
         instead of calling `block_on` (feature `tokio` of tinyield)",
    ),
];

/// Adds the advice to the payload, if the payload has such a message of tokio. If `prints` is true, the advice is also printed,
/// below the message that the panic hook has printed. A simulation may panic many times, so it prints no advice.
pub(super) fn explain(payload: Payload, prints: bool) -> Payload {
    let Some(message) = message(&*payload) else { return payload };
    let Some((_, advice)) = ADVICE.iter().find(|(begin, _)| message.starts_with(begin)) else { return payload };
    // The panic of an inner loop has the advice already.
    if message.ends_with(advice) {
        return payload;
    }
    if prints {
        // If stderr cannot be written to, nothing is printed.
        contain(|| eprintln!("{advice}"));
    }
    Box::new(format!("{message}\n{advice}"))
}
