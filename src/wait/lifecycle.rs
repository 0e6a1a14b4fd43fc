//! The life of a wait. A coroutine yields a [`Wait`]. The wait is converted into its [`WaitState`], and the coroutine polls the
//! state as an [`ActiveWait`].
//!
//! All waits of coroutines begin and are polled here. This file relies on the scheduler: each part that is not ready registers
//! a `Waiter`, which counts as pending, and the coroutine continues when no part is pending.

use std::panic::Location;
use std::task::Poll;

use super::kind::RaceKind;
use super::map::Map;
use crate::error::{Error, Result};
use crate::scheduler::{Header, Outcome, Resume, State, Task, TaskName, TaskRef, second_wait, stale_resume};

/// A value that a coroutine can `yield`: the coroutine waits until the value is ready, and the `yield` returns its `Output`.
///
/// The [page of the crate](crate#what-can-be-yielded) lists all waits. The trait is sealed: to make a new kind of wait, write
/// a coroutine.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be yielded",
    label = "a coroutine cannot wait for this",
    note = "yield nothing, a coroutine (`Coro`, `Shared`), a tuple (of at most 12 parts), array, `Vec` or `Option` of \
            them, or one of tinyield's waits: `sleep(..)`, `spawn(..)`, `event.wait()`, .. To wait for a future, use \
            `future.await` or `yield from_future(future)`."
)]
pub trait Wait: private::Sealed {
    /// What the `yield` returns.
    type Output: 'static;

    /// The state of the wait, which owns all its data.
    #[doc(hidden)]
    type State: WaitState<Output = Self::Output>;

    #[doc(hidden)]
    fn into_state(self) -> Self::State;

    /// Whether it is a leaf for a [`race`](crate::race).
    #[doc(hidden)]
    type Kind: RaceKind;

    /// The same wait with an output of another type: `change` is called with the output when the wait is over.
    ///
    /// It starts no coroutine and does not allocate. Use it to give all waits of a [`race`](crate::race) the same type of output.
    ///
    /// ```
    /// use tinyield::{Event, Loop, channel, co, race};
    ///
    /// enum Next {
    ///     Job(u32),
    ///     Stop,
    /// }
    ///
    /// let (sender, jobs) = channel::unbounded();
    /// let stop = Event::new();
    /// for job in 1..=3 {
    ///     sender.try_send(job).unwrap();
    /// }
    /// let main = co! {
    ///     let mut sum = 0;
    ///     while sum < 6 {
    ///         let job = jobs.recv().map(|job| Next::Job(job.expect("the sender is there")));
    ///         match yield race((job, stop.wait().map(|()| Next::Stop))) {
    ///             Next::Job(number) => sum += number,
    ///             Next::Stop => break,
    ///         }
    ///     }
    ///     sum
    /// };
    /// assert_eq!(Loop::new().run(main).unwrap(), 6);
    /// # drop(sender);
    /// ```
    ///
    /// All waits of the library also have `map` as a method of their own, so that [`Wait`] need not be imported. Only tuples and
    /// `Vec`s need the import. For an array or an `Option`, `map` is the method of the standard library: put the array or the
    /// `Option` into a tuple, or map the outputs after the `yield`.
    fn map<F, U>(self, change: F) -> Map<Self, F>
    where
        Self: Sized,
        F: FnOnce(Self::Output) -> U + 'static,
        U: 'static,
    {
        Map::new(self, change)
    }

    /// Makes a task that waits for this wait, and ends with the output of this wait.
    #[doc(hidden)]
    #[track_caller]
    fn into_task(self) -> private::AnyTask<Self::Output>
    where
        Self: Sized,
    {
        private::AnyTask(task_of(self.into_state()))
    }
}

