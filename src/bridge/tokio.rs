//! Loops in tokio programs, and futures of tokio in loops.

use std::fmt;
use std::future::poll_fn;
use std::panic::Location;
use std::pin::pin;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio::task::unconstrained;

use super::host::{self, loop_future};
use super::thread::{self, start};
use super::tokio_runtime::{InRuntime, TokioRuntime, TokioTimer};
use crate::coro::Coro;
use crate::error::{Error, Grouping, LoopError};
use crate::scheduler::{Outcome, Resume, Suspend, TaskName};
use crate::waiting::Wait;

/// Makes a future that runs `wait` in a loop inside of a tokio program. It is for `Runtime::block_on`, or for a task of a
/// `LocalSet`. For `tokio::spawn`, see [`to_tokio_with`].
///
/// Coroutines of the loop await futures of tokio by a plain `.await`: those of `tokio::net`, `tokio::time`, `tokio::spawn`, and of
/// all crates that build on them. The futures are polled on the thread that polls the loop. In a current-thread runtime, no wake-up
/// crosses threads.
///
/// ```
/// use std::time::Duration;
/// use tinyield::{Coro, coro, sleep, to_tokio};
///
/// #[coro]
/// fn add_one(x: i32) -> Coro<i32> {
///     yield sleep(Duration::from_millis(1)); // a timer of the loop
///     tokio::time::sleep(Duration::from_millis(1)).await; // one of tokio
///     x + 1
/// }
///
/// let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// assert_eq!(runtime.block_on(to_tokio((add_one(3), add_one(4)))).unwrap(), (4, 5));
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// The loop is polled without tokio's cooperative budget, because the loop itself gives each coroutine its turns.
///
/// The clock of the loop is that of the runtime, so `tokio::time::pause` and `advance` apply to the loop as well. tokio's paused
/// clock does not wait for closures on threads. The clock of a [simulated](crate::Builder::simulated) loop waits for them.
#[doc = include_str!("hosted.md")]
///
/// If the future is dropped on the thread of a current-thread runtime, this runtime does not advance during the drop. If cleanup
/// behind a shield then awaits a timer, a socket or a task of this runtime, the drop never returns. Waits of the loop itself, such
/// as [`sleep`](crate::sleep), are no problem. If the cleanup needs tokio, use a runtime of several threads. Or end the work before
/// the drop: [abort](crate::abortable) it, and await the future.
#[track_caller]
pub fn to_tokio<W: Wait>(wait: W) -> ToTokio<W::Output> {
    ToTokio(Hosted { inner: host::Hosted::new("to_tokio", wait), handle: None })
}

/// Makes a future that runs a loop on a thread of its own. The future is [`Send`]: it is for `tokio::spawn`.
///
/// The thread of the loop enters the runtime that polls the future. So the coroutines of this loop can also await futures of tokio
/// by a plain `.await`. The threads of the runtime wake these coroutines.
///
/// ```
/// use std::rc::Rc;
/// use tinyield::{Coro, coro, to_tokio_with};
///
/// #[coro]
/// fn length(text: Rc<str>) -> Coro<usize> {
///     text.len()
/// }
///
/// let runtime = tokio::runtime::Runtime::new()?;
/// let spawned = runtime.spawn(to_tokio_with(|| length(Rc::from("not Send"))));
/// assert_eq!(runtime.block_on(spawned).unwrap().unwrap(), 8);
/// # Ok::<(), std::io::Error>(())
/// ```
#[doc = include_str!("threaded.md")]
///
/// If the future is dropped on the thread of a current-thread runtime, this runtime does not advance during the drop. If cleanup
/// behind a shield then awaits a timer, a socket or a task of this runtime, the drop never returns, although the loop has a thread
/// of its own. Waits of the loop itself, such as [`sleep`](crate::sleep), are no problem. If the cleanup needs tokio, use a runtime
/// of several threads. Or end the work before the drop: [abort](crate::abortable) it by a [remote
/// handle](crate::AbortHandle::remote), and await the future.
#[track_caller]
pub fn to_tokio_with<B, W>(build: B) -> ToTokioWith<W::Output>
where
    B: FnOnce() -> W + Send + 'static,
    W: Wait,
    W::Output: Send,
{
    let location = Location::caller();
    let handle = Arc::<OnceLock<Handle>>::default();
    let polled_in = handle.clone();
    let run = move |grouping| {
        let handle = polled_in.get().expect("the future was polled, in a runtime");
        let _entered = handle.enter();
        let mut run = start(build, grouping, location);
        run.set_driver(Rc::new(TokioRuntime::Outer(handle.clone())));
        run.finish()
    };
    ToTokioWith(Threaded { inner: thread::Threaded::running("to_tokio_with", run), handle })
}

loop_future! {
    /// The future that [`to_tokio`] returns. Its output is what [`Loop::run`](crate::Loop::run) would return.
    ///
    /// # Panics
    ///
    /// A poll panics outside of a tokio runtime.
    pub struct ToTokio<T>(Hosted<T>);
}

