//! Loops inside async-std programs, and their futures inside loops.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use super::host::Hosted;
use super::thread::Threaded;
use crate::coro::Coro;
use crate::error::{Grouping, LoopError};
use crate::scheduler::TaskName;
use crate::thread::{self, Pool};
use crate::wait::Wait;

/// A loop that runs `wait`, as a future for async-std: for `task::block_on`, or its (unstable)
/// `task::spawn_local`.
///
/// It begins when it is polled first, and is polled by async-std's executor, on that thread: async-std's other tasks run while
/// it waits, and in between when it does not. It waits by async-std's own timers and wakers, so it costs nothing while it is
/// idle. Nor is it [`Send`], as nothing of a loop is; [`to_async_std_with`] is.
///
/// The thread is async-std's, and any of its tasks may still set an event: so a loop that nothing else could wake is not an
/// error here, but a cycle of coroutines that wait on each other is.
///
/// ```
/// # #![feature(coroutines)]
/// use std::time::Duration;
/// use tinyield::{Coro, coro, sleep, to_async_std};
///
/// #[coro]
/// fn add_one(x: i32) -> Coro<i32> {
///     yield sleep(Duration::from_millis(1));
///     x + 1
/// }
///
/// async_std::task::block_on(async {
///     assert_eq!(to_async_std(add_one(3)).await.unwrap(), 4);
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
pub fn to_async_std<W: Wait>(wait: W) -> ToAsyncStd<W::Output> {
    ToAsyncStd(Hosted::new("to_async_std", wait))
}

/// What [`to_async_std`] gives: a future of what [`Loop::run`](crate::Loop::run) would return.
#[must_use = "nothing runs before this is awaited"]
#[derive(Debug)]
pub struct ToAsyncStd<T: 'static>(Hosted<T>);

impl<T: 'static> ToAsyncStd<T> {
    /// Which of the errors that come up while the loop stops are kept. Once it has been polled, of no effect.
    pub fn grouping(mut self, grouping: Grouping) -> ToAsyncStd<T> {
        self.0.set_grouping(grouping);
        self
    }
}

impl<T: 'static> Future for ToAsyncStd<T> {
    type Output = Result<T, LoopError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(context)
    }
}

/// As [`to_async_std`], for a loop on a thread of its own: a [`Send`] future, for `async_std::task::spawn` and other executors
/// that move their tasks between threads.
///
/// Polled first, it has `build` called on that thread, and what it gives run there: that need not be `Send`. The thread is
/// kept for the next. It is the loop's alone, so a [`Deadlock`](crate::Deadlock) is found, as by
/// [`Loop::run`](crate::Loop::run).
///
/// ```
/// # #![feature(coroutines)]
/// use std::rc::Rc;
/// use async_std::task;
/// use tinyield::{Coro, coro, to_async_std_with};
///
/// #[coro]
/// fn length(text: Rc<str>) -> Coro<usize> {
///     text.len()
/// }
///
/// let spawned = task::spawn(to_async_std_with(|| length(Rc::from("not Send"))));
/// assert_eq!(task::block_on(spawned).unwrap(), 8);
/// ```
///
/// # Errors
///
/// Its output is what [`Loop::run`](crate::Loop::run) would return; or that no thread could be started.
///
/// # Panics
///
/// As [`to_async_std`]: a panic on that thread, also one of `build`, goes on from where this is polled, with its own payload.
///
/// # Cancellation
///
/// Dropped half-way, it cancels all that it runs, and comes back when that has ended; or at once, if it is dropped by what it runs.
/// If the thread had not come to it, it never begins.
#[track_caller]
pub fn to_async_std_with<B, W>(build: B) -> ToAsyncStdWith<W::Output>
where
    B: FnOnce() -> W + Send + 'static,
    W: Wait,
    W::Output: Send,
{
    ToAsyncStdWith(Threaded::new("to_async_std_with", build))
}

