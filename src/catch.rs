//! Catching the errors that a wait raises.

use crate::error::{Error, Result};
use crate::scheduler::TaskRef;
use crate::waiting::state::WaitState;
use crate::waiting::state::private::Sealed;
use crate::waiting::yieldable::{Wait, inherent_map};

/// Waits for `wait`. If `wait` raises an error, this returns the error as a value.
///
/// Use it to catch a cancellation, clean up, and raise the cancellation again. It does not catch the error of a coroutine that
/// `wait` started: such an error stops the loop, or the [`isolate`](crate::isolate) around it, and the coroutine that waits gets a
/// [`Cancelled`](crate::Cancelled).
///
/// ```
/// use std::time::Duration;
/// use tinyield::{Loop, Reason, catch, co, sleep};
///
/// let main = co! {
///     let watchful = co! {
///         let error = (yield catch(sleep(Duration::from_secs(60)))).unwrap_err();
///         assert!(matches!(error.as_cancelled().unwrap().reason(), Reason::Failed { name, .. } if name == "faulty"));
///         Err(error)?;
///     };
///     yield (watchful, co! { yield; Err("oh no")?; }.named("faulty"));
/// };
/// assert_eq!(Loop::new().run(main).unwrap_err().to_string(), "oh no");
/// ```
///
/// # Cancellation
///
/// The cancellation is returned as a value. If the coroutine continues, its next `yield` raises the cancellation again. A
/// coroutine that discards its cancellation 100 times in a row is dropped.
///
/// In a gather, a `catch` may have caught an error before the coroutine continues. If a timeout, an abort or a lost race cancels the
/// coroutine at that time, the outputs of other coroutines in the gather are dropped. Messages and permits go back.
pub fn catch<W: Wait>(wait: W) -> Catch<W> {
    Catch { wait }
}

/// The [`Wait`](crate::Wait) that [`catch`](crate::catch) returns.
#[must_use = "nothing starts before this is yielded"]
#[derive(Debug)]
pub struct Catch<W> {
    wait: W,
}

impl<W> Sealed for Catch<W> {}

inherent_map!([W: Wait] Catch<W>);

impl<W: Wait> Wait for Catch<W> {
    type Output = std::result::Result<W::Output, Error>;
    type State = Catching<W::State>;
    type Kind = W::Kind;

    fn into_state(self) -> Catching<W::State> {
        Catching(self.wait.into_state())
    }
}

#[doc(hidden)]
#[allow(missing_debug_implementations)]
pub struct Catching<X>(X);

impl<X> Sealed for Catching<X> {}

#[allow(private_interfaces)]
impl<X: WaitState> WaitState for Catching<X> {
    type Output = std::result::Result<X::Output, Error>;

    const SHIELDED: bool = X::SHIELDED;

    fn begin(&mut self, task: &TaskRef) {
        self.0.begin(task);
    }

    fn carries_value(&self) -> bool {
        self.0.carries_value()
    }

    fn gives_back(&self) -> bool {
        self.0.gives_back()
    }

    fn has_value(&self) -> bool {
        self.0.has_value()
    }

    fn is_ready(&self) -> bool {
        self.0.is_ready() || self.0.has_failed()
    }

    fn has_failed(&self) -> bool {
        self.0.has_failed()
    }

    fn decide_races(&mut self) {
        self.0.decide_races();
    }

    fn take(&mut self) -> Result<Self::Output> {
        Ok(match self.0.failure() {
            Some(error) => Err(error),
            None => self.0.take(),
        })
    }

    fn raised(&mut self, error: Error) -> Result<Self::Output> {
        Ok(Err(error))
    }
}
