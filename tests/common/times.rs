//! Durations, named by their purpose in a test.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tinyield::{Wait, sleep};

/// A sleep that never ends. Unlike an event that nobody sets, it has a timer, so that the loop does not report a
/// deadlock.
pub const FOREVER: Duration = Duration::MAX;

/// Longer than any test takes: an upper bound.
pub const LONG: Duration = Duration::from_secs(60);

pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub fn forever() -> impl Wait<Output = ()> {
    sleep(FOREVER)
}

/// Runs `f` on a thread of its own, and fails if it takes too long.
#[track_caller]
pub fn in_time<R: Send + 'static>(f: impl FnOnce() -> R + Send + 'static) -> R {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || drop(sender.send(f())));
    receiver.recv_timeout(LONG).expect("it panicked or did not end in time")
}
