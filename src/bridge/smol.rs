//! Loops inside smol programs, and their futures inside loops.

use std::pin::Pin;
use std::task::{Context, Poll};

use super::future::awaiting;
use super::host::Hosted;
use super::thread::Threaded;
use crate::coro::Coro;
use crate::error::{Grouping, LoopError};
use crate::scheduler::TaskName;
use crate::wait::Wait;

/// A loop that runs `wait`, as a future for smol: for [`block_on`](async_io::block_on), or a task of a `LocalExecutor`.
///
/// It begins when it is polled first, and is polled by smol's executor, on the executor's thread: smol's other tasks run while
/// it waits, and in between when it does not. It waits by smol's own timers and wakers, so it costs nothing while it is idle.
/// Nor is it [`Send`], as nothing of a loop is; [`to_smol_with`] is.
///
/// The thread is smol's, and any of its tasks may still set an event: so a loop that nothing else could wake is not an error
/// here, but a cycle of coroutines that wait on each other is.
///
/// ```
/// # #![feature(coroutines)]
/// use std::time::Duration;
/// use tinyield::{Coro, coro, sleep, to_smol};
///
/// #[coro]
/// fn add_one(x: i32) -> Coro<i32> {
///     yield sleep(Duration::from_millis(1));
///     x + 1
/// }
///
/// async_io::block_on(async {
///     assert_eq!(to_smol(add_one(3)).await.unwrap(), 4);
///     assert_eq!(to_smol((add_one(3), add_one(4))).await.unwrap(), (4, 5));
/// });
/// ```
///
/// # Errors
///
/// Its output is what [`Loop::run`](crate::Loop::run) would return.
///
/// # Panics
///
/// Polled, with what a coroutine, or a thread's closure, panicked with, when all the others have ended; and polled again after
/// that, or after it gave its output.
///
/// # Cancellation
///
/// Dropped half-way, it cancels all that it runs, and comes back when that has ended: it blocks the thread for as long as
/// cleaning up behind a [`shield`](crate::shield), or a thread that is told to stop, takes. A panic meanwhile goes on from
/// there.
#[track_caller]
pub fn to_smol<W: Wait>(wait: W) -> ToSmol<W::Output> {
    ToSmol(Hosted::new("to_smol", wait))
}

/// What [`to_smol`] gives: a future of what [`Loop::run`](crate::Loop::run) would return.
#[must_use = "nothing runs before this is awaited"]
#[derive(Debug)]
pub struct ToSmol<T: 'static>(Hosted<T>);

impl<T: 'static> ToSmol<T> {
    /// Which of the errors that come up while the loop stops are kept. Once it has been polled, of no effect.
    ///
    /// ```
    /// # #![feature(coroutines)]
    /// use tinyield::{Grouping, co, to_smol};
    ///
    /// let main = co! { yield (co! { yield; yield; }, co! { yield; Err("oh no")?; }); };
    /// let error = async_io::block_on(to_smol(main).grouping(Grouping::Always)).unwrap_err();
    /// assert_eq!(error.others().len(), 2); // the cancellations of the two others
    /// ```
    pub fn grouping(mut self, grouping: Grouping) -> ToSmol<T> {
        self.0.set_grouping(grouping);
        self
    }
}

impl<T: 'static> Future for ToSmol<T> {
    type Output = Result<T, LoopError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(context)
    }
}

/// As [`to_smol`], for a loop on a thread of its own: a [`Send`] future, for `smol::spawn` and other executors that move their
/// tasks between threads.
///
/// Polled first, it has `build` called on that thread, and what it gives run there: that need not be `Send`. The thread is
/// kept for the next. It is the loop's alone, so a [`Deadlock`](crate::Deadlock) is found, as by
/// [`Loop::run`](crate::Loop::run).
///
/// ```
/// # #![feature(coroutines)]
/// use std::rc::Rc;
/// use tinyield::{Coro, coro, to_smol_with};
///
/// #[coro]
/// fn length(text: Rc<str>) -> Coro<usize> {
///     text.len()
/// }
///
/// fn can_be_spawned<F: Future + Send + 'static>(future: F) -> F {
///     future
/// }
///
/// let future = can_be_spawned(to_smol_with(|| length(Rc::from("not Send"))));
/// assert_eq!(async_io::block_on(future).unwrap(), 8);
/// ```
///
/// # Errors
///
/// Its output is what [`Loop::run`](crate::Loop::run) would return; or that no thread could be started.
///
/// # Panics
///
/// As [`to_smol`]: a panic on that thread, also one of `build`, goes on from where this is polled, with its own payload.
///
/// # Cancellation
///
/// Dropped half-way, it cancels all that it runs, and comes back when that has ended; or at once, if it is dropped by what it runs.
/// If the thread had not come to it, it never begins.
#[track_caller]
pub fn to_smol_with<B, W>(build: B) -> ToSmolWith<W::Output>
where
    B: FnOnce() -> W + Send + 'static,
    W: Wait,
    W::Output: Send,
{
    ToSmolWith(Threaded::new("to_smol_with", build))
}

/// What [`to_smol_with`] gives: a `Send` future of what [`Loop::run`](crate::Loop::run) would return.
#[must_use = "nothing runs before this is awaited"]
#[derive(Debug)]
pub struct ToSmolWith<T: Send + 'static>(Threaded<T>);

impl<T: Send + 'static> ToSmolWith<T> {
    /// Which of the errors that come up while the loop stops are kept. Once it has been polled, of no effect.
    pub fn grouping(mut self, grouping: Grouping) -> ToSmolWith<T> {
        self.0.set_grouping(grouping);
        self
    }
}

impl<T: Send + 'static> Future for ToSmolWith<T> {
    type Output = Result<T, LoopError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(context)
    }
}

/// A coroutine that awaits a future of smol's, and gives its output: guest mode.
///
/// The future is polled on the loop's own thread only, so it need not be [`Send`]; and only when its waker was called. While
/// the loop is idle, it waits in smol's reactor (which async-io's own thread may hold too), so that what sockets and timers
/// have to tell reaches it directly. `future.await` in a coroutine gets the same treatment, and may borrow.
///
/// Its output is a value: what may fail gives a `Result`, of which [`raise`](Coro::raise) makes an error.
///
/// ```
/// # #![feature(coroutines)]
/// use std::time::Duration;
/// use async_io::Timer;
/// use tinyield::{Coro, Loop, co, coro, from_smol};
///
/// async fn add_one(x: i32) -> i32 {
///     Timer::after(Duration::from_millis(1)).await;
///     x + 1
/// }
///
/// #[coro]
/// fn both() -> Coro<(i32, i32)> {
///     yield (from_smol(add_one(3)), from_smol(add_one(4)))
/// }
///
/// assert_eq!(Loop::new().run(both()).unwrap(), (4, 5));
/// ```
///
/// # Panics
///
/// With what the future panics with, in a poll or when it is dropped: it stops the loop as a panic of a coroutine does.
///
/// # Cancellation
///
/// The future is dropped, on the loop's thread. A call of its waker after that is of no effect, on whatever thread.
#[track_caller]
pub fn from_smol<F>(future: F) -> Coro<F::Output>
where
    F: Future + 'static,
{
    awaiting::<FromSmol, F>(future)
}

struct FromSmol;

impl TaskName for FromSmol {
    const NAME: &'static str = "from_smol";
}
