//! [`View`], a handle to look into a loop from other threads.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::reports::dump::Dump;
use crate::reports::stall::Stall;
use crate::scheduler::Watch;

/// A handle to look into a loop from any thread. [`Loop::view`](crate::Loop::view) makes it.
///
/// ```
/// use std::time::Duration;
/// use tinyield::{Loop, co, run_in_thread};
///
/// let mut event_loop = Loop::new();
/// let view = event_loop.view();
/// let main = co! {
///     yield run_in_thread(move || view.dump(Duration::from_secs(10)).unwrap().to_string())
/// };
/// let text = event_loop.run(main.named("main")).unwrap();
/// assert!(text.contains("1. `main` waits at"));
/// assert!(text.contains("  2. `run_in_thread` waits at"));
/// ```
#[derive(Clone)]
pub struct View {
    watch: Arc<Watch>,
}

impl View {
    pub(crate) fn new(watch: Arc<Watch>) -> View {
        View { watch }
    }

    /// Wakes the loop, and returns what each of its coroutines waits for, at one moment between two rounds.
    ///
    /// The loop needs about a microsecond for each of its coroutines to make the dump. Several threads may ask at the same
    /// time, and may get the same dump. Do not call this function in a signal handler, because it takes locks. Instead, let a
    /// thread wait for the signal and call this function, as in the example `dump`.
    ///
    /// If the loop is not running, the dump is empty, and its text is `the loop does not run`. A loop is not running before its
    /// first run, after a run, and when it no longer exists.
    ///
    /// # Errors
    ///
    /// If the loop has not answered within `timeout`. The [`Stall`] has the cause:
    ///
    /// - A coroutine holds the loop up. The stall has its name, the line at which it was resumed, and the duration of its turn.
    ///   This is the coroutine that has its turn when `timeout` is over. If the round has many short turns, the reported
    ///   duration is short.
    /// - No coroutine is running, because the code that has to step or poll the loop has not done so. Call
    ///   [`Runtime::dump`](crate::Runtime::dump) in that code instead.
    ///
    /// On the thread of the loop itself, the loop cannot answer, so the call returns the [`Stall`] at once.
    pub fn dump(&self, timeout: Duration) -> Result<Dump, Stall> {
        self.watch.dump(timeout)
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").finish_non_exhaustive()
    }
}
