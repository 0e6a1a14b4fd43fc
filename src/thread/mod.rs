//! Blocking work, on threads that are kept for the next.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::pin;
#[cfg(any(feature = "smol", feature = "async-std"))]
use std::sync::Weak;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::coro::Coro;
use crate::error::{Cancelled, Error, Reason, Result};
use crate::primitives::atomic::AtomicUsize;
use crate::primitives::atomic::Ordering::SeqCst;
use crate::primitives::channel::{Receiver, Sender, unbounded};
use crate::primitives::{Mutex, MutexGuard, OnceLock, thread, thread_local};
use crate::scheduler::{Outcome, Resume, Suspend, TaskName};
use crate::shield::shield;
use crate::wait::{ActiveWait, Internal, Wait};

/// Runs `f` on a thread, and gives what it returns. Any number may run at once, up to 500; what is over waits.
///
/// The threads are shared by the whole process, and kept for a few seconds when they have nothing to do. A closure that may
/// fail returns a `Result`, and [`raise`](Coro::raise) makes an error of it.
///
/// ```
/// # #![feature(coroutines)]
/// use tinyield::{Loop, co, run_in_thread};
///
/// let main = co! {
///     let text = yield run_in_thread(|| std::fs::read_to_string("Cargo.toml")).raise();
///     text.lines().count()
/// };
/// assert!(Loop::new().run(main).unwrap() > 1);
/// ```
///
/// # Panics
///
/// With what `f` panics with: it stops the loop as a panic of a coroutine does.
///
/// # Cancellation
///
/// If `f` has not begun, it never does. If it has, it is told, by [`checkpoint`] and [`is_cancelled`], and is waited for. What
/// it returns then is dropped; if that is an error that [`raise`](Coro::raise) was to raise, it is among the
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
/// # #![feature(coroutines)]
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
/// The [`Cancelled`] of the coroutine that waits, or [dropped](Reason::Dropped), if it is a future; never outside of
/// [`run_in_thread`], as [`is_cancelled`] has it.
pub fn checkpoint() -> std::result::Result<(), Cancelled> {
    let why = |current: &RefCell<Option<Arc<Cancellation>>>| current.borrow().as_ref()?.why.get().cloned();
    // A thread that is ending runs nothing.
    CURRENT.try_with(why).ok().flatten().map_or(Ok(()), Err)
}

/// The cancellation of what this thread runs; outside of a pool, one that never comes.
#[cfg(any(feature = "smol", feature = "async-std"))]
pub(crate) fn cancellation() -> Arc<Cancellation> {
    CURRENT.with(|current| current.borrow().clone()).unwrap_or_default()
}

/// How a closure on a thread is told that it was cancelled.
#[derive(Default)]
pub(crate) struct Cancellation {
    why: OnceLock<Cancelled>,
    /// Of a closure that does not look, but waits to be told.
    waker: Mutex<Option<Waker>>,
    /// Of the closure in which somebody waits for this one, if it is one.
    #[cfg(any(feature = "smol", feature = "async-std"))]
    waiting: Mutex<Weak<Cancellation>>,
}

impl Cancellation {
    /// For a closure that is started here.
    fn new() -> Cancellation {
        Cancellation {
            #[cfg(any(feature = "smol", feature = "async-std"))]
            waiting: Mutex::new(Cancellation::of_this_thread()),
            ..Cancellation::default()
        }
    }

    #[cfg(any(feature = "smol", feature = "async-std"))]
    fn of_this_thread() -> Weak<Cancellation> {
        let here = CURRENT.try_with(|current| current.borrow().as_ref().map(Arc::downgrade));
        here.ok().flatten().unwrap_or_default()
    }

    #[cfg(any(feature = "smol", feature = "async-std"))]
    fn waiting(&self) -> MutexGuard<'_, Weak<Cancellation>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waker(&self) -> MutexGuard<'_, Option<Waker>> {
        self.waker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, why: Cancelled) {
        let _ = self.why.set(why);
        let waker = self.waker().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether it has been cancelled; if not, the waker is woken when it is.
    #[cfg(any(feature = "smol", feature = "async-std"))]
    pub(crate) fn poll(&self, context: &Context<'_>) -> Poll<()> {
        let told = || self.why.get().is_some();
        if !told() && !self.waker().as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            let waker = context.waker().clone();
            let old = self.waker().replace(waker);
            drop(old);
        }
        // Looked at last: who tells sets it first.
        if told() { Poll::Ready(()) } else { Poll::Pending }
    }
}