/// The state of a wait. It owns all its data. It begins once, and when all its parts are ready, its output is taken once.
///
/// If the state is dropped before its output is taken, the wait gives up: it removes every waiter that it has registered.
#[doc(hidden)]
#[allow(private_interfaces)]
pub trait WaitState: private::Sealed + 'static {
    type Output: 'static;

    /// Whether a cancellation is put off until the wait is over.
    const SHIELDED: bool = false;

    /// Whether [`take`](WaitState::take) may raise an error of which the task was not notified when the error came up. If it
    /// may, a collection of waits looks for errors before it takes any output, so that no output is lost.
    const RAISES_LATE: bool = false;

    /// Begins the wait of `task`: registers a `Waiter` for each part that is not ready.
    fn begin(&mut self, task: &TaskRef);

    /// Whether all parts are ready.
    fn is_ready(&self) -> bool;

    /// Whether the output is a value that can be lost. False if the output only says that the wait is over.
    fn carries_value(&self) -> bool {
        false
    }

    /// Whether dropping the state gives back everything that has arrived. For example, a message goes back to its channel, and
    /// a permit to its semaphore.
    fn gives_back(&self) -> bool {
        false
    }

    /// Whether the wait is ready and has an output. A wait for a task that was ended by a cancellation has no output.
    fn has_value(&self) -> bool {
        self.is_ready() && !self.has_failed()
    }

    /// The error of a part that has failed.
    fn failure(&self) -> Option<Error> {
        None
    }

    /// Whether a part has failed. Unlike [`failure`](WaitState::failure), this also counts errors that are not raised.
    fn has_failed(&self) -> bool {
        self.failure().is_some()
    }

    /// Decides the races of leaves in this wait. If a leaf of a race is ready, the race gives up its other leaves.
    fn decide_races(&mut self) {}

    /// Takes the output, or returns the error of a part. If a part is not ready, this returns an error. Only misuse can cause
    /// that.
    fn take(&mut self) -> Result<Self::Output>;

    /// What the `yield` returns when `error` is raised at it.
    fn raised(&mut self, error: Error) -> Result<Self::Output> {
        Err(error)
    }
}

pub(crate) mod private {
    use crate::scheduler::Task;

    pub trait Sealed {}

    /// A wrapper that keeps a type of the scheduler out of a public signature.
    #[allow(missing_debug_implementations)]
    pub struct AnyTask<T>(pub(crate) Task<T>);
}

/// Gives a type that implements [`Wait`] the method `map` of that trait, for code that does not import the trait.
macro_rules! inherent_map {
    ([$($T:ident $(: $bound:path)?),*] $wait:ty) => {
        impl<$($T: $($bound +)? 'static),*> $wait {
            /// The same wait with an output of another type. See [`Wait::map`](crate::Wait::map).
            pub fn map<F, U>(self, change: F) -> $crate::wait::Map<Self, F>
            where
                F: FnOnce(<Self as $crate::wait::Wait>::Output) -> U + 'static,
                U: 'static,
            {
                $crate::wait::Map::new(self, change)
            }
        }
    };
}

pub(crate) use inherent_map;

/// Implements [`Wait`] for a type that is its own [`WaitState`]. Write `leaf` if a race can give up the wait by dropping it.
macro_rules! wait_is_its_state {
    ($wait:ident $(<$T:ident>)? => $output:ty) => {
        $crate::wait::lifecycle::wait_is_its_state!($wait $(<$T>)? => $output, Work);
    };
    (leaf $wait:ident $(<$T:ident>)? => $output:ty) => {
        $crate::wait::lifecycle::wait_is_its_state!($wait $(<$T>)? => $output, Leaf);
    };
    ($wait:ident $(<$T:ident>)? => $output:ty, $kind:ident) => {
        impl $(<$T>)? $crate::wait::private::Sealed for $wait $(<$T>)? {}

        $crate::wait::lifecycle::inherent_map!([$($T)?] $wait $(<$T>)?);

        impl $(<$T: 'static>)? $crate::wait::Wait for $wait $(<$T>)? {
            type Output = $output;
            type State = Self;
            type Kind = $crate::wait::kind::$kind;

            #[inline]
            fn into_state(self) -> Self {
                self
            }
        }
    };
}

pub(crate) use wait_is_its_state;

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

/// The error of a wait that has no output because of misuse.
#[track_caller]
#[cold]
#[inline(never)]
pub(crate) fn polled_after_completion() -> Error {
    Error::msg("a wait was polled after it had been ready, or with the `Resume` of another coroutine")
}

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
