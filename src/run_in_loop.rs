//! Loops that run on threads of their own. A coroutine of the outer loop waits for each inner loop.

use std::panic::Location;

use crate::coro::Coro;
use crate::error::{Error, LoopError};
use crate::run::{Run, Settings};
use crate::scheduler::{Outcome, Resume, TaskName, TaskRef};
use crate::thread::{Pool, run_on};
use crate::trace::Frame;
use crate::waiting::private::AnyTask;
use crate::waiting::{ActiveWait, Internal, Wait, suspend_until};

/// Makes a coroutine that runs a loop on a thread of its own. The loop runs the wait that `build` returns, and the coroutine gives
/// the output of this wait.
///
/// `build` is called on that thread, so the wait that it returns need not be `Send`. To have a loop on each core, yield an array or
/// a `Vec` of such coroutines. The threads are kept for later loops. An inner loop may start further inner loops.
///
/// ```
/// use std::rc::Rc;
/// use tinyield::{Coro, Loop, co, coro, run_in_loop};
///
/// #[coro]
/// fn count(part: Rc<str>) -> Coro<usize> {
///     yield;
///     part.split_whitespace().count()
/// }
///
/// let parts = ["to be or", "not to be", "that is the question"];
/// let main = co! {
///     let counts = yield parts.map(|part| run_in_loop(move || count(Rc::from(part))));
///     counts.iter().sum::<usize>()
/// };
/// assert_eq!(Loop::new().run(main).unwrap(), 10);
/// ```
///
/// # Errors
///
/// The error of the inner loop. In the trace, the inner coroutines follow the coroutine that waits, as if they were its children.
/// The [`others`](LoopError::others) of the error are among those of the outer domain. If no thread could be started, the coroutine
/// also raises an error.
///
/// # Panics
///
/// If the inner loop or `build` panics. The payload is the same. The panic stops the outer loop, as a panic of a coroutine does.
///
/// # Cancellation
///
/// The inner loop is stopped: its coroutines see the same [`Reason`](crate::Reason). The coroutine that waits ends when the inner loop
/// has ended.
#[track_caller]
pub fn run_in_loop<B, W>(build: B) -> Coro<W::Output>
where
    B: FnOnce() -> W + Send + 'static,
    W: Wait,
    W::Output: Send,
{
    let location = Location::caller();
    // `run_on` connects the loop with the closure on the thread: when the closure is cancelled, the loop is stopped.
    let running = run_on::<RunInLoop, _, _>(Pool::unlimited, move || {
        let AnyTask(main) = build().into_task();
        Some(Run::start(main, Settings::default(), location).finish())
    });
    let task = running.task().clone();
    let state = running.into_state();
    Coro::from_named::<Internal, _>(
        #[coroutine]
        static move |mut resume: Resume| {
            let mut wait = ActiveWait::begin_at(&resume, state, location);
            let (ended, cancelled) = match suspend_until!(resume, wait.poll(&resume)) {
                Ok(ended) => (ended, None),
                // The inner loop may have failed before it was stopped, or while it stopped.
                Err(cancelled) => match task.take_output() {
                    Some(Ok(ended)) => (ended, Some(cancelled)),
                    _ => return Outcome(Err(cancelled)),
                },
            };
            Outcome(match (ended, cancelled) {
                (Ok(value), None) => Ok(value),
                (Ok(_), Some(cancelled)) => Err(cancelled),
                (Err(failed), cancelled) => Err(outer_error(&failed, cancelled, &resume.task, location)),
            })
        },
    )
}

/// The error that is raised in the outer loop when the inner loop has failed.
fn outer_error(
    failed: &LoopError,
    cancelled: Option<Error>,
    task: &TaskRef,
    location: &'static Location<'static>,
) -> Error {
    if let Some(scope) = task.scope() {
        scope.add_others(failed.others());
    }
    match cancelled {
        Some(cancelled) if failed.error().is_cancelled() => cancelled,
        _ => failed.error().clone().traced(vec![Frame::new(RunInLoop::NAME.into(), location)]),
    }
}

struct RunInLoop;

impl TaskName for RunInLoop {
    const NAME: &'static str = "run_in_loop";
}
