//! The handle of a closure that was given to a pool, and the coroutine that waits for the closure.

use std::future::poll_fn;
use std::io;
use std::panic::{Location, resume_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};

use super::closure::Closure;
#[cfg(any(feature = "smol", feature = "async-std", feature = "tokio"))]
use super::closure::HeldThread;
use super::pool::{Pool, Work};
use crate::coro::Coro;
use crate::error::{Cancelled, Error, Reason, Result};
use crate::panic::contain;
use crate::primitives::{Mutex, lock};
use crate::scheduler::{Completion, Outcome, Resume, SlotKey, TaskName, TaskRef};
use crate::shield::shield;
use crate::waiting::{ActiveWait, Internal, Wait, suspend_until};

/// The handle of a closure that was given to a pool.
pub(crate) struct Job<F, R> {
    closure: Arc<Closure<Body<F, R>>>,
}

/// The part that the handle shares with the thread.
struct Body<F, R> {
    state: Mutex<State<F, R>>,
    location: &'static Location<'static>,
    /// The key of the completion. `None` if no coroutine waits.
    key: Option<SlotKey>,
    /// The number of the closure in the queue. Only the handle uses it. It is stored here so that the handle is only one pointer.
    number: AtomicU64,
}

struct State<F, R> {
    stage: Stage<F, R>,
    /// Woken when the closure has ended.
    waiter: Option<JobWaiter>,
    /// The handle was dropped, so nothing will take the result.
    is_abandoned: bool,
}

/// What waits for the end of a closure: a coroutine has a completion, and a future has a waker.
enum JobWaiter {
    Completion(Completion),
    Waker(Waker),
}

enum Stage<F, R> {
    Waiting(F),
    Running,
    /// The result of the closure (its value or its panic), or an error if no thread could be started.
    Ended(Result<std::thread::Result<R>>),
    Over,
}

impl<F, R> Job<F, R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    /// Calls `f` on a thread of `pool`, or of a spare pool (see [`Closure::spare_for`]), as soon as a thread is free. `completion`
    /// is delivered when `f` has ended, or will never run.
    pub(crate) fn start(
        pool: &Arc<Pool>,
        f: F,
        completion: Option<Completion>,
        location: &'static Location<'static>,
    ) -> Job<F, R> {
        let current = Closure::current();
        let spare = current.as_ref().and_then(|current| current.spare_for(pool));
        let pool = spare.as_ref().unwrap_or(pool);
        let key = completion.as_ref().map(Completion::key);
        let waiter = completion.map(JobWaiter::Completion);
        let state = State { stage: Stage::Waiting(f), waiter, is_abandoned: false };
        let body = Body { state: Mutex::new(state), location, key, number: AtomicU64::default() };
        let closure = Arc::new(Closure::new(current.as_ref(), pool.queue().clone(), body));
        let number = pool.push(closure.clone());
        closure.body.number.store(number, Relaxed);
        Job { closure }
    }
}

impl<F, R> Job<F, R> {
    /// Returns the result of the closure when it has ended.
    pub(crate) fn poll(&self, context: &Context<'_>) -> Poll<Result<std::thread::Result<R>>> {
        // Cloning or dropping a waker runs foreign code, so this is not done under the lock.
        let mut new = None;
        loop {
            let mut state = lock(&self.closure.body.state);
            if let Some(result) = state.take_result() {
                return Poll::Ready(result);
            }
            if let Some(JobWaiter::Waker(waker)) = &state.waiter
                && waker.will_wake(context.waker())
            {
                return Poll::Pending;
            }
            if let Some(new) = new.take() {
                let old = state.waiter.replace(JobWaiter::Waker(new));
                drop(state);
                drop(old);
                return Poll::Pending;
            }
            drop(state);
            new = Some(context.waker().clone());
        }
    }

    /// Waits in `task`, for which the completion of this job was made. A panic of the closure is resumed here.
    fn poll_in_task(&self, task: &TaskRef, location: &'static Location<'static>) -> Poll<Result<Result<R>>> {
        let key = self.closure.body.key.expect("the job has a completion");
        task.poll_completed(key, || self.take_value(), location)
    }

    /// Takes the value of the closure, if it has ended. A panic of the closure is resumed here.
    fn take_value(&self) -> Option<Result<R>> {
        let result = lock(&self.closure.body.state).take_result();
        result.map(|result| result.map(value_or_panic))
    }

    /// Returns the value of the closure when it has ended. A panic of the closure is resumed here.
    fn poll_value(&self, context: &Context<'_>) -> Poll<Result<R>> {
        self.poll(context).map_ok(value_or_panic)
    }

    /// Cancels the closure. Returns true if the closure has not begun. In this case, it never begins.
    pub(crate) fn cancel(&self, reason: Cancelled) -> bool {
        let is_withdrawn = self.closure.queue.withdraw(self.closure.body.number.load(Relaxed));
        if !is_withdrawn {
            self.closure.cancellation.cancel(reason);
        }
        is_withdrawn
    }

    /// Whether the cancellation has interrupted a blocking call of the closure.
    fn was_interrupted(&self) -> bool {
        self.closure.cancellation.has_interrupted()
    }

