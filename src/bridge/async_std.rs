//! Loops in async-std programs, and futures of async-std in loops.

use std::future::poll_fn;
use std::panic::resume_unwind;
use std::pin::pin;
use std::task::Poll;

use super::host::{self, loop_future};
use super::thread::Threaded;
use crate::coro::Coro;
use crate::panic::catch;
use crate::reactor::ReactorTimer;
use crate::scheduler::TaskName;
use crate::thread::{Closure, HeldThread, Pool, run_on};
use crate::waiting::Wait;

/// Makes a future that runs `wait` in a loop inside of an async-std program. It is for `task::block_on` or `task::spawn_local`. For
/// `task::spawn`, see [`to_async_std_with`].
///
/// ```
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
#[doc = include_str!("hosted.md")]
#[track_caller]
pub fn to_async_std<W: Wait>(wait: W) -> ToAsyncStd<W::Output> {
    ToAsyncStd(Hosted::new("to_async_std", wait))
}

/// Makes a future that runs a loop on a thread of its own. The future is [`Send`]: it is for `task::spawn`, and for other executors
/// that move tasks between threads.
///
/// ```
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
#[doc = include_str!("threaded.md")]
#[track_caller]
pub fn to_async_std_with<B, W>(build: B) -> ToAsyncStdWith<W::Output>
where
    B: FnOnce() -> W + Send + 'static,
    W: Wait,
    W::Output: Send,
{
    ToAsyncStdWith(Threaded::new("to_async_std_with", build))
}

type Hosted<T> = host::Hosted<T, ReactorTimer>;

loop_future! {
    /// The future that [`to_async_std`] returns. Its output is what [`Loop::run`](crate::Loop::run) would return.
    pub struct ToAsyncStd<T>(Hosted<T>);
}

// The future is not `Send` even without this impl. With this impl, the errors of rustc name the future, and not the types inside of
// it.
impl<T> !Send for ToAsyncStd<T> {}

loop_future! {
    /// The future that [`to_async_std_with`] returns. Its output is what [`Loop::run`](crate::Loop::run) would return.
    pub struct ToAsyncStdWith<T: Send>(Threaded<T>);
}

/// Runs `future` on another thread, in async-std, and returns its output.
///
/// The future runs on one thread from start to end, in `async_std::task::block_on`. Threads are kept for the next future. The
/// output is a value. If it is a `Result`, [`raise`](Coro::raise) makes an error of it.
///
/// ```
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
/// It raises an error if no thread could be started.
///
/// # Panics
///
/// A panic of the future, in a poll or when it is dropped, stops the loop as a panic of a coroutine does.
///
/// # Cancellation
///
/// The future is dropped on its thread, at its next `.await` that waits. The coroutine ends after that. If no thread has begun the
/// future, it never begins.
#[track_caller]
pub fn from_async_std<F>(future: F) -> Coro<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    from_async_std_with(move || future)
}

/// Like [`from_async_std`], for a future that is not [`Send`]: `build` makes the future on the thread on which it runs.
///
/// ```
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
/// As [`from_async_std`].
///
/// # Panics
///
/// As [`from_async_std`]. A panic of `build` also stops the loop.
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
    run_on::<FromAsyncStd, _, _>(Pool::unlimited, move || {
        let closure = Closure::current().expect("this is a closure on a thread");
        // The future may wait for loops, and these loops may wait for threads of the same pool. So this thread counts as held.
        let _held_thread = HeldThread::new(closure.clone());
        let mut running = pin!(async move {
            let mut future = pin!(build());
            poll_fn(|context| match closure.cancellation.poll(context) {
                Poll::Ready(()) => Poll::Ready(None),
                Poll::Pending => future.as_mut().poll(context).map(Some),
            })
            .await
        });
        // No panic may leave async-std's `block_on`. After a panic, async-std would treat the thread as busy, and later calls of
        // `block_on` would not run the executor.
        let result = ::async_std::task::block_on(poll_fn(|context| match catch(|| running.as_mut().poll(context)) {
            Ok(polled) => polled.map(Ok),
            Err(payload) => Poll::Ready(Err(payload)),
        }));
        result.unwrap_or_else(|payload| resume_unwind(payload))
    })
}

struct FromAsyncStd;

impl TaskName for FromAsyncStd {
    const NAME: &'static str = "from_async_std";
}
