//! Looking into a loop from other threads.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::dump::Dump;
use super::stall::Stall;
use crate::scheduler::Watch;

/// Looks into a loop from any thread. Made by [`Loop::view`](crate::Loop::view).
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
    /// The loop needs some time for that: about a microsecond for each coroutine. Several threads may ask at once, and may get the same
    /// dump. It is not for a signal handler, as it takes locks: let a thread wait for the signal and call this, as in the example
    /// `dump`.
    ///
    /// If the loop does not run, because it has not started or the run is over or no longer exists, the dump is empty, and prints itself
    /// as `the loop does not run`.
    ///
    /// # Errors
    ///
    /// If the loop has not answered within `timeout`, the [`Stall`] says what it does instead:
    ///
    /// - a coroutine holds it up: its name, the line at which it was resumed, and for how long. It is the coroutine whose turn it is
    ///   when `timeout` is over, so if the loop is not held up, but has a long round, its duration is short.
    /// - no coroutine runs: the program that steps or polls the loop has not done so. Call [`Runtime::dump`](crate::Runtime::dump) there.
    ///
    /// Called on the thread of the loop itself, which then cannot answer, it returns that at once.
    pub fn dump(&self, timeout: Duration) -> Result<Dump, Stall> {
        self.watch.dump(timeout)
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").finish_non_exhaustive()
    }
}
