//! Stopping a loop from other threads, during a run or between two runs.

use std::fmt;
use std::sync::Arc;

use crate::error::Reason;
use crate::primitives::{Mutex, lock};
use crate::scheduler::Inbox;

/// Stops a loop from any thread.
///
/// ```
/// use std::time::Duration;
/// use tinyield::{Loop, sleep};
///
/// let mut event_loop = Loop::new();
/// let handle = event_loop.stop_handle();
/// std::thread::spawn(move || handle.stop());
/// assert!(event_loop.run(sleep(Duration::MAX)).unwrap_err().is_stopped());
/// ```
///
/// A stop handle does not count as something that can wake the loop, so the run may still end with a [`Deadlock`](crate::Deadlock).
/// A coroutine that only waits for the stop has to sleep for [`Duration::MAX`](std::time::Duration::MAX), as above.
///
/// # Signals
///
/// A signal handler must not call [`stop`](StopHandle::stop): `stop` takes locks, and wakes the host of the loop. The signal may
/// have interrupted the thread that holds these locks. Let a thread wait for the signal, and call `stop` there. The crate `ctrlc`
/// starts such a thread, and so does the iterator of `signal-hook`:
///
/// ```no_run
/// # let mut event_loop = tinyield::Loop::new();
/// let handle = event_loop.stop_handle();
/// ctrlc::set_handler(move || handle.stop()).unwrap(); // runs on a thread of its own
/// ```
#[derive(Clone, Debug)]
pub struct StopHandle {
    stop: Arc<Stop>,
}

impl StopHandle {
    pub(crate) fn new(stop: Arc<Stop>) -> StopHandle {
        StopHandle { stop }
    }

    /// Cancels everything that the loop runs. The run returns an error for which
    /// [`LoopError::is_stopped`](crate::LoopError::is_stopped) is true, unless it ends before it sees the request.
    ///
    /// A call between two runs stops the next run. Several calls before the end of a run stop only that run. If the loop no longer
    /// exists, a call does nothing.
    ///
    /// Do not call it in a [signal handler](StopHandle#signals).
    pub fn stop(&self) {
        let mut state = lock(&self.stop.state);
        match &*state {
            State::Running(inbox) => {
                // This is done under the lock. If the `Runtime` of this run was forgotten, `begin_run` of the next run then finds
                // the request in the inbox of this run.
                let parked = inbox.request_stop(Reason::Stopped);
                drop(state);
                parked.wake();
            }
            State::Between | State::Requested => *state = State::Requested,
        }
    }
}

/// The state that the stop handles of a loop share with its runs.
#[derive(Default)]
pub(crate) struct Stop {
    state: Mutex<State>,
}

#[derive(Default)]
enum State {
    /// Nothing runs, and no stop was requested.
    #[default]
    Between,
    /// Nothing runs. The next run has to stop.
    Requested,
    Running(Arc<Inbox>),
}

impl Stop {
    /// Notes that a run begins. True if that run has to stop at once.
    pub(crate) fn begin_run(&self, inbox: &Arc<Inbox>) -> bool {
        let before = std::mem::replace(&mut *lock(&self.state), State::Running(inbox.clone()));
        match before {
            State::Between => false,
            State::Requested => true,
            // The `Runtime` of that run was forgotten. If the forgotten run has not seen a request, the request is for the new run.
            State::Running(forgotten) => forgotten.take_stop(),
        }
    }

    /// Notes that a run is over. Its inbox takes no more requests.
    pub(crate) fn end_run(&self) {
        *lock(&self.state) = State::Between;
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stop").finish_non_exhaustive()
    }
}
