//! Blocking work, on threads that are reused.

mod cancellation;
mod closure;
mod job;
mod pool;

use std::fmt;
use std::panic::Location;
use std::sync::Arc;

#[cfg(any(feature = "smol", feature = "async-std", feature = "tokio"))]
pub(crate) use self::closure::Hold;
pub(crate) use self::closure::{Closure, InnerLoop};
#[cfg(any(feature = "smol", feature = "async-std", feature = "tokio"))]
pub(crate) use self::job::Job;
pub(crate) use self::job::run_on;
pub(crate) use self::pool::Pool;

use crate::coro::Coro;
use crate::error::Cancelled;
use crate::scheduler::{Outcome, Resume, TaskName};
use crate::wait::{ActiveWait, Wait, suspend_until};

/// Runs `f` on a thread, and returns what `f` returns. At most 500 closures run at once; the rest queue.
///
/// The threads are shared by the whole process, and kept for a few seconds when they have nothing to do. A closure that may
/// fail returns a `Result`, and [`raise`](Coro::raise) makes an error of it.
///
/// `f` may run a loop that uses `run_in_thread` in turn, to any depth. A closure that runs a loop does not count towards the 500:
/// its loop may wait for a closure in the queue.
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
/// A timeout or a race around this coroutine waits until the closure has returned, because a closure cannot be stopped from
/// outside. So a closure that may take long calls [`checkpoint`].
///
/// # Errors
///
/// It raises an error if no thread could be started, and no other thread of the pool is going to take `f`.
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
/// cancelled for the same reason. The coroutine ends only when `f` has returned. The value of `f` is dropped. There is one
/// exception: an error that [`raise`](Coro::raise) would have raised is added to the [`others`](crate::LoopError::others). An error
/// that is the [`Cancelled`], or has it as a cause, is not added.
#[track_caller]
pub fn run_in_thread<F, R>(f: F) -> Coro<R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    run_on::<RunInThread, _, _>(Pool::shared, move || Some(f()))
}

/// Whether the coroutine or the future that waits for this closure was cancelled. Returns false outside of [`run_in_thread`].
///
/// Two other kinds of work count as such a closure: a loop that has a thread of its own, such as that of `to_smol_with`, and a
/// future that async-std runs on a thread.
///
/// ```
/// assert!(!tinyield::thread::is_cancelled());
/// ```
#[must_use]
pub fn is_cancelled() -> bool {
    checkpoint().is_err()
}

/// Returns an error if the coroutine or the future that waits for this closure was cancelled, so that the closure can end early. It
/// may be called at any depth of calls inside of [`run_in_thread`].
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
/// [`run_in_thread`] (see [`is_cancelled`]) it never returns an error.
pub fn checkpoint() -> std::result::Result<(), Cancelled> {
    let reason = Closure::with_current(|closure| closure.cancellation.reason().cloned());
    reason.flatten().map_or(Ok(()), Err)
}

/// A pool of threads that runs at most a fixed number of closures at once.
///
/// It is a handle: clones share the threads. Threads are started when needed. They end when the last handle is gone and no work is
/// left.
///
/// # Nested use
///
/// A closure may run a loop that uses the same pool. If all threads of the pool wait for such loops, each of these closures
/// gets one more thread, for the work that it waits for. The pool then has more than `max` threads, but at most `max` of its
/// closures work. The others wait for a loop. Without the extra threads, there would be an error or a deadlock. Such a
/// nested use is easy to overlook: a program may call two libraries, and not know that both use the same pool.
///
/// A closure may wait for another closure of its pool in another way, for example at a channel of the standard library. It then
/// counts as a closure that works. If all threads wait like this, the pool is stuck.
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
    /// A pool of at most `max` threads.
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

    /// Calls `f` with each of `xs`, on the threads of this pool, and returns the results in the order of `xs`.
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
        // `map` with a closure is not used here: the line of each call would then be the line in that closure.
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
