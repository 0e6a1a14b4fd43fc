//! The time of a run: how its timers are set and cancelled, and how long the loop may wait for the next one.
//!
//! It relies on [`timers`](super::timers) for the deadlines and on [`clock`](super::clock) for the time. [`run`](super::run) fires the
//! timers that are due.

use std::time::{Duration, Instant};

use super::Scheduler;
use super::timer_key::TimerKey;
use super::timers::{Timer, Timers};

impl Scheduler {
    /// The time by the clock of this loop.
    #[inline]
    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Takes the time from the clock of the host.
    #[cfg(feature = "tokio")]
    pub(crate) fn follow_clock(&self, now: fn() -> Instant) {
        self.clock.follow(now);
    }

    /// Switches to the clock of the machine, because the host's clock does not advance without the host.
    #[cfg(feature = "tokio")]
    pub(crate) fn leave_clock_of_host(&self) {
        self.clock.leave_host();
    }

    /// Sets `timer` to fire at `deadline`.
    pub(crate) fn set_timer_at(&self, deadline: Instant, timer: Timer) -> TimerKey {
        let now = self.clock.now();
        self.set_timer(Some(deadline), now, deadline.saturating_duration_since(now), timer)
    }

    /// Sets `timer` to fire when `duration` has passed. If the deadline is too far for the clock, the timer never fires.
    #[inline]
    pub(crate) fn set_timer_after(&self, duration: Duration, timer: Timer) -> TimerKey {
        let now = self.clock.now();
        self.set_timer(now.checked_add(duration), now, duration, timer)
    }

    pub(super) fn set_timer(&self, deadline: Option<Instant>, now: Instant, left: Duration, timer: Timer) -> TimerKey {
        if self.run_queue.is_round_over() {
            self.clock.keep_last_read(now);
        }
        if let Some(deadline) = deadline {
            self.clock.add_deadline(deadline, left);
        }
        self.timers.borrow_mut().get_or_insert_with(|| Timers::new(now)).set(deadline, timer)
    }

    pub(crate) fn timer_is_set(&self, key: TimerKey) -> bool {
        self.timers.borrow().as_ref().is_some_and(|timers| timers.is_set(key))
    }

    /// Removes a timer. Returns its action, unless the timer has fired.
    pub(crate) fn cancel_timer(&self, key: TimerKey) -> Option<Timer> {
        let mut timers = self.timers.borrow_mut();
        let timers = timers.as_mut()?;
        let timer = timers.cancel(key)?;
        if timers.is_empty() && self.expired.borrow().is_empty() {
            self.clock.clear_deadline();
        }
        Some(timer)
    }

    /// The next deadline. `None` if no timer is set, or if those that are set never fire.
    #[inline]
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.timers.borrow_mut().as_mut()?.next()
    }

    pub(crate) fn has_virtual_clock(&self) -> bool {
        self.clock.is_virtual()
    }

    /// The latest time until which a thread or a host may wait. `None` in a simulated loop: when such a loop is idle, its clock
    /// stands still until something outside wakes it.
    pub(crate) fn wait_deadline(&self) -> Option<Instant> {
        if self.clock.is_virtual() { None } else { self.deadline().map(|deadline| self.clock.end_of_wait(deadline)) }
    }

    /// Whether a deadline can make a task ready. In a real loop, a timer that never fires counts as well: such a loop waits until
    /// it is stopped.
    pub(super) fn may_time_help(&self) -> bool {
        match self.clock.is_virtual() {
            true => self.deadline().is_some(),
            false => self.has_timers(),
        }
    }

    /// Whether any timer is set, including one that never fires.
    pub(super) fn has_timers(&self) -> bool {
        self.timers.borrow().as_ref().is_some_and(|timers| !timers.is_empty())
    }
}
