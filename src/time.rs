//! Waiting for a point in time, and not longer than until one.

use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::coro::start_in;
use crate::error::{Cancelled, Error, Reason, Result};
use crate::scheduler::{BlockedOn, Scheduler, Scope, ScopeKind, Task, TaskRef, Timer, TimerKey, Waiter};
use crate::wait::private::{AnyTask, Sealed};
use crate::wait::{Wait, WaitState, polled_after_completion};

/// Waits for `duration`, counted from the `yield`; not shorter, and longer only if the loop is busy.
///
/// [`Duration::MAX`] is for ever. A duration of zero is one turn of the others, and a look at the clock.
///
/// ```
/// # #![feature(coroutines)]
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
/// Its timer is gone at once.
pub fn sleep(duration: Duration) -> Sleep {
    Sleep { until: Until::After(duration) }
}

/// Waits until `deadline`; one that has passed is one turn of the others.
///
/// ```
/// # #![feature(coroutines)]
/// use std::time::{Duration, Instant};
/// use tinyield::{Loop, co, sleep_until};
///
/// let every_5_ms = co! {
///     let mut next = Instant::now();
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
/// Its timer is gone at once.
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep { until: Until::At(deadline) }
}

/// What [`sleep`] and [`sleep_until`] give: a [`Wait`] for `()`.
#[must_use = "nobody sleeps before this is yielded"]
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

impl Wait for Sleep {
    type Output = ();
    type State = Sleeping;

    #[inline]
    fn into_state(self) -> Sleeping {
        Sleeping::Awake(self.until)
    }
}

#[doc(hidden)]
#[allow(missing_debug_implementations, private_interfaces)]
pub enum Sleeping {
    Awake(Until),
    Asleep(Rc<Scheduler>, TimerKey),
    Over,
}

impl Sealed for Sleeping {}

#[allow(private_interfaces)]
impl WaitState for Sleeping {
    type Output = ();

    fn begin(&mut self, task: &TaskRef) {
        if let Sleeping::Awake(until) = *self
            && let Some(scheduler) = task.scheduler()
        {
            task.note_blocked_on(BlockedOn::TIMER);
            let timer = Timer::Settle(Waiter::new(task));
            let key = match until {
                Until::After(duration) => scheduler.set_timer_after(duration, timer),
                Until::At(deadline) => scheduler.set_timer_at(deadline, timer),
            };
            *self = Sleeping::Asleep(scheduler, key);
        }
    }

    fn is_ready(&self) -> bool {
        match self {
            Sleeping::Awake(_) => false,
            Sleeping::Asleep(scheduler, key) => !scheduler.timer_is_set(*key),
            Sleeping::Over => true,
        }
    }

    fn take(&mut self) -> Result<()> {
        if self.is_ready() {
            *self = Sleeping::Over;
            Ok(())
        } else {
            Err(polled_after_completion())
        }
    }
}

impl Drop for Sleeping {
    fn drop(&mut self) {
        if let Sleeping::Asleep(scheduler, key) = self
            && let Some(Timer::Settle(waiter)) = scheduler.cancel_timer(*key)
        {
            waiter.give_up();
        }
    }
}

/// Waits for `wait`, but no longer than `limit`, counted from the `yield`: then all that it started is cancelled, and has
/// ended when the `yield` gives [`TimedOut`]. If both come in the same round, the work wins.
///
/// [`Duration::MAX`] is no limit. What `wait` left running in the background after it was ready in time runs on. It does not
/// stop errors: one raised inside stops the loop, or the [`isolate`](crate::isolate), around it.
///
/// ```
/// # #![feature(coroutines)]
/// use std::time::Duration;
/// use tinyield::{Loop, TimedOut, co, sleep, timeout};
///
/// let main = co! {
///     let slow = yield timeout(sleep(Duration::from_secs(60)), Duration::from_millis(5));
///     let fast = yield timeout(co! { "done" }, Duration::from_secs(60));
///     (slow, fast)
/// };
/// assert_eq!(Loop::new().run(main).unwrap(), (Err(TimedOut), Ok("done")));
/// ```
///
/// # Cancellation
///
/// What it started is cancelled with it, first.
#[track_caller]
#[inline]
pub fn timeout<W: Wait>(wait: W, limit: Duration) -> Timeout<W::Output> {
    let AnyTask(task) = wait.into_task();
    Timeout { task, limit }
}

/// A [`timeout`] ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimedOut;

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("timed out")
    }
}

impl std::error::Error for TimedOut {}

/// What [`timeout`] gives: a [`Wait`].
#[must_use = "nothing is started before this is yielded"]
pub struct Timeout<T: 'static> {
    task: Task<T>,
    limit: Duration,
}

impl<T> fmt::Debug for Timeout<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timeout").field("task", self.task.raw()).field("limit", &self.limit).finish()
    }
}

impl<T> Sealed for Timeout<T> {}

impl<T: 'static> Wait for Timeout<T> {
    type Output = std::result::Result<T, TimedOut>;
    type State = TimingOut<T>;

    #[inline]
    fn into_state(self) -> TimingOut<T> {
        TimingOut { work: self, running: None }
    }
}

#[doc(hidden)]
#[allow(missing_debug_implementations)]
pub struct TimingOut<T: 'static> {
    work: Timeout<T>,
    running: Option<(Rc<Scope>, Option<TimerKey>)>,
}

impl<T> Sealed for TimingOut<T> {}

#[allow(private_interfaces)]
impl<T: 'static> WaitState for TimingOut<T> {
    type Output = std::result::Result<T, TimedOut>;

    fn begin(&mut self, task: &TaskRef) {
        if let Some(scope) = Scope::below(task, ScopeKind::Subtree) {
            // No limit is no timer: waiting in vain is a deadlock then.
            let is_limited = self.work.limit < Duration::MAX;
            let timer = || scope.scheduler().set_timer_after(self.work.limit, Timer::Expire(scope.clone()));
            let key = is_limited.then(timer);
            start_in(&self.work.task, &scope);
            self.running = Some((scope, key));
        }
    }

    fn is_ready(&self) -> bool {
        self.running.as_ref().is_some_and(|(scope, _)| scope.is_ended())
    }

    fn take(&mut self) -> Result<Self::Output> {
        let Some((scope, key)) = self.running.take_if(|(scope, _)| scope.is_ended()) else {
            return Err(polled_after_completion());
        };
        let timer = key.and_then(|key| scope.scheduler().cancel_timer(key));
        drop(timer);
        let why = scope.cancelled();
        scope.recycle();
        match why {
            None => self.work.task.take_output().unwrap_or_else(|| Err(polled_after_completion())).map(Ok),
            Some(why) if *why.why() == Reason::TimedOut => Ok(Err(TimedOut)),
            Some(why) => Err(Error::cancelled(why, std::panic::Location::caller())),
        }
    }
}

impl<T> Drop for TimingOut<T> {
    fn drop(&mut self) {
        if let Some((scope, key)) = &self.running {
            let timer = key.and_then(|key| scope.scheduler().cancel_timer(key));
            drop(timer);
            if scope.disown() {
                scope.scheduler().cancel(scope, &Cancelled::new(Reason::Dropped));
            }
        }
    }
}
