//! Intervals: ticks that are a fixed period apart.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::scheduler::{BlockedOn, Scheduler, TaskRef, Timer, TimerKey, Waiter};
use crate::waiting::state::{WaitState, polled_after_completion};
use crate::waiting::yieldable::wait_is_its_state;

/// Makes an interval: `yield interval.tick()` waits for the next tick, and returns how many ticks were missed before it.
///
/// The first tick is one `period` after the first `tick` is yielded. Each further tick is one `period` after the tick before,
/// however long the coroutine takes in between. If the coroutine is in time, the number of missed ticks is 0. If it takes longer
/// than a period, it gets one tick at once, and the other ticks that have passed are missed. So there is no burst of ticks.
///
/// ```
/// use std::time::Duration;
/// use tinyield::{Loop, co, interval};
///
/// let main = co! {
///     let heartbeat = interval(Duration::from_millis(2));
///     let mut missed = yield heartbeat.tick();
///     std::thread::sleep(Duration::from_millis(9)); // blocks the loop for four periods
///     missed += yield heartbeat.tick();
///     missed
/// };
/// assert!(Loop::new().run(main).unwrap() >= 3);
/// ```
///
/// # Panics
///
/// If `period` is zero.
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    assert!(!period.is_zero(), "an interval of no time would tick without end; its period has to be longer than zero");
    Interval { state: Rc::new(State { period, next: Cell::new(None) }) }
}

/// A series of ticks, a fixed period apart. Made by [`interval`](crate::interval).
pub struct Interval {
    state: Rc<State>,
}

struct State {
    period: Duration,
    /// The time of the next tick. `None` before the first wait has begun, and if the time is too late for an [`Instant`].
    next: Cell<Option<Instant>>,
}

impl State {
    /// Sets the next tick to the first one after `now`. Returns how many ticks were missed between `tick` and the next tick.
    fn advance(&self, tick: Instant, now: Instant) -> u64 {
        let late = now.saturating_duration_since(tick).as_nanos();
        let period = self.period.as_nanos();
        let since_last = Duration::from_nanos(u64::try_from(late % period).unwrap_or(u64::MAX));
        let last = now.max(tick).checked_sub(since_last).unwrap_or(tick);
        self.next.set(last.checked_add(self.period));
        u64::try_from(late / period).unwrap_or(u64::MAX)
    }
}

impl Interval {
    /// Waits for the next tick. If the time of the tick has passed already, the `yield` only lets the other coroutines run once. Returns
    /// the number of ticks that were missed.
    ///
    /// The number is computed when the coroutine continues. So if the tick is part of a gather with a longer wait, the ticks that
    /// passed until the end of that wait count as missed.
    ///
    /// A tick that is given up, by a race for example, is not lost: the next `tick` waits for it.
    ///
    /// # Cancellation
    ///
    /// The timer is removed at once.
    pub fn tick(&self) -> Tick {
        Tick { state: self.state.clone(), stage: Stage::Init }
    }

    /// The time between two ticks.
    #[must_use]
    pub fn period(&self) -> Duration {
        self.state.period
    }
}

impl fmt::Debug for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interval").field("period", &self.state.period).finish()
    }
}

/// A wait for a tick of an [`Interval`]. Its output is the number of ticks that were missed.
#[must_use = "it waits only when it is yielded"]
pub struct Tick {
    state: Rc<State>,
    stage: Stage,
}

enum Stage {
    Init,
    /// The last field is the time of the tick. `None` if it is too late for an [`Instant`].
    Waiting(Rc<Scheduler>, TimerKey, Option<Instant>),
    Done,
}

impl fmt::Debug for Tick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tick").field("period", &self.state.period).finish()
    }
}

wait_is_its_state!(leaf Tick => u64);

#[allow(private_interfaces)]
impl WaitState for Tick {
    type Output = u64;

    fn begin(&mut self, task: &TaskRef) {
        let Some(scheduler) = task.scheduler() else { return };
        task.note_blocked_on(BlockedOn::TIMER);
        let timer = Timer::Settle(Waiter::new(task));
        if self.state.next.get().is_none() {
            self.state.next.set(scheduler.now().checked_add(self.state.period));
        }
        let tick = self.state.next.get();
        let key = match tick {
            Some(tick) => scheduler.set_timer_at(tick, timer),
            None => scheduler.set_timer_after(Duration::MAX, timer),
        };
        self.stage = Stage::Waiting(scheduler, key, tick);
    }

    fn is_ready(&self) -> bool {
        match &self.stage {
            Stage::Init => false,
            Stage::Waiting(scheduler, key, _) => !scheduler.timer_is_set(*key),
            Stage::Done => true,
        }
    }

    fn take(&mut self) -> Result<u64> {
        let Stage::Waiting(scheduler, _, Some(tick)) = &self.stage else { return Err(polled_after_completion()) };
        if !self.is_ready() {
            return Err(polled_after_completion());
        }
        let missed = self.state.advance(*tick, scheduler.now());
        self.stage = Stage::Done;
        Ok(missed)
    }
}

impl Drop for Tick {
    fn drop(&mut self) {
        if let Stage::Waiting(scheduler, key, _) = &self.stage
            && let Some(Timer::Settle(waiter)) = scheduler.cancel_timer(*key)
        {
            waiter.give_up();
        }
    }
}
