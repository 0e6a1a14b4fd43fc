//! A coroutine that awaits any future.

use std::panic::Location;
use std::pin::pin;
use std::task::Poll;

use crate::coro::Coro;
use crate::scheduler::{Outcome, Resume, Suspend, TaskName};

/// A coroutine that awaits `future`, and returns its output. It is for futures that need no runtime of their own, such as those of
/// channels, locks and other threads.
///
/// It does the same as `co! { future.await }`, but its name in traces is `from_future`. The future is polled only on the loop's own
/// thread, so it need not be [`Send`]. After the first poll, it is polled only when its waker was called, on any thread. The output
/// is a value. If it is a `Result`, [`raise`](Coro::raise) makes an error of it.
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
/// A panic of the future, in a poll or when it is dropped, stops the loop as a panic of a coroutine does.
///
/// # Cancellation
///
/// The future is dropped on the loop's thread. After that, its wakers have no effect, on any thread.
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

/// A coroutine that awaits `future`. Its name is that of `N`, and its line is that of the caller.
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
