//! The clock of a loop: the clock of the machine, the clock of its host, or, in a simulated loop, a virtual clock. The loop reads
//! the time only here.
//!
//! The virtual clock stands still until [`jump`](Clock::jump) sets it to a later time. [`idle`](super::idle) decides when this
//! happens.

use std::cell::{Cell, OnceCell};
use std::time::{Duration, Instant};

use super::coarse_clock::{CoarseClock, DueTime};

#[derive(Clone, Copy)]
enum Source {
    Machine,
    /// The time of the virtual clock.
    Virtual(Instant),
    /// The clock of a host, which may stop it, or set it forward.
    #[cfg(feature = "tokio")]
    Host(fn() -> Instant),
    /// The clock of the machine, after a host has left. It continues the time of the host: the host's clock showed `host` when
    /// the machine's clock showed `machine`.
    #[cfg(feature = "tokio")]
    Continued {
        host: Instant,
        machine: Instant,
    },
}

pub(super) struct Clock {
    source: Cell<Source>,
    /// The earliest deadline. If it is `None`, no timer is set, and the loop does not read the clock.
    next_due: Cell<Option<DueTime>>,
    /// The time that was read in the last turn of the round, if it was read there.
    last_read: Cell<Option<Instant>>,
    /// Made when the first far deadline is set.
    coarse: OnceCell<CoarseClock>,
    /// For how long an idle loop may wait after a deadline.
    slack: Duration,
}

impl Clock {
    /// The clock of the machine.
    pub(super) fn new(slack: Duration) -> Clock {
        Clock {
            source: Cell::new(Source::Machine),
            next_due: Cell::new(None),
            last_read: Cell::new(None),
            coarse: OnceCell::new(),
            slack,
        }
    }

    /// A virtual clock that stands at `start`.
    pub(super) fn starting_at(start: Instant, slack: Duration) -> Clock {
        let coarse = OnceCell::from(CoarseClock::unknown());
        Clock { source: Cell::new(Source::Virtual(start)), coarse, ..Clock::new(slack) }
    }

    /// From now on, this clock shows the time that `now` returns. This must be called before a deadline is set. It has no
    /// effect on a virtual clock.
    #[cfg(feature = "tokio")]
    pub(super) fn follow(&self, now: fn() -> Instant) {
        if !self.is_virtual() {
            self.source.set(Source::Host(now));
            // The ticks of the machine cannot be used for a clock that may stop.
            let _ = self.coarse.set(CoarseClock::unknown());
        }
    }

    #[inline]
    pub(super) fn now(&self) -> Instant {
        match self.source.get() {
            Source::Machine => Instant::now(),
            Source::Virtual(time) => time,
            #[cfg(feature = "tokio")]
            Source::Host(now) => now(),
            #[cfg(feature = "tokio")]
            Source::Continued { host, machine } => host + machine.elapsed(),
        }
    }

    /// Continues with the clock of the machine, because the host no longer advances its own clock.
    #[cfg(feature = "tokio")]
    pub(super) fn leave_host(&self) {
        if let Source::Host(now) = self.source.get() {
            self.source.set(Source::Continued { host: now(), machine: Instant::now() });
        }
    }

    /// The time of the machine's clock at which this clock shows `time`.
    pub(super) fn machine_time(&self, time: Instant) -> Instant {
        match self.source.get() {
            #[cfg(feature = "tokio")]
            Source::Continued { host, machine } => {
                machine.checked_add(time.saturating_duration_since(host)).unwrap_or(time)
            }
            _ => time,
        }
    }

    /// The time until which an idle loop waits, if its next deadline is `deadline`.
    #[inline]
    pub(super) fn end_of_wait(&self, deadline: Instant) -> Instant {
        deadline.checked_add(self.slack).unwrap_or(deadline)
    }

    pub(super) fn is_virtual(&self) -> bool {
        matches!(self.source.get(), Source::Virtual(_))
    }

    /// Sets the virtual clock to `time`, unless the clock shows a later time already.
    pub(super) fn jump(&self, time: Instant) {
        let Source::Virtual(before) = self.source.get() else { unreachable!("only a virtual clock jumps") };
        self.source.set(Source::Virtual(before.max(time)));
        self.forget_last_read();
    }

    /// Keeps the time that was just read, for the next check of the deadlines. This is called only in the last turn of a round.
    /// A further turn of the round might take long, and the time would then be out of date.
    #[inline]
    pub(super) fn keep_last_read(&self, now: Instant) {
        self.last_read.set(Some(now));
    }

    pub(super) fn forget_last_read(&self) {
        self.last_read.set(None);
    }

    /// Whether any deadline is set. If so, the loop has to look at the clock.
    #[inline(always)]
    pub(super) fn has_deadline(&self) -> bool {
        self.next_due.get().is_some()
    }

    /// Notes that a timer was set for `deadline`, which is `left` from now.
    #[inline]
    pub(super) fn add_deadline(&self, deadline: Instant, left: Duration) {
        if !self.next_due.get().is_some_and(|due| due.is_before(deadline)) {
            self.set_deadline(deadline, left);
        }
    }

    /// Notes the earliest deadline, which is `left` from now.
    #[inline]
    pub(super) fn set_deadline(&self, deadline: Instant, left: Duration) {
        self.next_due.set(Some(DueTime::new(deadline, left, || *self.coarse.get_or_init(CoarseClock::new))));
    }

    pub(super) fn clear_deadline(&self) {
        self.next_due.set(None);
    }

    /// The time, if the earliest deadline has come. Otherwise `None`.
    #[inline]
    pub(super) fn time_if_due(&self) -> Option<Instant> {
        let due = self.next_due.get()?;
        let now = match self.last_read.take() {
            Some(now) => now,
            None if due.is_far() => return None,
            None => self.now(),
        };
        due.is_before(now).then_some(now)
    }
}
