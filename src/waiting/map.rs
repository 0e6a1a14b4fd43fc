//! [`Map`], a wait whose output is converted by a closure.

use std::fmt;

use super::state::private::Sealed;
use super::state::{WaitState, polled_after_completion};
use crate::error::{Error, Result};
use crate::scheduler::TaskRef;

/// A [`Wait`](crate::Wait) with an output of another type. Returned by [`Wait::map`](crate::Wait::map).
#[must_use = "nothing is waited for before this is yielded"]
pub struct Map<W, F> {
    pub(super) wait: W,
    pub(super) change: F,
}

impl<W, F> Map<W, F> {
    pub(crate) fn new(wait: W, change: F) -> Map<W, F> {
        Map { wait, change }
    }
}

impl<W: fmt::Debug, F> fmt::Debug for Map<W, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map").field("wait", &self.wait).finish_non_exhaustive()
    }
}

impl<W, F> Sealed for Map<W, F> {}

#[doc(hidden)]
#[allow(missing_debug_implementations)]
pub struct Mapping<X, F> {
    state: X,
    change: Option<F>,
}

impl<X, F> Mapping<X, F> {
    pub(super) fn new(state: X, change: F) -> Mapping<X, F> {
        Mapping { state, change: Some(change) }
    }
}

impl<X, F> Sealed for Mapping<X, F> {}

#[allow(private_interfaces)]
impl<X, F, U> WaitState for Mapping<X, F>
where
    X: WaitState,
    F: FnOnce(X::Output) -> U + 'static,
    U: 'static,
{
    type Output = U;

    const SHIELDED: bool = X::SHIELDED;
    const RAISES_LATE: bool = X::RAISES_LATE;

    fn begin(&mut self, task: &TaskRef) {
        self.state.begin(task);
    }

    fn is_ready(&self) -> bool {
        self.state.is_ready()
    }

    fn carries_value(&self) -> bool {
        self.state.carries_value()
    }

    fn gives_back(&self) -> bool {
        self.state.gives_back()
    }

    fn has_value(&self) -> bool {
        self.state.has_value()
    }

    fn failure(&self) -> Option<Error> {
        self.state.failure()
    }

    fn has_failed(&self) -> bool {
        self.state.has_failed()
    }

    fn decide_races(&mut self) {
        self.state.decide_races();
    }

    fn take(&mut self) -> Result<U> {
        let output = self.state.take()?;
        self.change.take().map(|change| change(output)).ok_or_else(polled_after_completion)
    }

    fn raised(&mut self, error: Error) -> Result<U> {
        let output = self.state.raised(error)?;
        self.change.take().map(|change| change(output)).ok_or_else(polled_after_completion)
    }
}
