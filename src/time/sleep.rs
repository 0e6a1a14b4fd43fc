//! Sleeping: waiting until a point in time.

use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::scheduler::{BlockedOn, Scheduler, TaskRef, Timer, TimerKey, Waiter};
use crate::waiting::state::private::Sealed;
use crate::waiting::state::{WaitState, polled_after_completion};
use crate::waiting::yieldable::{Wait, inherent_map};

/// Waits for `duration` by the clock of the loop, counted from the `yield`. The wait is never shorter. It is longer if the loop is busy,
/// and it may be longer by the [slack](crate::Builder::timer_slack) of the loop.
///
/// [`Duration::MAX`] means forever. A duration of zero lets the other coroutines run once.
///
/// ```
/// use std::time::{Duration, Instant};
/// use tinyield::{Loop, co, sleep};
///
/// let start = Instant::now();
/// let nap = || sleep(Duration::from_millis(20));
/// Loop::new().run(co! { yield (nap(), nap(), nap()); }).unwrap();
/// assert!(start.elapsed() >= Duration::from_millis(20));
/// ```
///
/// # Cancellation
///
/// The timer is removed at once.
pub fn sleep(duration: Duration) -> Sleep {
    Sleep { until: Until::After(duration) }
}

/// Waits until `deadline` by the clock of the loop. If the deadline has passed already, the `yield` only lets the other coroutines run
/// once.
///
/// ```
/// use std::time::Duration;
/// use tinyield::{Loop, co, now, sleep_until};
///
/// let every_5_ms = co! {
///     let mut next = yield now();
///     for _ in 0..3 {
///         next += Duration::from_millis(5);
///         yield sleep_until(next);
///     }
/// };
/// Loop::new().run(every_5_ms).unwrap();
/// ```
///
/// # Cancellation
///
/// The timer is removed at once.
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep { until: Until::At(deadline) }
}

/// The [`Wait`](crate::Wait) that [`sleep`](crate::sleep) and [`sleep_until`](crate::sleep_until) return.
#[must_use = "a sleep begins when it is yielded"]
#[derive(Clone, Copy, Debug)]
pub struct Sleep {
    until: Until,
}

#[derive(Clone, Copy, Debug)]
enum Until {
    After(Duration),
    At(Instant),
}

impl Sealed for Sleep {}

inherent_map!([] Sleep);

impl Wait for Sleep {
    type Output = ();
    type State = Sleeping;
    type Kind = crate::waiting::kind::Leaf;

    #[inline]
    fn into_state(self) -> Sleeping {
        Sleeping { stage: Stage::Unbegun(self.until) }
    }
}

#[doc(hidden)]
#[allow(missing_debug_implementations)]
pub struct Sleeping {
    stage: Stage,
}

enum Stage {
    Unbegun(Until),
    Asleep(Rc<Scheduler>, TimerKey),
    Over,
}

impl Sealed for Sleeping {}

#[allow(private_interfaces)]
impl WaitState for Sleeping {
    type Output = ();

    fn begin(&mut self, task: &TaskRef) {
        if let Stage::Unbegun(until) = self.stage
            && let Some(scheduler) = task.scheduler()
        {
            task.note_blocked_on(BlockedOn::TIMER);
            let timer = Timer::Settle(Waiter::new(task));
            let key = match until {
                Until::After(duration) => scheduler.set_timer_after(duration, timer),
                Until::At(deadline) => scheduler.set_timer_at(deadline, timer),
            };
            self.stage = Stage::Asleep(scheduler, key);
        }
    }

    fn is_ready(&self) -> bool {
        match &self.stage {
            Stage::Unbegun(_) => false,
            Stage::Asleep(scheduler, key) => !scheduler.timer_is_set(*key),
            Stage::Over => true,
        }
    }

    fn take(&mut self) -> Result<()> {
        if self.is_ready() {
            // The timer has fired, so there is none to cancel.
            self.stage = Stage::Over;
            Ok(())
        } else {
            Err(polled_after_completion())
        }
    }
}

impl Drop for Sleeping {
    fn drop(&mut self) {
        if let Stage::Asleep(scheduler, key) = &self.stage
            && let Some(Timer::Settle(waiter)) = scheduler.cancel_timer(*key)
        {
            waiter.give_up();
        }
    }
}
