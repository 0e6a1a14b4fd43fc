//! What may be yielded, and what comes back.

use std::panic::Location;
use std::task::Poll;

use crate::error::{Error, Result};
use crate::scheduler::{Header, Outcome, Resume, State, Task, TaskName, TaskRef, second_wait, stale_resume};

/// What a coroutine can `yield`: it waits until the thing is there, and gets its `Output`.
///
/// The [crate's page](crate#what-can-be-yielded) lists all there is. The trait is sealed: new kinds of waits are built by
/// writing coroutines.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be yielded",
    label = "this is nothing that a coroutine can wait for",
    note = "yield nothing, a coroutine (`Coro`, `Shared`), a tuple, array, `Vec` or `Option` of such, or one of tinyield's \
            waits: `sleep(..)`, `spawn(..)`, `event.wait()`, .. A future is awaited (`future.await`) or wrapped \
            (`yield from_future(future)`)."
)]
pub trait Wait: private::Sealed {
    /// What the `yield` gives.
    type Output: 'static;

    /// The wait, once it owns what it needs.
    #[doc(hidden)]
    type State: WaitState<Output = Self::Output>;

    #[doc(hidden)]
    fn into_state(self) -> Self::State;

    /// A coroutine that does nothing but wait for this.
    #[doc(hidden)]
    #[track_caller]
    fn into_task(self) -> private::AnyTask<Self::Output>
    where
        Self: Sized,
    {
        private::AnyTask(task_of(self.into_state()))
    }
}

/// A wait that owns what it needs. It is begun once, and its output is taken once, when all of its parts are there.
///
/// Dropped before, it gives up: no part of it stays behind.
#[doc(hidden)]
#[allow(private_interfaces)]
pub trait WaitState: private::Sealed + 'static {
    type Output: 'static;

    /// Whether a cancellation waits for it, instead of the other way around.
    const SHIELDED: bool = false;

    /// Begins to wait in the name of `task`: for each part that is not there yet, registers a `Waiter`.
    fn begin(&mut self, task: &TaskRef);

    /// Whether all parts are there.
    fn is_ready(&self) -> bool;

    /// What a part that has failed is to raise.
    fn failure(&self) -> Option<Error> {
        None
    }

    /// Whether a part has failed, also if that is not to be raised.
    fn has_failed(&self) -> bool {
        self.failure().is_some()
    }

    /// The output. Raises what a part is to raise, also if a part is not there, which only misuse can bring about.
    fn take(&mut self) -> Result<Self::Output>;

    /// What the `yield` gives when `error` is raised at it.
    fn raised(&mut self, error: Error) -> Result<Self::Output> {
        Err(error)
    }
}

pub(crate) mod private {
    use crate::scheduler::Task;

    pub trait Sealed {}

    /// Keeps the scheduler's type out of a public signature.
    #[allow(missing_debug_implementations)]
    pub struct AnyTask<T>(pub(crate) Task<T>);
}

/// The name of coroutines that only carry a wait.
pub(crate) struct Internal;

impl TaskName for Internal {
    const NAME: &'static str = "";
}

/// A task that does nothing but wait.
#[track_caller]
pub(crate) fn task_of<X: WaitState>(waiting: X) -> Task<X::Output> {
    // It is not its own line that is of interest to anybody.
    let location = Location::caller();
    Task::new::<Internal, _>(
        #[coroutine]
        static move |mut resume: Resume| {
            let mut begun = ActiveWait::begin_at(&resume, waiting, location);
            Outcome(suspend_until!(resume, begun.poll(&resume)))
        },
    )
}

/// Polls until the result is there, and suspends the coroutine in between.
///
/// `$resume` is the variable with the last `Resume`; `$poll` is the expression that polls.
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

/// The error of a wait that is asked for its output when it has none: it was polled again after it was ready, or with the
/// `Resume` of another coroutine.
#[track_caller]
#[cold]
#[inline(never)]
pub(crate) fn polled_after_completion() -> Error {
    Error::msg("a wait was polled after it had been ready, or with the `Resume` of another coroutine")
}

/// A wait that has begun: to be [polled](ActiveWait::poll) at once, and after each resumption until it is ready.
///
/// Dropped before, it gives up, and leaves nothing behind.
#[must_use = "a wait that has begun is to be polled"]
pub struct ActiveWait<X: WaitState> {
    waiting: X,
}

