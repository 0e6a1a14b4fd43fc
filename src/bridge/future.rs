//! Any future, as a coroutine.

use std::panic::Location;
use std::pin::pin;
use std::task::Poll;

use crate::coro::Coro;
use crate::scheduler::{Outcome, Resume, Suspend, TaskName};

/// A coroutine that awaits `future`, and gives its output: for futures that need no runtime of their own, as those of
/// channels, locks and other threads.
///
/// It is what `co! { future.await }` is, under the name of `from_future`. The future is polled on the loop's own thread only,
/// so it need not be [`Send`]; and only when its waker was called, from whatever thread. Its output is a value: what may fail
/// gives a `Result`, of which [`raise`](Coro::raise) makes an error.
///
/// ```
/// use std::future::ready;
/// use tinyield::{Loop, co, from_future};
///
/// let main = co! {
///     let (one, two) = yield (from_future(ready(1)), from_future(async { 2 }));
///     let three = ready("3".parse::<i32>()).await?;
///     let four = yield from_future(async { "4".parse::<i32>() }).raise();
///     [one, two, three, four]
/// };
/// assert_eq!(Loop::new().run(main).unwrap(), [1, 2, 3, 4]);
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
pub fn from_future<F>(future: F) -> Coro<F::Output>
where
    F: Future + 'static,
{
    awaiting::<FromFuture, F>(future)
}

struct FromFuture;

impl TaskName for FromFuture {
    const NAME: &'static str = "from_future";
}

/// A coroutine that awaits `future`, under the name of `N`, at the line of the caller.
#[track_caller]
pub(super) fn awaiting<N, F>(future: F) -> Coro<F::Output>
where
    N: TaskName,
    F: Future + 'static,
{
    let location = Location::caller();
    Coro::from_named::<N, _>(
        #[coroutine]
        static move |mut resume: Resume| {
            let mut future = pin!(future);
            loop {
                match resume.task.poll_foreign_future(future.as_mut(), location) {
                    Poll::Ready(output) => break Outcome(output),
                    Poll::Pending => resume = yield Suspend,
                }
            }
        },
    )
}
