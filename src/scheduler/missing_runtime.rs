//! What to do about a panic of tokio that comes of a missing runtime, or of a second one.
//!
//! tokio knows nothing of loops, so its message does not say it. Such a panic is recognized by its text, as tokio has no type for it.

use crate::panic::{Payload, contain, message};

/// How a message of tokio begins, and what to do about it.
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

/// Adds the advice to the payload, if it has such a message of tokio. `prints`: prints it, too, below the message, which the panic hook
/// has printed before. A simulation panics again and again, so it does not.
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
