//! Small coroutines that many tests run.

use tinyield::{Coro, coro};

use super::{Log, forever};

/// Waits for ever, and logs `name` when it is dropped or cancelled.
#[coro]
pub fn waits_forever(log: Log, name: &'static str) -> Coro<()> {
    let _logs = log.on_drop(name);
    yield forever();
}

/// Takes `count` turns, and one more to end.
#[coro]
pub fn turns(count: usize) -> Coro<()> {
    for _ in 0..count {
        yield;
    }
}