/// What [`to_async_std_with`] gives: a `Send` future of what [`Loop::run`](crate::Loop::run) would return.
#[must_use = "nothing runs before this is awaited"]
#[derive(Debug)]
pub struct ToAsyncStdWith<T: Send + 'static>(Threaded<T>);

impl<T: Send + 'static> ToAsyncStdWith<T> {
    /// Which of the errors that come up while the loop stops are kept. Once it has been polled, of no effect.
    pub fn grouping(mut self, grouping: Grouping) -> ToAsyncStdWith<T> {
        self.0.set_grouping(grouping);
        self
    }
}

impl<T: Send + 'static> Future for ToAsyncStdWith<T> {
    type Output = Result<T, LoopError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(context)
    }
}

/// A coroutine that has async-std run `future` on a thread, and gives its output.
///
/// The future runs from its beginning to its end on one thread, in `async_std::task::block_on`, next to the loop. The thread is
/// kept for the next. Its output is a value: what may fail gives a `Result`, of which [`raise`](Coro::raise) makes an error.
///
/// ```
/// # #![feature(coroutines)]
/// use std::time::Duration;
/// use async_std::task;
/// use tinyield::{Coro, Loop, coro, from_async_std};
///
/// async fn add_one(x: i32) -> i32 {
///     task::sleep(Duration::from_millis(1)).await;
///     x + 1
/// }
///
/// #[coro]
/// fn both() -> Coro<(i32, i32)> {
///     yield (from_async_std(add_one(3)), from_async_std(add_one(4)))
/// }
///
/// assert_eq!(Loop::new().run(both()).unwrap(), (4, 5));
/// ```
///
/// # Errors
///
/// That no thread could be started.
///
/// # Panics
///
/// With what the future panics with, in a poll or when it is dropped: it stops the loop as a panic of a coroutine does.
///
/// # Cancellation
///
/// The future is dropped on its thread, at the next point where it waits, and has been when the coroutine ends. If the thread
/// had not come to it, it never begins.
#[track_caller]
pub fn from_async_std<F>(future: F) -> Coro<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    from_async_std_with(move || future)
}

/// As [`from_async_std`], for a future that is not [`Send`]: `build` makes it on the thread on which it runs.
///
/// ```
/// # #![feature(coroutines)]
/// use std::rc::Rc;
/// use tinyield::{Loop, from_async_std_with};
///
/// let length = from_async_std_with(|| async {
///     let text = Rc::new("not Send".to_string());
///     async_std::task::yield_now().await;
///     text.len()
/// });
/// assert_eq!(Loop::new().run(length).unwrap(), 8);
/// ```
///
/// # Errors
///
/// That no thread could be started.
///
/// # Panics
///
/// As [`from_async_std`]; and with what `build` panics with.
///
/// # Cancellation
///
/// As [`from_async_std`].
#[track_caller]
pub fn from_async_std_with<B, F>(build: B) -> Coro<F::Output>
where
    B: FnOnce() -> F + Send + 'static,
    F: Future + 'static,
    F::Output: Send,
{
    thread::run_on::<FromAsyncStd, _, _>(Pool::unlimited, move || {
        let cancellation = thread::cancellation();
        let running = async move {
            let mut future = pin!(build());
            poll_fn(|context| match cancellation.poll(context) {
                Poll::Ready(()) => Poll::Ready(None),
                Poll::Pending => future.as_mut().poll(context).map(Some),
            })
            .await
        };
        // A panic out of its `block_on` would have async-std believe for ever that the thread is in there: whatever ran on it
        // afterwards would go without its executor.
        let result = ::async_std::task::block_on(async move {
            let mut running = pin!(running);
            poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(context))) {
                Ok(polled) => polled.map(Ok),
                Err(payload) => Poll::Ready(Err(payload)),
            })
            .await
        });
        result.unwrap_or_else(|payload| resume_unwind(payload))
    })
}

struct FromAsyncStd;

impl TaskName for FromAsyncStd {
    const NAME: &'static str = "from_async_std";
}
