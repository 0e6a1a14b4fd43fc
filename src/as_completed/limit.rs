//! `as_completed` with a limit: the wait that starts the first coroutines.

use std::fmt;
use std::panic::Location;

use super::AsCompleted;
use super::completion::Completion;
use super::source::{Iter, Source};
use crate::coro::Coro;
use crate::error::Result;
use crate::scheduler::TaskRef;
use crate::waiting::state::{WaitState, polled_after_completion};
use crate::waiting::yieldable::wait_is_its_state;

/// The [`Wait`](crate::Wait) that [`as_completed(..).limit(..)`](super::StartAsCompleted::limit) returns.
#[must_use = "nothing starts before this is yielded"]
pub struct StartLimited<T: 'static> {
    iterator: Option<Iter<T>>,
    limit: usize,
    started: Option<AsCompleted<T>>,
    location: &'static Location<'static>,
}

impl<T> StartLimited<T> {
    pub(super) fn new(
        iterator: impl Iterator<Item = Coro<T>> + 'static,
        limit: usize,
        location: &'static Location<'static>,
    ) -> StartLimited<T> {
        StartLimited { iterator: Some(Box::new(iterator)), limit, started: None, location }
    }
}

impl<T> fmt::Debug for StartLimited<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartLimited").field("limit", &self.limit).finish_non_exhaustive()
    }
}

wait_is_its_state!(StartLimited<T> => AsCompleted<T>);

#[allow(private_interfaces)]
impl<T: 'static> WaitState for StartLimited<T> {
    type Output = AsCompleted<T>;

    fn begin(&mut self, task: &TaskRef) {
        let Some(iterator) = self.iterator.take() else { return };
        let completion = Completion::new(Some(Source::new(iterator)), self.location);
        for _ in 0..self.limit {
            if !completion.start_next(task) {
                break;
            }
        }
        self.started = Some(AsCompleted { completion, next: 0 });
    }

    fn is_ready(&self) -> bool {
        self.started.is_some()
    }

    fn take(&mut self) -> Result<AsCompleted<T>> {
        self.started.take().ok_or_else(polled_after_completion)
    }
}