thread_local! {
    /// Where the closure that this thread runs would be told of its cancellation.
    static CURRENT: RefCell<Option<Arc<Cancellation>>> = const { RefCell::new(None) };
}

/// Threads of one's own: at most so many closures run at once.
///
/// A handle: clones share the threads, which are started when needed, and end when the last handle is gone and nothing is
/// left to do.
///
/// ```
/// # #![feature(coroutines)]
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
        ThreadPool { pool: Arc::new(Pool::new(max)) }
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
                loop {
                    match begun.poll(&resume) {
                        Poll::Ready(result) => break Outcome(result),
                        Poll::Pending => resume = yield Suspend,
                    }
                }
            },
        )
    }
}

impl fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPool")
            .field("max", &self.pool.max)
            .field("threads", &self.pool.queue.threads.load(SeqCst))
            .field("waiting", &self.pool.queue.waiting.load(SeqCst))
            .finish()
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

/// Runs `f` on a thread of `pool`. It may give nothing only when it was cancelled.
#[track_caller]
pub(crate) fn run_on<N, F, R>(pool: impl FnOnce() -> Arc<Pool> + 'static, f: F) -> Coro<R>
where
    N: TaskName,
    F: FnOnce() -> Option<R> + Send + 'static,
    R: Send + 'static,
{
    let location = Location::caller();
    Coro::from_named::<N, _>(
        #[coroutine]
        static move |mut resume: Resume| {
            let job = Arc::new(Job::new(f));
            pool().submit(job.clone(), location)?;
            let cancelled = {
                let mut done = pin!(poll_fn(|context| job.poll(context)));
                loop {
                    match resume.task.poll_future(done.as_mut(), location) {
                        Poll::Ready(Ok(Some(value))) => return Outcome::value(value),
                        Poll::Ready(Ok(None)) => unreachable!("what was not cancelled has a value"),
                        Poll::Ready(Err(cancelled)) => break cancelled,
                        Poll::Pending => resume = yield Suspend,
                    }
                }
            };
            let why = cancelled.as_cancelled().cloned();
            if job.cancel(why.unwrap_or_else(|| Cancelled::new(Reason::Dropped))) {
                return Outcome(Err(cancelled));
            }
            let mut joining = ActiveWait::begin_at(&resume, shield(joined(job, location)).into_state(), location);
            let value = loop {
                match joining.poll(&resume) {
                    Poll::Ready(result) => break result?,
                    Poll::Pending => resume = yield Suspend,
                }
            };
            let Some(value) = value else { return Outcome(Err(cancelled)) };
            // For a `raise` that may wait for it; nobody else will look.
            resume.task.mark_cancellation_handled();
            Outcome::value(value)
        },
    )
}

/// Waits until the closure has ended, whatever happens.
fn joined<F, R>(job: Arc<Job<F, R>>, location: &'static Location<'static>) -> Coro<R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    Coro::from_named::<Internal, _>(
        #[coroutine]
        static move |mut resume: Resume| {
            let mut done = pin!(poll_fn(|context| job.poll(context)));
            loop {
                match resume.task.poll_future(done.as_mut(), location) {
                    Poll::Ready(value) => break Outcome(value),
                    Poll::Pending => resume = yield Suspend,
                }
            }
        },
    )
}

/// A closure on its way through a thread.
pub(crate) struct Job<F, R> {
    stage: Mutex<Stage<F, R>>,
    cancellation: Arc<Cancellation>,
}

enum Stage<F, R> {
    Waiting(F, Option<Waker>),
    Running(Option<Waker>),
    Done(std::thread::Result<R>),
    Over,
}

