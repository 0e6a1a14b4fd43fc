//! A closure on its way through a thread.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};

use super::cancellation::{CURRENT, Cancellation};
use crate::error::Cancelled;
use crate::primitives::{Mutex, MutexGuard};

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