// The future is not `Send` even without this impl. With this impl, the errors of rustc name the future, and not the types inside of
// it.
impl<T> !Send for ToTokio<T> {}

loop_future! {
    /// The future that [`to_tokio_with`] returns. Its output is what [`Loop::run`](crate::Loop::run) would return.
    ///
    /// # Panics
    ///
    /// The first poll panics outside of a tokio runtime.
    pub struct ToTokioWith<T: Send>(Threaded<T>);
}

/// The runtime that polls the future. `name` is the function that made the future.
fn current_runtime(name: &str) -> Handle {
    Handle::try_current().unwrap_or_else(|_| {
        panic!(
            "the future of `{name}` was polled outside of a tokio runtime; await it in one, as in \
             `Runtime::new()?.block_on({name}(..))`"
        )
    })
}

struct Hosted<T: 'static> {
    inner: host::Hosted<T, TokioTimer>,
    /// The runtime in which the future was first polled.
    handle: Option<Handle>,
}

impl<T> Hosted<T> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<T, LoopError>> {
        if self.handle.is_none() {
            self.handle = Some(current_runtime("to_tokio"));
        }
        pin!(unconstrained(poll_fn(|context| self.inner.poll(context)))).poll(context)
    }

    fn set_grouping(&mut self, grouping: Grouping) {
        self.inner.set_grouping(grouping);
    }
}

impl<T> Drop for Hosted<T> {
    fn drop(&mut self) {
        // The coroutines of the loop end in the runtime in which they ran.
        let _entered = self.handle.as_ref().map(Handle::enter);
        self.inner.drop_run();
    }
}

impl<T> fmt::Debug for Hosted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

struct Threaded<T: Send + 'static> {
    inner: thread::Threaded<T>,
    /// The runtime in which the future was first polled. The thread of the loop enters it.
    handle: Arc<OnceLock<Handle>>,
}

impl<T: Send> Threaded<T> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<T, LoopError>> {
        self.handle.get_or_init(|| current_runtime("to_tokio_with"));
        self.inner.poll(context)
    }

    fn set_grouping(&mut self, grouping: Grouping) {
        self.inner.set_grouping(grouping);
    }
}

impl<T: Send> fmt::Debug for Threaded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// Awaits a future of tokio on the loop's own thread, and returns its output.
///
/// The future need not be [`Send`]. After the first poll, it is polled only when its waker was called. It runs in one of these
/// tokio runtimes:
///
/// - If the loop runs inside of a tokio runtime, the future runs in that runtime. There, `future.await` in a coroutine does the
///   same.
/// - In other loops, a runtime is made for the run, with all drivers that tokio was built with. While
///   [`Loop::run`](crate::Loop::run) is idle, its thread drives the runtime, so no wake-up crosses threads. If a host polls the
///   loop, or steps it, the runtime has a thread of its own. At the end of the run, the runtime is shut down, with all tasks that
///   were spawned in it. So a client with a pool of connections, such as reqwest's, cannot be kept for the next run.
///
/// The output is a value. If it is a `Result`, [`raise`](Coro::raise) makes an error of it.
///
/// ```
/// use std::time::Duration;
/// use tinyield::{Coro, Loop, co, coro, from_tokio};
///
/// async fn add_one(x: i32) -> i32 {
///     tokio::time::sleep(Duration::from_millis(1)).await;
///     x + 1
/// }
///
/// #[coro]
/// fn both() -> Coro<(i32, i32)> {
///     yield (from_tokio(add_one(3)), from_tokio(add_one(4)))
/// }
///
/// assert_eq!(Loop::new().run(both()).unwrap(), (4, 5));
/// ```
///
/// # Errors
///
/// It raises an error if no runtime could be made, for example if the system has no file descriptors left.
///
/// # Panics
///
/// A panic of the future, in a poll or when it is dropped, stops the loop as a panic of a coroutine does.
///
/// It also panics if [`Loop::run`](crate::Loop::run) was called inside of the `block_on` of a current-thread runtime, because the
/// run blocks that runtime. Await [`to_tokio`] there instead.
///
/// # Cancellation
///
/// The future is dropped on the loop's thread. After that, its wakers have no effect.
#[track_caller]
pub fn from_tokio<F>(future: F) -> Coro<F::Output>
where
    F: Future + 'static,
{
    let location = Location::caller();
    let future = Box::pin(future);
    Coro::from_named::<FromTokio, _>(
        #[coroutine]
        static move |mut resume: Resume| {
            let scheduler = resume.task.scheduler().expect("a running task has a loop");
            let handle = TokioRuntime::handle_for(&scheduler)
                .map_err(|error| Error::at(format!("no tokio runtime could be made: {error}").into(), location))?;
            drop(scheduler);
            let mut future = InRuntime::new(future, handle);
            loop {
                match resume.task.poll_foreign_future(pin!(&mut future), location) {
                    Poll::Ready(output) => break Outcome(output),
                    Poll::Pending => resume = yield Suspend,
                }
            }
        },
    )
}

struct FromTokio;

impl TaskName for FromTokio {
    const NAME: &'static str = "from_tokio";
}