impl<X: WaitState> std::fmt::Debug for ActiveWait<X> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ActiveWait").field("ready", &self.waiting.is_ready()).finish_non_exhaustive()
    }
}

impl<X: WaitState> ActiveWait<X> {
    #[inline]
    #[track_caller]
    pub(crate) fn begin(resume: &Resume, waiting: X) -> ActiveWait<X> {
        ActiveWait::begin_at(resume, waiting, Location::caller())
    }

    #[inline]
    pub(crate) fn begin_at(resume: &Resume, waiting: X, location: &'static Location<'static>) -> ActiveWait<X> {
        let mut begun = ActiveWait::unbegun(waiting);
        begun.begin_in_place(resume, location);
        begun
    }

    /// Is to be begun right away.
    #[inline]
    pub(crate) fn unbegun(waiting: X) -> ActiveWait<X> {
        ActiveWait { waiting }
    }

    #[inline]
    pub(crate) fn begin_in_place(&mut self, resume: &Resume, location: &'static Location<'static>) {
        if resume.task.begin_wait(X::SHIELDED, location) {
            self.waiting.begin(&resume.task);
        }
    }

    /// What it waited for, if that is there; if not, the coroutine is to suspend itself and ask again when it is resumed.
    ///
    /// The first time it is never ready: every wait is a turn.
    ///
    /// # Errors
    ///
    /// The [`Cancelled`](crate::Cancelled) of the coroutine, or what came instead of an output.
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
            return Poll::Ready(self.waiting.take());
        }
        if X::SHIELDED {
            task.set(State::SHIELDED);
        }
        Poll::Pending
    }

    #[inline(never)]
    fn poll_slow(&mut self, task: &Header) -> Poll<Result<X::Output>> {
        if !task.has(State::RUNNING) {
            return Poll::Ready(self.waiting.raised(stale_resume(task.location.get())));
        }
        if task.has(State::CANCELLED) && !X::SHIELDED {
            return self.poll_cancelled(task);
        }
        if task.has(State::SECOND_WAIT) {
            return Poll::Ready(self.waiting.raised(second_wait(task.location.get())));
        }
        if task.has(State::WAIT_BEGUN) {
            return Poll::Pending;
        }
        if task.has(State::CANCELLED) && self.waiting.has_failed() {
            // What failed behind the shield was told already.
            task.reset_cancel_count();
            return self.poll_cancelled(task);
        }
        if let Some(error) = self.waiting.failure() {
            return Poll::Ready(self.waiting.raised(error));
        }
        if self.waiting.is_ready() {
            if X::SHIELDED {
                task.reset_cancel_count();
            }
            return Poll::Ready(self.waiting.take());
        }
        if X::SHIELDED {
            task.set(State::SHIELDED);
        }
        Poll::Pending
    }

    #[cold]
    fn poll_cancelled(&mut self, task: &Header) -> Poll<Result<X::Output>> {
        match task.raise_cancelled() {
            Some(error) => Poll::Ready(self.waiting.raised(error)),
            None => Poll::Pending,
        }
    }
}

// Nothing: one turn of the others.

impl private::Sealed for () {}

impl Wait for () {
    type Output = ();
    type State = ();

    #[inline]
    fn into_state(self) {}
}

#[allow(private_interfaces)]
impl WaitState for () {
    type Output = ();

    #[inline]
    fn begin(&mut self, _: &TaskRef) {}

    fn is_ready(&self) -> bool {
        true
    }

    #[inline]
    fn take(&mut self) -> Result<()> {
        Ok(())
    }
}

// All of them at once.

impl<W> private::Sealed for Vec<W> {}

impl<W: Wait> Wait for Vec<W> {
    type Output = Vec<W::Output>;
    type State = Vec<W::State>;

    fn into_state(self) -> Vec<W::State> {
        self.into_iter().map(Wait::into_state).collect()
    }
}

#[allow(private_interfaces)]
impl<X: WaitState> WaitState for Vec<X> {
    type Output = Vec<X::Output>;

    fn begin(&mut self, task: &TaskRef) {
        for part in self {
            part.begin(task);
        }
    }

