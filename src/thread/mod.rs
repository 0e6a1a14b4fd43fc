//! Blocking work, on threads that are kept for the next.

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
/// A timeout or a race around it waits for the closure, which no one can stop. So a closure that may take long calls [`checkpoint`].
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
/// If `f` has not begun, it never begins: it leaves the queue, and is dropped. If it has begun, [`checkpoint`] and
/// [`is_cancelled`] say so in it, a loop that it runs is cancelled for the same reason, and the coroutine ends only when `f` has
/// returned. What `f` returns then is dropped; if that is an error that [`raise`](Coro::raise) was to raise, it is among the
/// [`others`](crate::LoopError::others), unless it is the [`Cancelled`], or has it as a cause.
#[track_caller]
pub fn run_in_thread<F, R>(f: F) -> Coro<R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    run_on::<RunInThread, _, _>(Pool::shared, move || Some(f()))
}

/// Whether what waits for this closure was cancelled; false outside of [`run_in_thread`].
///
/// A loop that has a thread of its own, as by `to_smol_with`, and a future that async-std runs on one, is such a closure, too.
///
/// ```
/// assert!(!tinyield::thread::is_cancelled());
/// ```
#[must_use]
pub fn is_cancelled() -> bool {
    checkpoint().is_err()
}

/// A place at which a closure in [`run_in_thread`] may end when what waits for it is cancelled. Sees it from any depth of
/// calls.
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
/// The [`Cancelled`] of the coroutine that waits, or [dropped](crate::Reason::Dropped), if it is a future; never outside of
/// [`run_in_thread`], as [`is_cancelled`] has it.
pub fn checkpoint() -> std::result::Result<(), Cancelled> {
    let reason = Closure::with_current(|closure| closure.cancellation.reason().cloned());
    reason.flatten().map_or(Ok(()), Err)
}

/// Threads of one's own: at most so many closures run at once.
///
/// A handle: clones share the threads, which are started when needed, and end when the last handle is gone and nothing is
/// left to do.
///
/// # Nested use
///
/// A closure may run a loop that uses the same pool. If the threads of the pool all wait for such loops, each of these closures
/// gets one thread more, for what it waits for. The pool then has more than `max` threads, but the closures that work, and do not
/// wait for a loop, are still at most `max`. The other choices are an error or a deadlock, and nothing in a program that calls
/// two libraries says that both use one pool.
///
/// A closure that waits for another closure of its pool in another way, as by a channel of the standard library, counts as one
/// that works. If all threads wait like this, the pool is stuck.
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

    /// As [`run_in_thread`], on this pool.
    #[track_caller]
    pub fn run_in_thread<F, R>(&self, f: F) -> Coro<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let pool = self.pool.clone();
        run_on::<RunInThread, _, _>(move || pool, move || Some(f()))
    }

    /// Calls `f` with each of `xs`, on the threads of this pool, and gives the results in the order of `xs`.
    ///
    /// # Panics
    ///
    /// With what a call panics with.
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
        // Not in a closure, whose line would be that of each call.
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
