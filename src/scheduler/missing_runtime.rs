//! Panics of futures of tokio that were polled where no runtime is. tokio cannot know of tinyield, so its message does not name the
//! cure. The loop adds it.

use crate::panic::{Payload, contain, message};

/// A part of tokio's message, and what to do.
const CURES: [(&str, &str); 2] = [
    (
        "must be called from the context of a Tokio 1.x runtime",
        "await the future by `yield from_tokio(future)`, or run the loop in a runtime: `runtime.block_on(to_tokio(main))`. Both need \
         the feature `tokio` of tinyield",
    ),
    (
        "Cannot start a runtime from within a runtime",
        "`Loop::run` and `Runtime::block_on` block a runtime of tokio when they are called inside of it: await `to_tokio(main)` instead of \
         calling `Loop::run` there, and await futures in coroutines instead of calling `block_on`",
    ),
];

/// Adds what to do to the message of a panic that comes of a missing runtime. Returns any other payload as it is. The panic hook has
/// printed the message already, so what is added is printed below it. A simulation panics again and again, so it does not print.
pub(super) fn explain(payload: Payload, prints: bool) -> Payload {
    let Some(message) = message(&*payload) else { return payload };
    let Some((_, cure)) = CURES.iter().find(|(part, _)| message.contains(part)) else { return payload };
    // The panic of a loop inside of a loop has been explained there.
    if message.contains(cure) {
        return payload;
    }
    if prints {
        contain(|| eprintln!("tinyield: {cure}"));
    }
    Box::new(format!("{message}\ntinyield: {cure}"))
}
