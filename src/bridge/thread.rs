//! A loop as a future that any thread may poll. The loop runs on a thread of its own.

use std::fmt;
use std::panic::{Location, resume_unwind};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker, ready};
use std::thread::Thread;

use super::host::{polled_again, stage};
use crate::error::{Cancelled, Grouping, LoopError, Reason};
use crate::panic::FirstPanic;
use crate::run::{Run, Settings};
use crate::thread::{HeldThread, Job, Pool};
use crate::waiting::Wait;
use crate::waiting::private::AnyTask;

pub(super) struct Threaded<T: Send + 'static> {
    /// The work for the thread, until the future is first polled.
    run: Option<RunHere<T>>,
    /// The job on the thread, from the first poll until the future is ready.
    job: Option<RunJob<T>>,
    /// Present if a closure awaits this job. Then the thread of the closure counts as held.
    held_thread: Option<HeldThread>,
    grouping: Grouping,
    /// The function that the user called.
    name: &'static str,
    location: &'static Location<'static>,
}

/// Runs the loop on the thread that calls this.
type RunHere<T> = Box<dyn FnOnce(Grouping) -> Result<T, LoopError> + Send>;

/// Starts a run of the wait that `build` returns.
pub(super) fn start<B, W>(build: B, grouping: Grouping, location: &'static Location<'static>) -> Run<W::Output>
where
    B: FnOnce() -> W,
    W: Wait,
{
    let AnyTask(main) = build().into_task();
    Run::start(main, Settings { grouping, ..Settings::default() }, location)
}

type RunJob<T> = Job<Box<dyn FnOnce() -> Result<T, LoopError> + Send>, Result<T, LoopError>>;

impl<T: Send + 'static> Threaded<T> {
    #[cfg(any(feature = "smol", feature = "async-std"))]
    #[track_caller]
    pub(super) fn new<B, W>(name: &'static str, build: B) -> Threaded<T>
    where
        B: FnOnce() -> W + Send + 'static,
        W: Wait<Output = T>,
    {
        let location = Location::caller();
        Threaded::running(name, move |grouping| start(build, grouping, location).finish())
    }

    /// `run` runs the loop on the thread that calls it.
    #[track_caller]
    pub(super) fn running(
        name: &'static str,
        run: impl FnOnce(Grouping) -> Result<T, LoopError> + Send + 'static,
    ) -> Threaded<T> {
        let location = Location::caller();
        Threaded {
            run: Some(Box::new(run)),
            job: None,
            held_thread: None,
            grouping: Grouping::default(),
            name,
            location,
        }
    }

    pub(super) fn set_grouping(&mut self, grouping: Grouping) {
        self.grouping = grouping;
    }

    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<T, LoopError>> {
        if let Some(run) = self.run.take() {
            let grouping = self.grouping;
            self.job = Some(Job::start(&Pool::unlimited(), Box::new(move || run(grouping)), None, self.location));
        }
        let Some(job) = &mut self.job else { panic!("{}", polled_again(self.name)) };
        self.held_thread = job.set_awaited_here();
        // The poll calls the waker, which is foreign code. If the waker panics, the job is still in `self`, where `drop` cancels
        // it.
        let ended = ready!(job.poll(context));
        (self.job, self.held_thread) = (None, None);
        Poll::Ready(match ended {
            Ok(result) => result.unwrap_or_else(|payload| resume_unwind(payload)),
            Err(refused) => Err(LoopError::new(refused, Vec::new())),
        })
    }
}

impl<T: Send + 'static> Drop for Threaded<T> {
    fn drop(&mut self) {
        let Some(job) = self.job.take() else { return };
        let mut panic = FirstPanic::default();
        panic.run(move || {
            let never_began = job.cancel(Cancelled::new(Reason::Dropped));
            // If this is dropped inside of the job itself, nothing waits here: the job would wait for itself.
            if !never_began && !job.runs_this() {
                drop(wait_for(&job));
            }
        });
        panic.resume();
    }
}

impl<T: Send + 'static> fmt::Debug for Threaded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(stage(self.run.is_some(), self.job.is_some()))
    }
}

/// Blocks the thread until the job has ended, and returns its result. It parks the thread directly, without a `block_on`: in the
/// destructor of a thread-local value, the thread-local values that `block_on` needs may no longer exist.
fn wait_for<F, R>(job: &Job<F, R>) -> Result<R, crate::Error> {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let _held_thread = job.set_awaited_here();
    loop {
        match job.poll(&Context::from_waker(&waker)) {
            Poll::Ready(ended) => return ended.map(|result| result.unwrap_or_else(|payload| resume_unwind(payload))),
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
