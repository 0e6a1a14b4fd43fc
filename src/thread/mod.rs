//! Blocking work: closures run on pools of threads, and coroutines wait for them.

mod cancellation;
mod closure;
mod interrupt;
mod job;
mod pool;
mod waiting_work;

use std::fmt;
use std::panic::Location;
use std::sync::Arc;

#[cfg(any(feature = "smol", feature = "async-std", feature = "tokio"))]
pub(crate) use self::closure::HeldThread;
pub(crate) use self::closure::{Closure, LoopInClosure};
pub(crate) use self::interrupt::BlockingCall;
#[cfg(any(feature = "smol", feature = "async-std", feature = "tokio"))]
pub(crate) use self::job::Job;
pub(crate) use self::job::run_on;
pub(crate) use self::pool::Pool;

use crate::coro::Coro;
use crate::error::Cancelled;
use crate::scheduler::{Outcome, Resume, TaskName};
use crate::waiting::{ActiveWait, Wait, suspend_until};

/// Runs `f` on a thread, and returns the value of `f`. At most 500 closures run at once. The others wait in a queue.
///
/// The whole process shares the threads. A thread that has nothing to do is kept for a few seconds. A closure that may fail
/// returns a `Result`, and [`raise`](Coro::raise) raises its error.
///
/// While closures wait in the queue, results may arrive in batches on Linux, and be late by 100 to 200 us.
///
/// `f` may run a loop whose coroutines use `run_in_thread` again, to any depth. A closure that runs a loop does not count towards
/// the 500, because its loop may wait for a closure in the queue.
///
/// ```
/// use tinyield::{Loop, co, run_in_thread};
///
/// let main = co! {
///     let text = yield run_in_thread(|| std::fs::read_to_string("Cargo.toml")).raise();
///     text.lines().count()
/// };
/// assert!(Loop::new().run(main).unwrap() > 1);
/// ```
///
/// If `f` has begun, a timeout or a race around this coroutine waits until `f` has returned, because nothing can stop `f` from
/// outside. So a closure that may take long should call [`checkpoint`].
///
/// # Errors
///
/// It raises an error if no thread can be started for `f`, and the pool has no other thread that will run `f`.
///
/// # Panics
///
/// A panic of `f` stops the loop as a panic of a coroutine does.
///
/// # Cancellation
///
/// If `f` has not begun, it never begins: it is removed from the queue and dropped.
///
/// If `f` has begun, [`checkpoint`] and [`is_cancelled`] inside of `f` report the cancellation, and a loop that `f` runs is
/// cancelled for the same reason. In `f`, a [`RemoteSender::send`] or [`RemoteReceiver::recv`] that would block returns an error. The
/// coroutine ends only when `f` has returned. The value of `f` is dropped.
///
/// There is one exception: [`raise`](Coro::raise) still raises an error that `f` returns. If the loop is stopping because of another
/// error, the error of `f` is added to the [`others`](crate::LoopError::others). After a timeout or a lost race, it stops the loop, as
/// any error does. These errors count as the cancellation: the [`Cancelled`], an error that has it as a cause, and any error of `f` if
/// the cancellation has interrupted a `send` or a `recv` of `f` (but not one of a coroutine of a loop in `f`). They are not added to
/// the `others`, and do not stop the loop.
///
/// [`RemoteSender::send`]: crate::channel::RemoteSender::send
/// [`RemoteReceiver::recv`]: crate::channel::RemoteReceiver::recv
#[track_caller]
pub fn run_in_thread<F, R>(f: F) -> Coro<R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    run_on::<RunInThread, _, _>(Pool::shared, move || Some(f()))
}

/// Whether the coroutine or the future that waits for this closure was cancelled. Outside of [`run_in_thread`], it returns false.
///
/// Two other kinds of work count as a closure of [`run_in_thread`]: a loop that has a thread of its own, such as the loop of
/// `to_smol_with`, and a future that `from_async_std` runs on a thread.
///
/// ```
/// assert!(!tinyield::thread::is_cancelled());
/// ```
#[must_use]
pub fn is_cancelled() -> bool {
    checkpoint().is_err()
}