    /// Notes that the closure that runs on this thread now awaits the job. While the returned [`HeldThread`] exists, this thread counts as
    /// held. If another closure has awaited the job before, it no longer counts as the waiting one.
    #[cfg(any(feature = "smol", feature = "async-std", feature = "tokio"))]
    pub(crate) fn set_awaited_here(&self) -> Option<HeldThread> {
        let here = Closure::current();
        self.closure.set_awaited_by(here.as_ref());
        here.map(HeldThread::new)
    }

    /// Whether the closure of the job runs on this thread, or waits for a closure that runs on this thread.
    #[cfg(any(feature = "smol", feature = "async-std", feature = "tokio"))]
    pub(crate) fn runs_this(&self) -> bool {
        let is_this = |closure: &Arc<Closure>| std::ptr::addr_eq(Arc::as_ptr(closure), Arc::as_ptr(&self.closure));
        Closure::current().is_some_and(|current| current.chain().iter().any(is_this))
    }
}

/// A closure may exist for longer than its handle: for example, a future that was polled in it has a [`HeldThread`] of it. So this drops a
/// result that nothing will take. If the closure has not ended yet, its thread drops the result when it ends.
impl<F, R> Drop for Job<F, R> {
    fn drop(&mut self) {
        let mut state = lock(&self.closure.body.state);
        state.is_abandoned = true;
        let waiter = state.waiter.take();
        let has_ended = matches!(state.stage, Stage::Ended(_));
        let result = has_ended.then(|| std::mem::replace(&mut state.stage, Stage::Over));
        // Dropping the waiter or the result may run user code.
        drop(state);
        drop((waiter, result));
    }
}

impl<F, R> Work for Closure<Body<F, R>>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    fn run(self: Arc<Self>) -> Option<Completion> {
        let result = Closure::call(self.clone(), self.body.begin());
        self.body.end(Ok(result))
    }

    fn refuse(self: Arc<Self>, error: &io::Error) {
        let body = &self.body;
        contain(|| drop(body.begin()));
        let error = Error::at(format!("no thread could be started: {error}").into(), body.location);
        if let Some(completion) = body.end(Err(error)) {
            completion.deliver(false);
        }
    }
}

impl<F, R> Body<F, R> {
    fn begin(&self) -> F {
        let mut state = lock(&self.state);
        match std::mem::replace(&mut state.stage, Stage::Running) {
            Stage::Waiting(f) => f,
            _ => unreachable!("a job begins once"),
        }
    }

    /// Stores the result. If a future waits, wakes it. If a coroutine waits, returns its completion, which the caller has to deliver.
    fn end(&self, result: Result<std::thread::Result<R>>) -> Option<Completion> {
        let mut state = lock(&self.state);
        if state.is_abandoned {
            state.stage = Stage::Over;
            drop(state);
            drop(result);
            return None;
        }
        state.stage = Stage::Ended(result);
        let waiter = state.waiter.take();
        drop(state);
        match waiter? {
            JobWaiter::Completion(completion) => Some(completion),
            JobWaiter::Waker(waker) => {
                contain(|| waker.wake());
                None
            }
        }
    }
}

impl<F, R> State<F, R> {
    /// Takes the result of the closure, if it has ended.
    fn take_result(&mut self) -> Option<Result<std::thread::Result<R>>> {
        if let Stage::Waiting(_) | Stage::Running = self.stage {
            return None;
        }
        let Stage::Ended(result) = std::mem::replace(&mut self.stage, Stage::Over) else {
            unreachable!("the result of a job is taken once")
        };
        Some(result)
    }
}

fn value_or_panic<R>(result: std::thread::Result<R>) -> R {
    result.unwrap_or_else(|payload| resume_unwind(payload))
}

/// Makes a coroutine that calls `f` on a thread of `pool`. `f` may return `None` only after it was cancelled.
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
            if let Some(scheduler) = resume.task.scheduler() {
                scheduler.note_outside();
            }
            let job = Job::start(&pool(), f, Some(resume.task.new_completion()), location);
            let cancelled = match suspend_until!(resume, job.poll_in_task(&resume.task, location)) {
                Ok(value) => return Outcome(value.map(|value| value.expect("`f` was not cancelled"))),
                Err(cancelled) => cancelled,
            };
            let reason = cancelled.as_cancelled().cloned();
            if job.cancel(reason.unwrap_or_else(|| Cancelled::new(Reason::Dropped))) {
                return Outcome(Err(cancelled));
            }
            let mut join = ActiveWait::begin_at(&resume, shield(joined(job, location)).into_state(), location);
            let (value, was_interrupted) = suspend_until!(resume, join.poll(&resume))?;
            // An error after an interrupted call may be a result of the cancellation.
            let Some(value) = value.filter(|_| !was_interrupted) else { return Outcome(Err(cancelled)) };
            // No waiter gets the value. Only `raise` and `run_in_loop` still look whether it is an error.
            resume.task.discard_value();
            Outcome::value(value)
        },
    )
}

/// Makes a coroutine that waits until the closure has ended. Its output is the value of the closure, and whether the cancellation has
/// interrupted a blocking call.
fn joined<F: 'static, R: 'static>(job: Job<F, R>, location: &'static Location<'static>) -> Coro<(R, bool)> {
    Coro::from_named::<Internal, _>(
        #[coroutine]
        static move |mut resume: Resume| {
            let mut ended = pin!(poll_fn(|context| job.poll_value(context)));
            let result = suspend_until!(resume, resume.task.poll_future(ended.as_mut(), location)).flatten();
            Outcome(result.map(|value| (value, job.was_interrupted())))
        },
    )
}