impl<F, R> Job<F, R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    pub(crate) fn new(f: F) -> Job<F, R> {
        Job { stage: Mutex::new(Stage::Waiting(f, None)), cancellation: Arc::new(Cancellation::new()) }
    }

    fn stage(&self) -> MutexGuard<'_, Stage<F, R>> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the closure returned, if it has; a panic goes on from here.
    pub(crate) fn poll(&self, context: &Context<'_>) -> Poll<R> {
        self.poll_result(context).map(|result| result.unwrap_or_else(|payload| resume_unwind(payload)))
    }

    /// What the closure returned or panicked with, if it has.
    pub(crate) fn poll_result(&self, context: &Context<'_>) -> Poll<std::thread::Result<R>> {
        // A waker is foreign code: it is cloned and dropped while nothing is locked.
        let mut new = None;
        loop {
            let mut stage = self.stage();
            let done = match &mut *stage {
                Stage::Waiting(_, waker) | Stage::Running(waker) => {
                    if waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                        return Poll::Pending;
                    }
                    let Some(new) = new.take() else {
                        drop(stage);
                        new = Some(context.waker().clone());
                        continue;
                    };
                    let old = waker.replace(new);
                    drop(stage);
                    drop(old);
                    return Poll::Pending;
                }
                Stage::Done(_) => std::mem::replace(&mut *stage, Stage::Over),
                Stage::Over => unreachable!("a job is not polled after it was ready"),
            };
            drop(stage);
            match done {
                Stage::Done(result) => return Poll::Ready(result),
                _ => unreachable!("it was done"),
            }
        }
    }

    /// Whoever waits for it does so here; it may have been somebody else until now.
    #[cfg(any(feature = "smol", feature = "async-std"))]
    pub(crate) fn is_waited_for_here(&self) {
        *self.cancellation.waiting() = Cancellation::of_this_thread();
    }

    /// Whether it is the closure of this job that asks, or one that it waits for, and so on.
    #[cfg(any(feature = "smol", feature = "async-std"))]
    pub(crate) fn runs_here(&self) -> bool {
        let mut seen = Vec::new();
        let mut next = Cancellation::of_this_thread().upgrade();
        while let Some(current) = next {
            if Arc::ptr_eq(&current, &self.cancellation) {
                return true;
            }
            // Futures that go from hand to hand may come round.
            if seen.contains(&Arc::as_ptr(&current)) {
                break;
            }
            seen.push(Arc::as_ptr(&current));
            next = current.waiting().upgrade();
        }
        false
    }

    /// Tells the closure to stop; true if it had not begun, and never will.
    pub(crate) fn cancel(&self, why: Cancelled) -> bool {
        self.cancellation.tell(why);
        let mut stage = self.stage();
        let never_began = matches!(*stage, Stage::Waiting(..));
        let closure = never_began.then(|| std::mem::replace(&mut *stage, Stage::Over));
        drop(stage);
        drop(closure);
        never_began
    }
}

/// What a thread can do with a job, whatever its types.
pub(crate) trait Work: Send + Sync {
    fn work(&self);
}

impl<F, R> Work for Job<F, R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    fn work(&self) {
        let mut stage = self.stage();
        let f = match std::mem::replace(&mut *stage, Stage::Over) {
            Stage::Waiting(f, waker) => {
                *stage = Stage::Running(waker);
                f
            }
            // It was cancelled.
            _ => return,
        };
        drop(stage);
        CURRENT.with(|current| current.replace(Some(self.cancellation.clone())));
        let result = catch_unwind(AssertUnwindSafe(f));
        CURRENT.with(|current| current.replace(None));
        let mut stage = self.stage();
        let running = std::mem::replace(&mut *stage, Stage::Done(result));
        drop(stage);
        if let Stage::Running(Some(waker)) = running {
            waker.wake();
        }
    }
}

/// Threads that take jobs from one queue.
pub(crate) struct Pool {
    max: usize,
    jobs: Sender<Arc<dyn Work>>,
    queue: Arc<Queue>,
}

struct Queue {
    jobs: Receiver<Arc<dyn Work>>,
    /// Jobs that no thread has taken yet.
    waiting: AtomicUsize,
    /// Threads that wait for a job, or are about to.
    idle: AtomicUsize,
    threads: AtomicUsize,
}

