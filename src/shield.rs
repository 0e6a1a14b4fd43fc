//! Shields: waits that cannot be cancelled.

use std::fmt;

use crate::error::{Error, Result};
use crate::scheduler::{ScopeKind, TaskRef};
use crate::waiting::scoped::Scoped;
use crate::waiting::state::WaitState;
use crate::waiting::yieldable::{Wait, wait_is_its_state};

/// Waits for `wait`, and puts off every cancellation until the wait is over. Use it if the cleanup of a coroutine has to wait for
/// something.
///
/// A coroutine that is cancelled before or during this wait still gets the output. Its next `yield` raises the cancellation.
/// Coroutines that `wait` started are shielded too. When the wait is over, those that are still in the background are no longer
/// shielded. A gather of shields, such as `(shield(a), shield(b))`, is shielded, too. If any part is not a shield, the gather is not
/// shielded.
///
/// ```
/// use std::time::Duration;
/// use tinyield::{Loop, catch, co, shield, sleep, timeout};
///
/// let polite = co! {
///     if let Err(cancelled) = yield catch(sleep(Duration::from_secs(60))) {
///         yield shield(sleep(Duration::from_millis(1)));
///         println!("said goodbye");
///         Err(cancelled)?;
///     }
/// };
/// let main = co! { yield timeout(polite, Duration::from_millis(1)) };
/// assert!(Loop::new().run(main).unwrap().is_err());
/// ```
///
/// # Cancellation
///
/// A cancellation has no effect before the wait is over.
#[track_caller]
pub fn shield<W: Wait>(wait: W) -> Shield<W::Output> {
    Shield { work: Scoped::new(wait) }
}

/// The [`Wait`](crate::Wait) that [`shield`](crate::shield) returns.
#[must_use = "nothing starts before this is yielded"]
pub struct Shield<T: 'static> {
    work: Scoped<T>,
}

impl<T> fmt::Debug for Shield<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shield").field("task", self.work.task()).finish()
    }
}

wait_is_its_state!(Shield<T> => T);

#[allow(private_interfaces)]
impl<T: 'static> WaitState for Shield<T> {
    type Output = T;

    const SHIELDED: bool = true;

    fn begin(&mut self, task: &TaskRef) {
        self.work.begin(task, ScopeKind::Shield);
    }

    fn is_ready(&self) -> bool {
        self.work.is_ended()
    }

    fn failure(&self) -> Option<Error> {
        if self.is_ready() { self.work.task().error() } else { None }
    }

    fn take(&mut self) -> Result<T> {
        self.work.take_ended()?;
        self.work.take_output()
    }
}

impl<T> Drop for Shield<T> {
    fn drop(&mut self) {
        if let Some(waiting) = self.work.scope().and_then(|scope| scope.owner()) {
            waiting.leave_shield();
        }
    }
}