/// Returns an error if the coroutine or the future that waits for this closure was cancelled, so that the closure can end early. Any
/// function that the closure calls may call it.
///
/// ```
/// use tinyield::{Cancelled, Loop, co, run_in_thread, thread};
///
/// fn search() -> Result<u64, Cancelled> {
///     for candidate in 0.. {
///         thread::checkpoint()?;
///         // ..
/// #       if candidate == 10 { return Ok(candidate) }
///     }
///     unreachable!()
/// }
///
/// assert_eq!(Loop::new().run(run_in_thread(search).raise()).unwrap(), 10);
/// ```
///
/// # Errors
///
/// The [`Cancelled`] of the coroutine that waits. If a future waits, the reason is [dropped](crate::Reason::Dropped). Outside of
/// [`run_in_thread`], it never returns an error: see [`is_cancelled`].
pub fn checkpoint() -> std::result::Result<(), Cancelled> {
    let reason = Closure::with_current(|closure| closure.cancellation.reason().cloned());
    reason.flatten().map_or(Ok(()), Err)
}

/// A pool of threads that runs at most a fixed number of closures at once.
///
/// It is a handle: clones share the threads. A thread is started when it is needed. It ends when it has had nothing to do for a few
/// seconds. When the last handle is gone, all threads end as soon as no work is left.
///
/// # Nested use
///
/// A closure may run a loop that uses the same pool. If all threads of the pool wait for such loops, each of these closures gets
/// one more thread, which runs the work that the closure waits for. The pool then has more than `max` threads, but at most `max`
/// of its closures work, and the others wait for a loop. Without the extra threads, the closures would wait for each other
/// forever. It may be hard to see that a program uses a pool in this way, for example if two libraries share the pool.
///
/// A closure may also wait for another closure of its pool in another way, for example at a channel of the standard library. Such
/// a closure gets no extra thread. If all threads wait like this, the pool is stuck. Two pools can also be stuck if their closures
/// run loops that use the other pool: an extra thread runs only work of the pool to which the closure itself belongs.
///
/// ```
/// use tinyield::{Loop, ThreadPool};
///
/// let pool = ThreadPool::new(4);
/// let squares = Loop::new().run(pool.map(|x: u64| x * x, 0..10)).unwrap();
/// assert_eq!(squares, [0, 1, 4, 9, 16, 25, 36, 49, 64, 81]);
/// ```
#[derive(Clone)]
pub struct ThreadPool {
    pool: Arc<Pool>,
}

impl ThreadPool {
    /// Makes a pool of at most `max` threads.
    ///
    /// # Panics
    ///
    /// If `max` is 0.
    #[must_use]
    #[track_caller]
    pub fn new(max: usize) -> ThreadPool {
        assert!(max > 0, "a pool of 0 threads could never run anything; it takes at least 1");
        ThreadPool { pool: Pool::bounded(max) }
    }

    /// Like [`run_in_thread`], on this pool.
    #[track_caller]
    pub fn run_in_thread<F, R>(&self, f: F) -> Coro<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let pool = self.pool.clone();
        run_on::<RunInThread, _, _>(move || pool, move || Some(f()))
    }

    /// Calls `f` with each element of `xs`, on the threads of this pool, and returns the results in the order of `xs`.
    ///
    /// # Errors
    ///
    /// As [`run_in_thread`], for each call.
    ///
    /// # Panics
    ///
    /// A panic of a call stops the loop as a panic of a coroutine does.
    ///
    /// # Cancellation
    ///
    /// As [`run_in_thread`], for each call.
    #[track_caller]
    pub fn map<F, X, R>(&self, f: F, xs: impl IntoIterator<Item = X>) -> Coro<Vec<R>>
    where
        F: Fn(X) -> R + Send + Sync + 'static,
        X: Send + 'static,
        R: Send + 'static,
    {
        let f = Arc::new(f);
        let location = Location::caller();
        let mut calls = Vec::new();
        // This is a `for` loop and not `Iterator::map`: in the closure of `map`, the location of the caller would be lost.
        for x in xs {
            let f = f.clone();
            calls.push(self.run_in_thread(move || f(x)));
        }
        let waiting = calls.into_state();
        Coro::from_named::<Map, _>(
            #[coroutine]
            static move |mut resume: Resume| {
                let mut begun = ActiveWait::begin_at(&resume, waiting, location);
                Outcome(suspend_until!(resume, begun.poll(&resume)))
            },
        )
    }
}

impl fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pool.fmt(f)
    }
}

struct Map;

impl TaskName for Map {
    const NAME: &'static str = "ThreadPool::map";
}

struct RunInThread;

impl TaskName for RunInThread {
    const NAME: &'static str = "run_in_thread";
}
