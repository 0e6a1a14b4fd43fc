//! Timeouts: a limit to how long a wait may take.

use std::fmt;
use std::time::Duration;

use crate::error::{Error, Result, provides_itself};
use crate::scheduler::{Canceller, ScopeKind, TaskRef, Timer};
use crate::waiting::scoped::Scoped;
use crate::waiting::state::WaitState;
use crate::waiting::yieldable::{Wait, wait_is_its_state};

/// Waits for `wait`, but not longer than `limit`. Returns `Ok` with the output, or `Err(`[`TimedOut`]`)`.
///
/// The time counts from the `yield`. When the time is over, everything that `wait` started is cancelled. The `yield` returns when all
/// of this has ended. If the work finishes in the same round in which the time is over, it is still in time. [`Duration::MAX`] means
/// no limit.
///
/// If the work returns a value in response to the cancellation, the timeout returns `Ok` with this value. If a closure on a thread
/// returns too late, its value is dropped. But [`raise`](crate::Coro::raise) still raises an error that the closure returns.
///
/// A timeout around a closure on a thread waits until the closure has returned: nothing can stop a closure that does not check
/// [`thread::checkpoint`](crate::thread::checkpoint).
///
/// If the work is in time, its background coroutines continue. If the work is late, they are cancelled with it. A timeout does not
/// stop errors: an error inside stops the loop, or the [`isolate`](crate::isolate) around it.
///
/// ```
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
/// First everything that `wait` started is cancelled, and then the coroutine that waits.
#[track_caller]
#[inline]
pub fn timeout<W: Wait>(wait: W, limit: Duration) -> Timeout<W::Output> {
    Timeout { work: Scoped::new(wait), limit }
}

/// The error of a [`timeout`](crate::timeout): the time was over before the work had finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimedOut;

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("timed out")
    }
}

provides_itself!(TimedOut);

/// The [`Wait`](crate::Wait) that [`timeout`](crate::timeout) returns.
#[must_use = "nothing starts before this is yielded"]
pub struct Timeout<T: 'static> {
    work: Scoped<T>,
    limit: Duration,
}

impl<T> fmt::Debug for Timeout<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timeout").field("task", self.work.task()).field("limit", &self.limit).finish()
    }
}

wait_is_its_state!(Timeout<T> => std::result::Result<T, TimedOut>);

#[allow(private_interfaces)]
impl<T: 'static> WaitState for Timeout<T> {
    type Output = std::result::Result<T, TimedOut>;

    fn begin(&mut self, task: &TaskRef) {
        self.work.begin(task, ScopeKind::Subtree);
        // Without a limit there is no timer. Then a wait that never ends is a deadlock.
        if let Some(scope) = self.work.scope()
            && self.limit < Duration::MAX
        {
            let timer = scope.scheduler().set_timer_after(self.limit, Timer::Expire(scope.clone()));
            scope.set_canceller(Canceller::Timer(timer));
        }
    }

    fn carries_value(&self) -> bool {
        true
    }

    fn is_ready(&self) -> bool {
        self.work.is_ended()
    }

    fn has_value(&self) -> bool {
        let has_expired = self.work.scope().is_some_and(|scope| scope.is_cancelled_by_itself());
        self.work.is_ended() && (self.work.has_output() || has_expired)
    }

    fn take(&mut self) -> Result<Self::Output> {
        let scope = self.work.take_ended()?;
        let (cancelled, has_expired) = (scope.cancelled(), scope.is_cancelled_by_itself());
        scope.recycle();
        match cancelled {
            None => self.work.take_output().map(Ok),
            // The work was cancelled, but it may have ended with a value: the value had arrived before, or the work returned it in
            // response to the cancellation.
            Some(_) if self.work.has_output() => self.work.take_output().map(Ok),
            Some(_) if has_expired => Ok(Err(TimedOut)),
            Some(cancelled) => Err(Error::cancelled(cancelled, std::panic::Location::caller())),
        }
    }
}
