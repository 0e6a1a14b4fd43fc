//! The watchdog: a thread that looks for turns that take too long.
//!
//! While a turn runs, the thread sleeps until that turn would be a stall. While no coroutine runs, the thread sleeps until a
//! turn begins. So an idle loop does not wake the thread.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::panic::contain;
use crate::reports::stall::Stall;
use crate::scheduler::{Next, Watch};

type Report = dyn FnMut(&Stall) + Send;

/// The settings of a watchdog.
#[derive(Clone)]
pub(crate) struct Watchdog {
    limit: Duration,
    report: Arc<Mutex<Report>>,
}

impl Watchdog {
    pub(crate) fn new(limit: Duration, report: impl FnMut(&Stall) + Send + 'static) -> Watchdog {
        Watchdog { limit, report: Arc::new(Mutex::new(report)) }
    }

    /// Starts the thread for the run that has just begun.
    ///
    /// # Panics
    ///
    /// If the thread cannot be started.
    pub(crate) fn start(&self, watch: &Arc<Watch>) -> WatchdogThread {
        let (watchdog, watch) = (self.clone(), watch.clone());
        let number = watch.begin_watch(self.limit);
        let thread = thread::Builder::new().name("tinyield watchdog".into()).spawn(move || {
            watchdog.watch(&watch, number);
        });
        WatchdogThread { thread: Some(thread.expect("the thread of the watchdog can be started")) }
    }

    fn watch(&self, watch: &Watch, number: u64) {
        loop {
            match watch.next(number) {
                Next::Report(stall) => {
                    let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
                    // If `report` panics, the panic hook prints the panic. The next stall is still reported.
                    contain(|| report(&stall));
                }
                Next::Wait(left) => watch.wait(number, Some(left)),
                Next::WaitForChange => watch.wait(number, None),
                Next::End => return,
            }
        }
    }
}

impl fmt::Debug for Watchdog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watchdog").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// The watchdog thread of a run. Dropping this value joins the thread. It must be dropped after the end of the run.
#[derive(Debug)]
pub(crate) struct WatchdogThread {
    thread: Option<JoinHandle<()>>,
}

impl Drop for WatchdogThread {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            // The thread panics only if `report` panics with a payload, and the destructor of this payload panics, too.
            let _ = thread.join().map_err(std::mem::forget);
        }
    }
}
