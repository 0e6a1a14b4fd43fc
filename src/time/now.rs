//! The time by the clock of the loop.

use std::fmt;
use std::time::Instant;

use crate::error::Result;
use crate::scheduler::TaskRef;
use crate::waiting::state::{WaitState, polled_after_completion};
use crate::waiting::yieldable::wait_is_its_state;

/// Returns the time by the clock of the loop.
///
/// In a [simulated](crate::Builder::simulated) loop, this is the time of the virtual clock, which [`sleep`](crate::sleep()) and the
/// other waits use. In a loop that `to_tokio` makes, it is the time of tokio's clock. In any other loop, it is [`Instant::now`].
/// So a coroutine that reads the time in this way can be tested in simulated time. The time never goes backwards.
///
/// It is the time at which the `yield` begins. Then, as with each `yield`, the other coroutines run once.
///
/// ```
/// use std::time::Duration;
/// use tinyield::{Coro, Loop, coro, now, sleep};
///
/// const DAY: Duration = Duration::from_secs(24 * 3600);
///
/// /// How long a pause of one day takes by the clock of the loop.
/// #[coro]
/// fn pause() -> Coro<Duration> {
///     let start = yield now();
///     yield sleep(DAY);
///     (yield now()) - start
/// }
///
/// assert_eq!(Loop::builder().simulated(0).build().run(pause()).unwrap(), DAY);
/// ```
///
/// # Cancellation
///
/// There is nothing to clean up.
pub fn now() -> Now {
    Now { time: None }
}

/// The [`Wait`](crate::Wait) that [`now`](crate::now()) returns.
#[must_use = "it gives the time when it is yielded"]
pub struct Now {
    /// Present from the beginning of the wait until the time is taken.
    time: Option<Instant>,
}

impl fmt::Debug for Now {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Now").finish_non_exhaustive()
    }
}

wait_is_its_state!(Now => Instant);

#[allow(private_interfaces)]
impl WaitState for Now {
    type Output = Instant;

    fn begin(&mut self, task: &TaskRef) {
        self.time = task.scheduler().map(|scheduler| scheduler.now());
    }

    fn is_ready(&self) -> bool {
        self.time.is_some()
    }

    fn take(&mut self) -> Result<Instant> {
        self.time.take().ok_or_else(polled_after_completion)
    }
}
