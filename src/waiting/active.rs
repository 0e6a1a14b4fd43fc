//! A wait that has begun, as an [`ActiveWait`]. All waits of coroutines are begun and polled here.

use std::panic::Location;
use std::task::Poll;

use super::state::WaitState;
use crate::error::Result;
use crate::scheduler::{Header, Outcome, Resume, State, Task, TaskName, second_wait, stale_resume};

/// The name of internal tasks. Traces leave internal tasks out.
pub(crate) struct Internal;

impl TaskName for Internal {
    const NAME: &'static str = "";
}

/// Makes a task that waits for `state`, and ends with the output of `state`.
#[track_caller]
pub(crate) fn task_of<X: WaitState>(state: X) -> Task<X::Output> {
    // A trace has to show the line of the user, and not a line of this function.
    let location = Location::caller();
    Task::new::<Internal, _>(
        #[coroutine]
        static move |mut resume: Resume| {
            let mut wait = ActiveWait::begin_at(&resume, state, location);
            Outcome(suspend_until!(resume, wait.poll(&resume)))
        },
    )
}

/// Polls until the result is ready, and suspends the coroutine between two polls.
///
/// `$resume` is the variable with the last `Resume`. `$poll` is the expression that polls.
macro_rules! suspend_until {
    ($resume:ident, $poll:expr) => {
        loop {
            match $poll {
                std::task::Poll::Ready(result) => break result,
                std::task::Poll::Pending => $resume = yield crate::scheduler::Suspend,
            }
        }
    };
}

pub(crate) use suspend_until;

/// A wait that has begun. [Poll](ActiveWait::poll) it at once, and after each resumption until it is ready.
///
/// If it is dropped before it is ready, the wait gives up: no waiter stays registered.
#[must_use = "a wait that has begun has to be polled"]
pub struct ActiveWait<X: WaitState> {
    state: X,
}

impl<X: WaitState> std::fmt::Debug for ActiveWait<X> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ActiveWait").field("ready", &self.state.is_ready()).finish_non_exhaustive()
    }
}

impl<X: WaitState> ActiveWait<X> {
    #[inline]
    pub(crate) fn begin_at(resume: &Resume, state: X, location: &'static Location<'static>) -> ActiveWait<X> {
        let mut wait = ActiveWait::unbegun(state);
        wait.begin_in_place(resume, location);
        wait
    }

    /// Makes a wait that has not begun. The caller has to begin it at once.
    #[inline]
    pub(crate) fn unbegun(state: X) -> ActiveWait<X> {
        ActiveWait { state }
    }

    #[inline]
    pub(crate) fn begin_in_place(&mut self, resume: &Resume, location: &'static Location<'static>) {
        if resume.task.begin_wait(X::SHIELDED, location) {
            self.state.begin(&resume.task);
        }
    }

    /// Returns the output when the wait is ready. While the wait is pending, suspend the coroutine, and poll again after the
    /// coroutine was resumed.
    ///
    /// The first poll is pending even if the wait is over already, because each wait ends the turn. Only an error is raised at once.
    ///
    /// # Errors
    ///
    /// - The error of a coroutine that the wait waits for, or the error of another part of the wait.
    /// - [`Cancelled`](crate::Cancelled), if the coroutine is cancelled.
    /// - An error that describes a misuse. There are three misuses: another wait was unfinished when this one began, this wait
    ///   has already returned its output, or `resume` is not the last `Resume` of this coroutine.
    #[inline]
    pub fn poll(&mut self, resume: &Resume) -> Poll<Result<X::Output>> {
        let task = &resume.task;
        if task.has(State::SLOW) || !task.has(State::RUNNING) {
            return self.poll_slow(task);
        }
        if task.has(State::WAIT_BEGUN) {
            return Poll::Pending;
        }
        if task.pending.get() == 0 {
            return Poll::Ready(self.state.take());
        }
        if X::SHIELDED {
            task.set(State::SHIELDED);
        }
        Poll::Pending
    }

    #[inline(never)]
    fn poll_slow(&mut self, task: &Header) -> Poll<Result<X::Output>> {
        if !task.has(State::RUNNING) {
            return Poll::Ready(self.state.raised(stale_resume(task.location.get())));
        }
        if task.has(State::RACING) && !task.has(State::WAIT_BEGUN) {
            self.state.decide_races();
        }
        if task.has(State::CANCELLED) && !X::SHIELDED {
            if task.keeps_arrived(|| self.state.gives_back()) && self.state.carries_value() && self.state.has_value() {
                return Poll::Ready(self.state.take());
            }
            return self.poll_cancelled(task);
        }
        if task.has(State::WAIT_REFUSED) {
            return Poll::Ready(self.state.raised(second_wait(task.location.get())));
        }
        if task.has(State::WAIT_BEGUN) {
            return Poll::Pending;
        }
        if task.has(State::CANCELLED) && self.state.has_failed() {
            // The domain has recorded this error already. So the coroutine gets its own cancellation, and not this error.
            task.reset_cancel_count();
            return self.poll_cancelled(task);
        }
        if let Some(error) = self.state.failure() {
            return Poll::Ready(self.state.raised(error));
        }
        if self.state.is_ready() {
            if X::SHIELDED {
                task.reset_cancel_count();
            }
            task.unset(State::RACING);
            return Poll::Ready(self.state.take());
        }
        if X::SHIELDED {
            task.set(State::SHIELDED);
        }
        Poll::Pending
    }

    #[cold]
    fn poll_cancelled(&mut self, task: &Header) -> Poll<Result<X::Output>> {
        match task.raise_cancelled() {
            Some(error) => Poll::Ready(self.state.raised(error)),
            None => Poll::Pending,
        }
    }
}
