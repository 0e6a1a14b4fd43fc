//! Loops in smol programs, and futures of smol in loops.

use super::future::awaiting;
use super::host::{self, loop_future};
use super::thread::Threaded;
use crate::coro::Coro;
use crate::reactor::ReactorTimer;
use crate::scheduler::TaskName;
use crate::waiting::Wait;

/// Makes a future that runs `wait` in a loop inside of a smol program. It is for [`block_on`](async_io::block_on), or for a task of
/// a `LocalExecutor`. For `smol::spawn`, see [`to_smol_with`].
///
/// ```
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
#[doc = include_str!("hosted.md")]
#[track_caller]
pub fn to_smol<W: Wait>(wait: W) -> ToSmol<W::Output> {
    ToSmol(Hosted::new("to_smol", wait))
}

/// Makes a future that runs a loop on a thread of its own. The future is [`Send`]: it is for `smol::spawn`, and for other executors
/// that move tasks between threads.
///
/// ```
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
#[doc = include_str!("threaded.md")]
#[track_caller]
pub fn to_smol_with<B, W>(build: B) -> ToSmolWith<W::Output>
where
    B: FnOnce() -> W + Send + 'static,
    W: Wait,
    W::Output: Send,
{
    ToSmolWith(Threaded::new("to_smol_with", build))
}

type Hosted<T> = host::Hosted<T, ReactorTimer>;

loop_future! {
    /// The future that [`to_smol`] returns. Its output is what [`Loop::run`](crate::Loop::run) would return.
    ///
    /// ```
    /// use tinyield::{Grouping, co, to_smol};
    ///
    /// let main = co! { yield (co! { yield; yield; }, co! { yield; Err("oh no")?; }); };
    /// let error = async_io::block_on(to_smol(main).grouping(Grouping::Always)).unwrap_err();
    /// assert_eq!(error.others().len(), 2); // the cancellations of the two others
    /// ```
    pub struct ToSmol<T>(Hosted<T>);
}

// The future is not `Send` even without this impl. With this impl, the errors of rustc name the future, and not the types inside of
// it.
impl<T> !Send for ToSmol<T> {}

loop_future! {
    /// The future that [`to_smol_with`] returns. Its output is what [`Loop::run`](crate::Loop::run) would return.
    pub struct ToSmolWith<T: Send>(Threaded<T>);
}

/// Awaits a future of smol on the loop's own thread, and returns its output.
///
/// The future need not be [`Send`]. After the first poll, it is polled only when its waker was called. While the loop is idle, its
/// thread waits in smol's reactor, so that sockets and timers wake it without the help of another thread. The reactor's own thread
/// may wait there, too. `future.await` in a coroutine does the same, and such a future may borrow from the coroutine.
///
/// The output is a value. If it is a `Result`, [`raise`](Coro::raise) makes an error of it.
///
/// ```
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
/// A panic of the future, in a poll or when it is dropped, stops the loop as a panic of a coroutine does.
///
/// # Cancellation
///
/// The future is dropped on the loop's thread. After that, its wakers have no effect.
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
