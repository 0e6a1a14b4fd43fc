//! The tokio runtime in which the futures of [`from_tokio`](crate::from_tokio) run: the runtime around the loop, or a runtime that
//! is made for the run.

use std::any::Any;
use std::future::{pending, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use tokio::runtime::{Builder, Handle, Runtime, RuntimeFlavor};
use tokio::task::{AbortHandle, unconstrained};
use tokio::time::{Sleep, sleep_until};

use super::host::HostTimer;
use crate::scheduler::{Driver, Scheduler, Steps};

/// The tokio runtime of a run.
pub(super) enum TokioRuntime {
    /// Driven by other threads.
    Outer(Handle),
    /// Driven by the thread of the loop.
    Own(Runtime),
    /// Driven by a thread of its own: a host polls the loop, so the loop may not block its thread.
    OwnThread(RuntimeThread),
}

impl TokioRuntime {
    /// The runtime for the futures of a task of `scheduler`, which runs now.
    ///
    /// The runtime around the loop is used if it advances while the loop waits. There are two such cases: the runtime polls the
    /// loop, or it has threads of its own. A current-thread runtime advances only while its `block_on` runs. It does not advance if
    /// this thread has only entered it.
    pub(super) fn handle_for(scheduler: &Scheduler) -> io::Result<Handle> {
        let current = Handle::try_current();
        let is_hosted = scheduler.is_hosted();
        if let Ok(outer) = &current
            && (is_hosted || outer.runtime_flavor() != RuntimeFlavor::CurrentThread)
        {
            return Ok(outer.clone());
        }
        if let Some(driver) = scheduler.driver()
            && let Some(runtime) = (&**driver as &dyn Any).downcast_ref::<TokioRuntime>()
        {
            return Ok(runtime.handle().clone());
        }
        let runtime = if is_hosted {
            TokioRuntime::OwnThread(RuntimeThread::start()?)
        } else {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            // This panics if a runtime already runs on this thread. So the coroutine panics here. Without this call, the loop would
            // panic later, when it is idle.
            runtime.block_on(async {});
            TokioRuntime::Own(runtime)
        };
        let handle = runtime.handle().clone();
        scheduler.set_driver(Rc::new(runtime));
        Ok(handle)
    }

    fn handle(&self) -> &Handle {
        match self {
            TokioRuntime::Outer(handle) => handle,
            TokioRuntime::Own(runtime) => runtime.handle(),
            TokioRuntime::OwnThread(thread) => &thread.handle,
        }
    }
}

/// A thread that drives a runtime until this is dropped.
pub(super) struct RuntimeThread {
    handle: Handle,
    /// A task that never ends by itself. The thread drives the runtime until the task is aborted.
    endless_task: AbortHandle,
    thread: Option<JoinHandle<()>>,
}

impl RuntimeThread {
    fn start() -> io::Result<RuntimeThread> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let never_ends = runtime.spawn(pending::<()>());
        let endless_task = never_ends.abort_handle();
        let drive = move || {
            let _aborted = runtime.block_on(never_ends);
        };
        let thread = thread::Builder::new().name("tinyield tokio".into()).spawn(drive)?;
        Ok(RuntimeThread { handle, endless_task, thread: Some(thread) })
    }
}

impl Drop for RuntimeThread {
    fn drop(&mut self) {
        self.endless_task.abort();
        // If the thread panicked (in the destructor of a task), the panic hook has printed the panic.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Driver for TokioRuntime {
    fn is_driven_here(&self) -> bool {
        matches!(self, TokioRuntime::Own(_))
    }

    fn drive(&self, steps: &mut dyn FnMut(&Waker) -> Steps) {
        let TokioRuntime::Own(runtime) = self else { unreachable!("other threads drive the runtime") };
        let mut timer = TokioTimer::default();
        // The loop gives every coroutine its turns, so tokio's budget is not needed. It would only make ready futures look pending.
        runtime.block_on(unconstrained(poll_fn(|context| {
            match steps(context.waker()) {
                Steps::Over => return Poll::Ready(()),
                Steps::Idle(deadline) if timer.poll_until(deadline, context).is_pending() => {}
                Steps::Idle(_) | Steps::Ready => context.waker().wake_by_ref(),
            }
            Poll::Pending
        })));
    }
}

/// A timer of the runtime that polls it.
#[derive(Default)]
pub(super) struct TokioTimer {
    /// Made only when the first deadline is set, because the runtime may have no timers.
    sleep: Option<Pin<Box<Sleep>>>,
    set_to: Option<Instant>,
}

impl HostTimer for TokioTimer {
    /// The clock of tokio, which `tokio::time::pause` may have paused.
    const NOW: Option<fn() -> Instant> = Some(|| tokio::time::Instant::now().into_std());

    fn poll_until(&mut self, deadline: Option<Instant>, context: &mut Context<'_>) -> Poll<()> {
        if deadline != self.set_to {
            self.set_to = deadline;
            if let Some(at) = deadline {
                match &mut self.sleep {
                    Some(sleep) => sleep.as_mut().reset(at.into()),
                    None => self.sleep = Some(Box::pin(sleep_until(at.into()))),
                }
            }
        }
        let Some(sleep) = self.sleep.as_mut().filter(|_| self.set_to.is_some()) else { return Poll::Pending };
        ready!(sleep.as_mut().poll(context));
        self.set_to = None;
        Poll::Ready(())
    }
}

/// A future that is polled and dropped in the context of a tokio runtime.
pub(super) struct InRuntime<F> {
    /// `None` only during `drop`.
    future: Option<Pin<Box<F>>>,
    handle: Handle,
}

impl<F> InRuntime<F> {
    pub(super) fn new(future: Pin<Box<F>>, handle: Handle) -> InRuntime<F> {
        InRuntime { future: Some(future), handle }
    }
}

impl<F: Future> Future for InRuntime<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let InRuntime { future, handle } = &mut *self;
        let _entered = handle.enter();
        future.as_mut().expect("the future is taken only in `drop`").as_mut().poll(context)
    }
}

impl<F> Drop for InRuntime<F> {
    fn drop(&mut self) {
        let _entered = self.handle.enter();
        drop(self.future.take());
    }
}
