//! [`Map`], a wait whose output is converted by a closure.

use std::fmt;

use super::lifecycle::private::Sealed;
use super::lifecycle::{Wait, WaitState, polled_after_completion};
use crate::error::{Error, Result};
use crate::scheduler::TaskRef;

/// A [`Wait`] with an output of another type. Returned by [`Wait::map`].
#[must_use = "nothing is waited for before this is yielded"]
pub struct Map<W, F> {
    wait: W,
    change: F,
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

impl<W, F, U> Wait for Map<W, F>
where
    W: Wait,
    F: FnOnce(W::Output) -> U + 'static,
    U: 'static,
{
    type Output = U;
    type State = Mapping<W::State, F>;
    type Kind = W::Kind;

    fn into_state(self) -> Mapping<W::State, F> {
        Mapping { state: self.wait.into_state(), change: Some(self.change) }
    }
}

impl<W, F> Map<W, F> {
    /// The same wait with an output of another type. See [`Wait::map`].
    pub fn map<G, U>(self, change: G) -> Map<Self, G>
    where
        Self: Wait,
        G: FnOnce(<Self as Wait>::Output) -> U + 'static,
        U: 'static,
    {
        Map::new(self, change)
    }
}

#[doc(hidden)]
#[allow(missing_debug_implementations)]
pub struct Mapping<X, F> {
    state: X,
    change: Option<F>,
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
