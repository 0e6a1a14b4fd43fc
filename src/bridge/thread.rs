//! A loop on a thread of its own, as a future that any thread may poll.

use std::fmt;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker, ready};
use std::thread::Thread;

use crate::error::{Cancelled, Grouping, LoopError, Reason};
use crate::run::Run;
use crate::scheduler::Inbox;
use crate::thread::{self, Job, Pool};
use crate::wait::Wait;
use crate::wait::private::AnyTask;

/// A run that begins, on another thread, when it is polled first. Dropped half-way, it has that thread cancel the run, and
/// comes back when it has, or, if it is dropped there, at once.
pub(super) struct Threaded<T: Send + 'static> {
    state: State<T>,
    /// The function that the user called.
    name: &'static str,
}

type Running<T> = Job<Box<dyn FnOnce() -> Result<T, LoopError> + Send>, Result<T, LoopError>>;

enum State<T: Send + 'static> {
    Unstarted {
        run: Box<dyn FnOnce(Grouping) -> Result<T, LoopError> + Send>,
        grouping: Grouping,
        location: &'static Location<'static>,
    },
    Running(Arc<Running<T>>),
    Over,
}

impl<T: Send + 'static> Threaded<T> {
    #[track_caller]
    pub(super) fn new<B, W>(name: &'static str, build: B) -> Threaded<T>
    where
        B: FnOnce() -> W + Send + 'static,
        W: Wait<Output = T>,
    {
        let location = Location::caller();
        let run = Box::new(move |grouping| run_here(build(), grouping, location));
        Threaded { state: State::Unstarted { run, grouping: Grouping::default(), location }, name }
    }

    pub(super) fn set_grouping(&mut self, new: Grouping) {
        if let State::Unstarted { grouping, .. } = &mut self.state {
            *grouping = new;
        }
    }

    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<T, LoopError>> {
        if let State::Unstarted { .. } = self.state
            && let State::Unstarted { run, grouping, location } = std::mem::replace(&mut self.state, State::Over)
        {
            let job: Arc<Running<T>> = Arc::new(Job::new(Box::new(move || run(grouping))));
            if let Err(error) = Pool::unlimited().submit(job.clone(), location) {
                return Poll::Ready(Err(LoopError::new(error, Vec::new())));
            }
            self.state = State::Running(job);
        }
        let State::Running(job) = &self.state else {
            panic!("the future of `{}` was polled after it had given its output", self.name)
        };
        job.is_waited_for_here();
        // The waker is foreign code: if that panics, nothing is over.
        let result = ready!(job.poll_result(context));
        self.state = State::Over;
        Poll::Ready(result.unwrap_or_else(|payload| resume_unwind(payload)))
    }
}

impl<T: Send + 'static> Drop for Threaded<T> {
    fn drop(&mut self) {
        if let State::Running(job) = std::mem::replace(&mut self.state, State::Over)
            && !job.cancel(Cancelled::new(Reason::Dropped))
            // A coroutine of the very run, or a closure that it waits for, may have got hold of it, and would wait for itself.
            && !job.runs_here()
            && let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(wait_for(&job))))
        {
            // A second panic would end the process.
            if std::thread::panicking() { std::mem::forget(payload) } else { resume_unwind(payload) }
        }
    }
}

impl<T: Send + 'static> fmt::Debug for Threaded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Unstarted { .. } => "Unstarted",
            State::Running(_) => "Running",
            State::Over => "Over",
        })
    }
}

/// Runs `wait` to its end, on this thread, or until what this thread runs is cancelled.
fn run_here<W: Wait>(
    wait: W,
    grouping: Grouping,
    location: &'static Location<'static>,
) -> Result<W::Output, LoopError> {
    let AnyTask(main) = wait.into_task();
    let mut run = Run::start(main, grouping, None, location);
    let abandon = Waker::from(Arc::new(Abandon(run.inbox().clone())));
    if thread::cancellation().poll(&Context::from_waker(&abandon)).is_ready() {
        abandon.wake_by_ref();
    }
    run.finish()
}

/// Woken, it has a run cancel everything.
struct Abandon(Arc<Inbox>);

impl Wake for Abandon {
    fn wake(self: Arc<Self>) {
        self.0.stop(Reason::Dropped);
    }
}

/// Blocks the thread until the job is done. In a destructor, which may be that of a thread-local value: so it uses none that
/// others have, as their `block_on`s do.
fn wait_for<T: Send + 'static>(job: &Running<T>) -> Result<T, LoopError> {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    job.is_waited_for_here();
    loop {
        match job.poll(&Context::from_waker(&waker)) {
            Poll::Ready(result) => return result,
            Poll::Pending => std::thread::park(),
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
