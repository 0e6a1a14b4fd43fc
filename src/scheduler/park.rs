//! When nothing is ready, a run sleeps: it parks its thread, or stores the waker of its host in the inbox.
//!
//! It relies on [`inbox`](super::inbox), which wakes the thread or the host, and on [`deadlines`](super::deadlines), which says
//! how long the sleep may be.

use std::rc::Rc;
use std::task::Waker;

use super::Scheduler;
use super::inbox::EndOfWatch;

impl Scheduler {
    /// Notes that a task waits for a future that is not the library's own. Such a future may need a reactor.
    #[cfg(feature = "smol")]
    pub(super) fn note_foreign_future(&self) {
        self.has_foreign_futures.set(true);
    }

    #[cfg(feature = "smol")]
    pub(crate) fn has_foreign_futures(&self) -> bool {
        self.has_foreign_futures.get()
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn is_hosted(&self) -> bool {
        self.is_hosted.get()
    }

    /// Stores `waker`. It is woken when a task becomes ready, and when the loop has to look for a deadlock. Returns false if a
    /// task is ready already.
    pub(crate) fn set_host_waker(&self, waker: &Waker) -> bool {
        // This comes first: cloning the waker and dropping the previous waker runs foreign code, which may make a task ready.
        self.host_may_sleep();
        // A virtual clock jumps when nothing outside can wake the loop any more. So the host of a simulated loop has to be
        // woken when the last holder is gone.
        let is_virtual = self.clock.is_virtual();
        let has_timers = !is_virtual && self.may_time_help();
        let is_checked = is_virtual || !self.is_hosted.get() || self.has_joined();
        let looks_for_deadlocks = !has_timers && is_checked;
        let end_of_watch = if looks_for_deadlocks { EndOfWatch::Awaited } else { EndOfWatch::Ignored };
        let sleeps = self.inbox().set_host_waker(waker, end_of_watch, has_timers);
        if !sleeps {
            self.host_is_awake();
        }
        sleeps
    }

    /// Notes that the host is about to sleep. If a task becomes ready, the host is woken.
    pub(crate) fn host_may_sleep(&self) {
        self.is_host_asleep.set(true);
    }

    /// Notes that the host polls the loop, or is about to poll it. So the host need not be woken.
    pub(crate) fn host_is_awake(&self) {
        self.is_host_asleep.set(false);
        // The host may have slept for long, so the time is read again.
        self.clock.forget_last_read();
    }

    /// Whether nothing was ready at the last poll, and nothing has become ready since.
    #[cfg(any(feature = "smol", feature = "async-std", feature = "tokio"))]
    pub(crate) fn is_host_asleep(&self) -> bool {
        self.is_host_asleep.get()
    }

    pub(super) fn wake_sleeping_host(&self) {
        if self.is_host_asleep.replace(false) {
            self.inbox().wake_parked();
        }
    }

    /// Blocks the thread until a task may be ready.
    pub(crate) fn park(self: &Rc<Scheduler>) {
        let deadline = self.wait_deadline().map(|deadline| self.clock.machine_time(deadline));
        let deadline = deadline.or_else(|| self.warn_if_it_waits_for_long());
        // Parking drops the waker of a host, if there is one. That is foreign code, which may make a task ready.
        self.host_may_sleep();
        self.inbox().park(deadline, self.batch_time());
        self.host_is_awake();
    }

    /// Notes that other code of this thread steps or polls the run.
    pub(crate) fn set_hosted(&self) {
        self.is_hosted.set(true);
    }
}
