//! A loop as a future: run by whoever polls it.

use std::fmt;
use std::panic::Location;
use std::task::{Context, Poll};

use crate::error::{Grouping, LoopError};
use crate::reactor::Clock;
use crate::run::Run;
use crate::scheduler::Task;
use crate::wait::Wait;
use crate::wait::private::AnyTask;

/// A run that begins when it is polled first, and waits by the host's wakers and by a timer of async-io: that is smol's own,
/// and async-std's.
///
/// Dropped half-way, it drops the run, which cancels and joins.
pub(super) struct Hosted<T: 'static> {
    state: State<T>,
    /// The function that the user called.
    name: &'static str,
}

enum State<T: 'static> {
    Unstarted { main: Task<T>, grouping: Grouping, location: &'static Location<'static> },
    Running { run: Run<T>, clock: Clock },
    Over,
}

impl<T: 'static> Hosted<T> {
    #[track_caller]
    pub(super) fn new<W: Wait<Output = T>>(name: &'static str, wait: W) -> Hosted<T> {
        let AnyTask(main) = wait.into_task();
        let state = State::Unstarted { main, grouping: Grouping::default(), location: Location::caller() };
        Hosted { state, name }
    }

    pub(super) fn set_grouping(&mut self, new: Grouping) {
        if let State::Unstarted { grouping, .. } = &mut self.state {
            *grouping = new;
        }
    }

    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<T, LoopError>> {
        self.begin();
        let State::Running { run, clock } = &mut self.state else {
            panic!("the future of `{}` was polled after it had given its output", self.name)
        };
        if let Poll::Ready(result) = run.poll(context) {
            self.state = State::Over;
            return Poll::Ready(result);
        }
        // A run that is not idle has woken the host already. One whose time has come since is for the next poll, however
        // often that happens: the host's other tasks come first.
        if run.is_idle() && clock.poll_until(run.deadline(), context).is_ready() {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }

    fn begin(&mut self) {
        if let State::Unstarted { .. } = self.state
            && let State::Unstarted { main, grouping, location } = std::mem::replace(&mut self.state, State::Over)
        {
            self.state = State::Running { run: Run::start(main, grouping, None, location), clock: Clock::default() };
        }
    }
}

impl<T> fmt::Debug for Hosted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Unstarted { .. } => "Unstarted",
            State::Running { .. } => "Running",
            State::Over => "Over",
        })
    }
}

// Nothing of it is pinned: coroutines are, each in an allocation of its own.
impl<T> Unpin for Hosted<T> {}