/// How many threads all loops share at most: as many as the `blocking` crate has by default.
const SHARED_MAX: usize = 500;

/// How long a thread without work is kept.
const KEPT_FOR: Duration = Duration::from_secs(5);

impl Pool {
    fn new(max: usize) -> Pool {
        let (jobs, receiver) = unbounded();
        let queue = Queue {
            jobs: receiver,
            waiting: AtomicUsize::new(0),
            idle: AtomicUsize::new(0),
            threads: AtomicUsize::new(0),
        };
        Pool { max, jobs, queue: Arc::new(queue) }
    }

    /// That of the whole process. Not for loom, in which nothing may outlive a model.
    fn shared() -> Arc<Pool> {
        static SHARED: std::sync::OnceLock<Arc<Pool>> = std::sync::OnceLock::new();
        SHARED.get_or_init(|| Arc::new(Pool::new(SHARED_MAX))).clone()
    }

    /// The same, without a limit: for loops and futures, which may wait for each other, from one thread to the next.
    #[cfg(any(feature = "smol", feature = "async-std"))]
    pub(crate) fn unlimited() -> Arc<Pool> {
        static UNLIMITED: std::sync::OnceLock<Arc<Pool>> = std::sync::OnceLock::new();
        UNLIMITED.get_or_init(|| Arc::new(Pool::new(usize::MAX))).clone()
    }

    /// Has a thread do `job`, now or when one is free.
    pub(crate) fn submit(&self, job: Arc<dyn Work>, location: &'static Location<'static>) -> Result<()> {
        let queue = &self.queue;
        // Counted before it is sent, and read after: so either this sees that nobody is idle, and that there is room for one
        // thread more, or a thread that is about to leave sees that a job is coming.
        let waiting = queue.waiting.fetch_add(1, SeqCst) + 1;
        let mut failed = None;
        if waiting > queue.idle.load(SeqCst) && queue.add_thread(self.max) {
            let (theirs, max) = (queue.clone(), self.max);
            let spawned = thread::Builder::new().name("tinyield".into()).spawn(move || theirs.serve(max));
            if let Err(error) = spawned
                && queue.threads.fetch_sub(1, SeqCst) == 1
            {
                failed = Some(error);
            }
        }
        if let Some(error) = failed {
            queue.waiting.fetch_sub(1, SeqCst);
            return Err(Error::at(format!("no thread could be started: {error}").into(), location));
        }
        self.jobs.send(job).expect("the queue has its own receiver");
        Ok(())
    }
}

impl Queue {
    /// Counts one thread more; false if there are as many as there may be.
    fn add_thread(&self, max: usize) -> bool {
        self.threads.try_update(SeqCst, SeqCst, |threads| (threads < max).then_some(threads + 1)).is_ok()
    }

    /// A thread's life.
    fn serve(&self, max: usize) {
        loop {
            self.idle.fetch_add(1, SeqCst);
            let job = self.jobs.recv_timeout(KEPT_FOR);
            self.idle.fetch_sub(1, SeqCst);
            match job {
                Ok(job) => {
                    self.waiting.fetch_sub(1, SeqCst);
                    // A host's waker may be woken here, which is foreign code.
                    forget_panic(catch_unwind(AssertUnwindSafe(|| job.work())));
                    // What is left of it belongs to the coroutine; if that is gone, its destructors run here.
                    forget_panic(catch_unwind(AssertUnwindSafe(|| drop(job))));
                }
                Err(_) => {
                    // In this order: whoever has counted a job after this looked finds that a thread may be started for it.
                    self.threads.fetch_sub(1, SeqCst);
                    if self.waiting.load(SeqCst) == 0 || !self.add_thread(max) {
                        return;
                    }
                }
            }
        }
    }
}

/// There is nobody to tell of this panic but the hook, which has been told. What it carries might panic in its turn.
fn forget_panic(result: std::result::Result<(), Box<dyn Any + Send>>) {
    if let Err(payload) = result {
        std::mem::forget(payload);
    }
}
