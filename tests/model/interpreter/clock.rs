//! The clock of a run.
//!
//! Time is counted in units. A tick is [`TICK`] units, and a tick is much longer than the work between two ticks takes.
//! Sleeps end at ticks. Limits end some units after a tick, a different number for each limit, so that no two limits
//! end at the same time.
//!
//! The interpreter stands still at the time at which the loop was last idle, and counts new deadlines from there. When
//! the loop is idle again, it waits for the next deadline by itself, and then looks at the real clock: if a deadline
//! had passed before the loop was idle, the run was late and proves nothing.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use tinyield::time::Sleep;
use tinyield::{sleep, sleep_until};

use crate::model::program::Limit;

/// The length of a tick in units.
pub const TICK: u64 = 16;

pub struct Clock {
    unit: Duration,
    start: Instant,
    /// When the loop was last idle, in units since the start.
    now: Cell<u64>,
    /// The number of limits so far.
    limits: Cell<u64>,
    /// All deadlines so far, in units since the start.
    deadlines: RefCell<Vec<u64>>,
    /// When the first limit since the loop was last idle was made.
    first_limit: Cell<Option<Instant>>,
    is_late: Cell<bool>,
    is_running: Cell<bool>,
}

impl Clock {
    /// If it does not run, ticks take no time.
    pub fn new(unit: Duration, is_running: bool) -> Clock {
        Clock {
            unit,
            start: Instant::now(),
            now: Cell::new(0),
            limits: Cell::new(0),
            deadlines: RefCell::default(),
            first_limit: Cell::new(None),
            is_late: Cell::new(false),
            is_running: Cell::new(is_running),
        }
    }

    pub fn is_late(&self) -> bool {
        self.is_late.get()
    }

    /// To be called when the loop is idle, over or dropped. Notes that the run is late if a later deadline than that of `now`
    /// has passed, or if the time between making a limit and handing it to the loop was so long that the limit is too
    /// late.
    pub fn check(&self) {
        let now = Instant::now();
        let is_past = |deadline: &u64| *deadline > self.now.get() && now >= self.at(*deadline);
        let is_late = self.first_limit.take().is_some_and(|made| now - made >= self.unit)
            || self.deadlines.borrow().iter().any(is_past);
        self.is_late.set(self.is_late.get() || is_late);
    }

    /// From here on, ticks take no time.
    pub fn stop(&self) {
        if self.is_running.replace(false) {
            self.check();
        }
    }

    /// Waits until `deadline`.
    pub fn advance(&self, deadline: Instant) {
        while Instant::now() < deadline {
            std::hint::spin_loop();
        }
        let units = (deadline - self.start).as_nanos() / self.unit.as_nanos();
        self.now.set(u64::try_from(units).expect("programs are short"));
    }

    fn at(&self, units: u64) -> Instant {
        self.start + self.unit * u32::try_from(units).expect("programs are short")
    }

    /// The deadline that is `ticks` ticks and `units` units from now.
    fn deadline(&self, ticks: usize, units: u64) -> Instant {
        let deadline = (self.now.get() / TICK + ticks as u64) * TICK + units;
        self.deadlines.borrow_mut().push(deadline);
        self.at(deadline)
    }

    pub fn sleep(&self, limit: Limit) -> Sleep {
        match limit {
            Limit::Ticks(ticks) if self.is_running.get() => sleep_until(self.deadline(ticks, 0)),
            Limit::Ticks(_) | Limit::Zero => sleep(Duration::ZERO),
            Limit::Never => unreachable!("programs have no sleep that never ends"),
        }
    }

    pub fn limit(&self, limit: Limit) -> Duration {
        match limit {
            Limit::Never => Duration::MAX,
            // The units of a tick tell `TICK - 1` limits apart. Further limits end at once.
            Limit::Ticks(ticks) if self.is_running.get() && self.limits.get() + 1 < TICK => {
                self.limits.set(self.limits.get() + 1);
                let now = Instant::now();
                self.first_limit.set(self.first_limit.get().or(Some(now)));
                self.deadline(ticks, self.limits.get()).saturating_duration_since(now)
            }
            Limit::Ticks(_) | Limit::Zero => Duration::ZERO,
        }
    }
}
