//! The wait until nothing else is ready.

use std::fmt;
use std::rc::Rc;

use crate::error::Result;
use crate::scheduler::{Key, Scheduler, TaskRef, Waiter};
use crate::waiting::state::{WaitState, polled_after_completion};
use crate::waiting::yieldable::wait_is_its_state;

/// Waits until every other coroutine of the loop waits for something, and nothing is ready any more.
///
/// It is for tests: a test starts some work, and checks the result when the work cannot continue by itself. In a
/// [simulated](crate::Builder::simulated) loop, the wait ends before the clock jumps to the next deadline. If several coroutines
/// wait in `settled`, the first one continues, and the next one continues when nothing is ready again. `settled` does not wait for
/// closures on threads, or for foreign futures.
///
/// ```
/// use std::cell::Cell;
/// use std::rc::Rc;
/// use std::time::Duration;
/// use tinyield::{Loop, co, settled, sleep, spawn};
///
/// let steps = Rc::new(Cell::new(0));
/// let count = |steps: Rc<Cell<i32>>| co! {
///     loop {
///         for _ in 0..3 {
///             steps.set(steps.get() + 1);
///             yield;
///         }
///         yield sleep(Duration::from_secs(60));
///         if steps.get() >= 6 {
///             break;
///         }
///     }
/// };
/// let test = co! {
///     yield spawn(count(steps.clone()));
///     yield settled();
///     assert_eq!(steps.get(), 3); // it sleeps
///     yield sleep(Duration::from_secs(61));
///     assert_eq!(steps.get(), 6);
/// };
/// Loop::builder().simulated(0).build().run(test).unwrap();
/// ```
///
/// # Cancellation
///
/// The coroutine leaves the queue at once.
pub fn settled() -> Settled {
    Settled { stage: Stage::Init }
}

/// The [`Wait`](crate::Wait) that [`settled`](crate::settled()) returns.
#[must_use = "the wait begins when this is yielded"]
pub struct Settled {
    stage: Stage,
}

enum Stage {
    Init,
    Queued(Rc<Scheduler>, Key),
    Over,
}

impl fmt::Debug for Settled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settled").finish_non_exhaustive()
    }
}

wait_is_its_state!(Settled => ());

#[allow(private_interfaces)]
impl WaitState for Settled {
    type Output = ();

    fn begin(&mut self, task: &TaskRef) {
        if let Some(scheduler) = task.scheduler() {
            let key = scheduler.add_settled(Waiter::new(task));
            self.stage = Stage::Queued(scheduler, key);
        }
    }

    fn is_ready(&self) -> bool {
        match &self.stage {
            Stage::Init => false,
            Stage::Queued(scheduler, key) => !scheduler.is_in_settled(*key),
            Stage::Over => true,
        }
    }

    fn take(&mut self) -> Result<()> {
        if self.is_ready() {
            self.stage = Stage::Over;
            Ok(())
        } else {
            Err(polled_after_completion())
        }
    }
}

impl Drop for Settled {
    fn drop(&mut self) {
        if let Stage::Queued(scheduler, key) = &self.stage
            && let Some(waiter) = scheduler.remove_settled(*key)
        {
            waiter.give_up();
        }
    }
}
