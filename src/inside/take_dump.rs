//! [`dump`], the wait that takes a dump from inside of the loop.
//!
//! The wait adds a wake slot for a function ([`WakeTarget::Call`](crate::scheduler::WakeTarget)), and wakes it. The loop calls the
//! function between two rounds.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use crate::error::Result;
use crate::reports::dump::Dump;
use crate::scheduler::{Scheduler, TaskRef, Waiter, WakeSlot, WakeTarget};
use crate::waiting::state::{WaitState, polled_after_completion};
use crate::waiting::yieldable::wait_is_its_state;

/// A wait for a [`Dump`] of the loop: the `yield` returns what each coroutine of the loop waits for.
///
/// The dump is taken between two rounds. In it, the coroutine that asks for the dump waits for `this dump`. If this loop runs
/// inside of another loop, the dump has only the coroutines of this inner loop.
///
/// Unlike [`Loop::view`](crate::Loop::view), this function costs nothing until it is used. But only an
/// [observed](crate::Loop::view) loop notes which coroutine started which. In a loop that is not observed, a coroutine that
/// nothing waits for is listed below the first coroutine of its scope.
///
/// ```
/// use std::time::Duration;
/// use tinyield::{Coro, Loop, coro, dump, sleep, timeout};
///
/// #[coro]
/// fn slow() -> Coro<()> {
///     yield sleep(Duration::from_secs(3600));
/// }
///
/// #[coro]
/// fn ask() -> Coro<String> {
///     yield; // `slow` begins to sleep
///     let dump = yield dump();
///     dump.tasks()[1].waits_on().to_string()
/// }
///
/// let (words, _) = Loop::new().run((ask(), timeout(slow(), Duration::from_millis(5)))).unwrap();
/// assert_eq!(words, "a timer");
/// ```
///
/// # Cancellation
///
/// If the wait is cancelled, no dump is taken.
pub fn dump() -> TakeDump {
    TakeDump { stage: Stage::Init }
}

/// The [`Wait`](crate::Wait) that [`dump`](crate::dump()) returns.
#[must_use = "it gives the dump when it is yielded"]
pub struct TakeDump {
    stage: Stage,
}

enum Stage {
    Init,
    Asked(Rc<Asked>),
    Over,
}

/// The data that the wait shares with the function that the loop calls between two rounds.
struct Asked {
    scheduler: Rc<Scheduler>,
    wake_slot: Cell<Option<Arc<WakeSlot>>>,
    waiter: Cell<Option<Waiter>>,
    dump: Cell<Option<Dump>>,
}

impl Asked {
    /// Takes the dump. Called between two rounds.
    fn answer(&self) {
        if let Some(waiter) = self.waiter.take() {
            self.dump.set(Some(self.scheduler.take_dump(Some(waiter.task()))));
            waiter.settle();
        }
        self.remove_wake_slot();
    }

    fn remove_wake_slot(&self) {
        if let Some(wake_slot) = self.wake_slot.take() {
            self.scheduler.remove_wake_slot(&wake_slot);
        }
    }

    fn has_dump(&self) -> bool {
        let dump = self.dump.take();
        let has_dump = dump.is_some();
        self.dump.set(dump);
        has_dump
    }
}

impl fmt::Debug for TakeDump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TakeDump").finish_non_exhaustive()
    }
}

wait_is_its_state!(leaf TakeDump => Dump);

#[allow(private_interfaces)]
impl WaitState for TakeDump {
    type Output = Dump;

    fn begin(&mut self, task: &TaskRef) {
        let Some(scheduler) = task.scheduler() else { return };
        let asked = Rc::new(Asked {
            scheduler: scheduler.clone(),
            wake_slot: Cell::default(),
            waiter: Cell::new(Some(Waiter::new(task))),
            dump: Cell::default(),
        });
        let weak = Rc::downgrade(&asked);
        let call = move || {
            if let Some(asked) = weak.upgrade() {
                asked.answer();
            }
        };
        let wake_slot = scheduler.add_wake_slot(WakeTarget::Call(Rc::new(call)));
        WakeSlot::wake(&wake_slot);
        asked.wake_slot.set(Some(wake_slot));
        self.stage = Stage::Asked(asked);
    }

    fn is_ready(&self) -> bool {
        match &self.stage {
            Stage::Init => false,
            Stage::Asked(asked) => asked.has_dump(),
            Stage::Over => true,
        }
    }

    fn take(&mut self) -> Result<Dump> {
        let dump = match &self.stage {
            Stage::Asked(asked) => asked.dump.take(),
            _ => None,
        };
        if dump.is_some() {
            self.stage = Stage::Over;
        }
        dump.ok_or_else(polled_after_completion)
    }
}

impl Drop for TakeDump {
    fn drop(&mut self) {
        if let Stage::Asked(asked) = &self.stage {
            asked.remove_wake_slot();
            if let Some(waiter) = asked.waiter.take() {
                waiter.give_up();
            }
        }
    }
}