    fn is_ready(&self) -> bool {
        self.iter().all(X::is_ready)
    }

    fn failure(&self) -> Option<Error> {
        self.iter().find_map(X::failure)
    }

    fn take(&mut self) -> Result<Vec<X::Output>> {
        let mut outputs = Vec::with_capacity(self.len());
        for part in self {
            outputs.push(part.take()?);
        }
        Ok(outputs)
    }
}

impl<W, const N: usize> private::Sealed for [W; N] {}

impl<W: Wait, const N: usize> Wait for [W; N] {
    type Output = [W::Output; N];
    type State = [W::State; N];

    fn into_state(self) -> [W::State; N] {
        self.map(Wait::into_state)
    }
}

#[allow(private_interfaces)]
impl<X: WaitState, const N: usize> WaitState for [X; N] {
    type Output = [X::Output; N];

    fn begin(&mut self, task: &TaskRef) {
        for part in self {
            part.begin(task);
        }
    }

    fn is_ready(&self) -> bool {
        self.iter().all(X::is_ready)
    }

    fn failure(&self) -> Option<Error> {
        self.iter().find_map(X::failure)
    }

    fn take(&mut self) -> Result<[X::Output; N]> {
        let mut error = None;
        let outputs =
            self.each_mut().map(|part| part.take().map_err(|raised| error.get_or_insert(raised).clone()).ok());
        match error {
            None => Ok(outputs.map(|output| output.expect("no part has raised"))),
            Some(error) => Err(error),
        }
    }
}

impl<W> private::Sealed for Option<W> {}

impl<W: Wait> Wait for Option<W> {
    type Output = Option<W::Output>;
    type State = Option<W::State>;

    fn into_state(self) -> Option<W::State> {
        self.map(Wait::into_state)
    }
}

#[allow(private_interfaces)]
impl<X: WaitState> WaitState for Option<X> {
    type Output = Option<X::Output>;

    fn begin(&mut self, task: &TaskRef) {
        if let Some(part) = self {
            part.begin(task);
        }
    }

    fn is_ready(&self) -> bool {
        self.as_ref().is_none_or(X::is_ready)
    }

    fn failure(&self) -> Option<Error> {
        self.as_ref()?.failure()
    }

    fn take(&mut self) -> Result<Option<X::Output>> {
        self.as_mut().map(X::take).transpose()
    }
}

/// Tuples of up to 12 can be waited for, spawned, and raced.
macro_rules! for_tuples {
    ($implement:ident) => {
        $implement!(A);
        $implement!(A B);
        $implement!(A B C);
        $implement!(A B C D);
        $implement!(A B C D E);
        $implement!(A B C D E F);
        $implement!(A B C D E F G);
        $implement!(A B C D E F G H);
        $implement!(A B C D E F G H I);
        $implement!(A B C D E F G H I J);
        $implement!(A B C D E F G H I J K);
        $implement!(A B C D E F G H I J K L);
    };
}

pub(crate) use for_tuples;

macro_rules! tuples {
    ($($name:ident)+) => {
        impl<$($name),+> private::Sealed for ($($name,)+) {}

        impl<$($name: Wait),+> Wait for ($($name,)+) {
            type Output = ($($name::Output,)+);
            type State = ($($name::State,)+);

            #[allow(non_snake_case)]
            fn into_state(self) -> Self::State {
                let ($($name,)+) = self;
                ($($name.into_state(),)+)
            }
        }

        #[allow(private_interfaces, non_snake_case)]
        impl<$($name: WaitState),+> WaitState for ($($name,)+) {
            type Output = ($($name::Output,)+);

            fn begin(&mut self, task: &TaskRef) {
                let ($($name,)+) = self;
                $($name.begin(task);)+
            }

            fn is_ready(&self) -> bool {
                let ($($name,)+) = self;
                $($name.is_ready())&&+
            }

            fn failure(&self) -> Option<Error> {
                let ($($name,)+) = self;
                None$(.or_else(|| $name.failure()))+
            }

            fn take(&mut self) -> Result<Self::Output> {
                let ($($name,)+) = self;
                Ok(($($name.take()?,)+))
            }
        }
    };
}

for_tuples!(tuples);
