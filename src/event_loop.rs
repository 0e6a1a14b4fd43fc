//! The loop: run to the end, stepped by hand, or polled by another one.

use std::fmt;
use std::marker::PhantomData;
use std::panic::{Location, resume_unwind};
use std::rc::Rc;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;
#[cfg(feature = "smol")]
use std::{ops::ControlFlow, task::Waker};

use crate::coro::start_in;
use crate::error::{Grouping, LoopError, Reason};
use crate::primitives::Mutex;
use crate::scheduler::{Inbox, Progress, Scheduler, Task};
use crate::thread::InnerLoop;
use crate::wait::Wait;
use crate::wait::private::AnyTask;

/// A single-threaded event loop.
///
/// It has no thread-locals and no globals: any number may live on one thread, and a coroutine may make and run one of its
/// own. It can run again and again.
///
/// ```
/// # #![feature(coroutines)]
/// use tinyield::{Loop, co};
///
/// let mut event_loop = Loop::new();
/// assert_eq!(event_loop.run(co! { 1 }).unwrap(), 1);
/// assert_eq!(event_loop.run((co! { 2 }, co! { "three" })).unwrap(), (2, "three"));
/// ```
#[derive(Debug, Default)]
pub struct Loop {
    grouping: Grouping,
    stop: Option<Arc<Stop>>,
}

impl Loop {
    /// A loop.
    #[must_use]
    pub fn new() -> Loop {
        Loop::default()
    }

    /// A loop with settings.
    ///
    /// ```
    /// use tinyield::{Grouping, Loop};
    ///
    /// let event_loop = Loop::builder().grouping(Grouping::Always).build();
    /// ```
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Runs until `wait` and everything that was started has ended, and gives the output of `wait`.
    ///
    /// # Errors
    ///
    /// The first error that any coroutine raised, when all the others have been cancelled and have ended, and threads have
    /// been joined; a [`Deadlock`](crate::Deadlock); or that it was [stopped](StopHandle::stop).
    ///
    /// # Panics
    ///
    /// With what a coroutine, or a thread's closure, panicked with, when all the others have ended.
    #[track_caller]
    pub fn run<W: Wait>(&mut self, wait: W) -> Result<W::Output, LoopError> {
        self.runtime(wait).finish()
    }

    /// The same, step by step: to embed the loop in another one.
    ///
    /// ```
    /// # #![feature(coroutines)]
    /// use tinyield::{Loop, Step, co};
    ///
    /// let mut event_loop = Loop::new();
    /// let mut runtime = event_loop.runtime(co! { yield; 3 });
    /// let value = loop {
    ///     match runtime.step() {
    ///         Step::Ran => {} // time for something else
    ///         Step::Idle(idle) => idle.wait(),
    ///         Step::Done(result) => break result.unwrap(),
    ///     }
    /// };
    /// assert_eq!(value, 3);
    /// ```
    #[track_caller]
    pub fn runtime<W: Wait>(&mut self, wait: W) -> Runtime<'_, W::Output> {
        let AnyTask(main) = wait.into_task();
        let run = Run::start(main, self.grouping, self.stop.clone(), Location::caller());
        Runtime { run, event_loop: PhantomData }
    }

    /// A handle with which any thread can stop what this loop runs.
    #[must_use]
    pub fn stop_handle(&mut self) -> StopHandle {
        StopHandle { stop: self.stop.get_or_insert_default().clone() }
    }
}

/// Settings of a [`Loop`].
#[derive(Debug, Default)]
#[must_use = "a builder makes no loop before it is told to `build`"]
pub struct Builder {
    grouping: Grouping,
}

impl Builder {
    /// Which of the errors that come up while the loop stops are kept.
    pub fn grouping(mut self, grouping: Grouping) -> Builder {
        self.grouping = grouping;
        self
    }

    /// The loop.
    #[must_use]
    pub fn build(self) -> Loop {
        Loop { grouping: self.grouping, stop: None }
    }
}

/// Stops a loop from anywhere: another thread, or a signal handler's.
///
/// ```
/// # #![feature(coroutines)]
/// use std::time::Duration;
/// use tinyield::{Loop, sleep};
///
/// let mut event_loop = Loop::new();
/// let handle = event_loop.stop_handle();
/// std::thread::spawn(move || handle.stop());
/// assert!(event_loop.run(sleep(Duration::MAX)).unwrap_err().is_stopped());
/// ```
///
/// It does not keep a run from being a [`Deadlock`](crate::Deadlock): what is to wait until it is stopped, and for nothing
/// else, waits as above.
#[derive(Clone, Debug)]
pub struct StopHandle {
    stop: Arc<Stop>,
}

impl StopHandle {
    /// Cancels everything that the loop runs; its `run` returns an error for which [`LoopError::is_stopped`] holds, unless
    /// all has ended before the loop comes to hear of it.
    ///
    /// Asked between two runs, it stops the next one. A run uses it up. When the loop is gone, it does nothing.
    pub fn stop(&self) {
        let mut state = self.stop.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &*state {
            StopState::Running(inbox) => {
                // Under the lock, so that it is there before a next run looks whether this one has heard of it.
                let parked = inbox.ask_to_stop(Reason::Stopped);
                drop(state);
                parked.wake();
            }
            StopState::Between | StopState::Asked => *state = StopState::Asked,
        }
    }
}

#[derive(Default)]
pub(crate) struct Stop {
    state: Mutex<StopState>,
}

#[derive(Default)]
enum StopState {
    #[default]
    Between,
    Asked,
    Running(Arc<Inbox>),
}

impl Stop {
    /// A run begins, or ends: whether a stop was asked for before that no run has used up.
    fn replace(&self, state: StopState) -> bool {
        let mut current = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *current, state) {
            StopState::Between => false,
            StopState::Asked => true,
            // When a run begins: the one before was forgotten, and never hears of it.
            StopState::Running(inbox) => inbox.take_stop(),
        }
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stop").finish_non_exhaustive()
    }
}

/// One run of a loop, step by step. Made by [`Loop::runtime`].
///
/// The host chooses one way and keeps to it: [`step`](Runtime::step), or [`poll`](Runtime::poll).
///
/// # Cancellation
///
/// Dropped before it is done, it cancels all that it runs, and comes back when that has ended. A panic of what it ran goes on
/// from there.
#[must_use = "nothing runs before this is stepped or polled"]
pub struct Runtime<'a, T: 'static> {
    run: Run<T>,
    event_loop: PhantomData<&'a mut Loop>,
}

/// A run that owns what it needs.
pub(crate) struct Run<T: 'static> {
    scheduler: Rc<Scheduler>,
    main: Task<T>,
    stop: Option<Arc<Stop>>,
    done: bool,
    /// If a closure on a thread runs this.
    _inner: Option<InnerLoop>,
}

/// What one [step](Runtime::step) did.
#[derive(Debug)]
pub enum Step<T> {
    /// One coroutine had its turn, or was cancelled.
    Ran,
    /// Nothing is ready.
    Idle(Idle),
    /// All has ended. There is no further step.
    Done(Result<T, LoopError>),
}

/// Nothing is ready, until a deadline, or a wake-up from outside.
#[must_use = "an idle loop wants to be waited for"]
pub struct Idle {
    deadline: Option<Instant>,
    inbox: Arc<Inbox>,
}

impl Idle {
    /// When the next timer is due, if there is one.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Blocks the thread until the deadline, or until something outside wakes the loop; for ever, if there is neither.
    ///
    /// May come back early; the next step tells.
    pub fn wait(self) {
        self.inbox.sleep(self.deadline);
    }
}

impl fmt::Debug for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Idle").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

/// How many steps one [`Runtime::poll`] takes at most, before it lets the host's other tasks run. Between two polls a host may
/// visit the kernel, which takes as long as hundreds of the shortest turns.
const STEPS_PER_POLL: usize = 768;

impl<T: 'static> Runtime<'_, T> {
    /// Lets one coroutine have its turn.
    ///
    /// The thread is shared with code that may still set an event, say: so a loop that nothing else can wake is idle, not
    /// deadlocked. Only a cycle of coroutines that wait on each other is an error.
    ///
    /// # Panics
    ///
    /// With what a coroutine panicked with, when everything has ended; and if the run is over already.
    pub fn step(&mut self) -> Step<T> {
        self.run.assert_not_done();
        self.run.scheduler.host_is_awake();
        match self.run.scheduler.run(1) {
            Progress::Ran => Step::Ran,
            Progress::Done => Step::Done(self.run.result()),
            Progress::Idle if self.run.scheduler.stop_if_cyclic() => Step::Ran,
            Progress::Idle => {
                self.run.scheduler.host_may_sleep();
                Step::Idle(Idle { deadline: self.run.scheduler.deadline(), inbox: self.run.scheduler.inbox().clone() })
            }
        }
    }

    /// Lets coroutines have their turns, a bounded number of them; for a host that is a future.
    ///
    /// When nothing is ready, the waker of `context` is woken when something outside wakes the loop; when the next timer is
    /// due, the host has to poll again by itself: [`deadline`](Runtime::deadline) tells.
    ///
    /// # Panics
    ///
    /// As [`step`](Runtime::step).
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<T, LoopError>> {
        self.run.poll(context)
    }

    /// When the next timer is due, if there is one: when the host has to step or poll again at the latest.
    ///
    /// A coroutine that is ready has no deadline: of that, [`step`](Runtime::step) and [`poll`](Runtime::poll) tell.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.run.deadline()
    }

    fn finish(mut self) -> Result<T, LoopError> {
        self.run.finish()
    }
}

impl<T> fmt::Debug for Runtime<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("main", self.run.main.raw()).field("done", &self.run.done).finish()
    }
}

impl<T: 'static> Run<T> {
    /// `location` is where it was asked for.
    pub(crate) fn start(
        main: Task<T>,
        grouping: Grouping,
        stop: Option<Arc<Stop>>,
        location: &'static Location<'static>,
    ) -> Run<T> {
        let scheduler = Scheduler::new(grouping, location);
        start_main(&scheduler, &main);
        if let Some(stop) = &stop
            && stop.replace(StopState::Running(scheduler.inbox().clone()))
        {
            scheduler.inbox().stop(Reason::Stopped);
        }
        let inner = InnerLoop::new(|| scheduler.inbox().clone());
        Run { scheduler, main, stop, done: false, _inner: inner }
    }

    fn assert_not_done(&self) {
        assert!(!self.done, "this run is over: its result was given by the step or poll before");
    }

    /// Runs to the end, on this thread.
    pub(crate) fn finish(&mut self) -> Result<T, LoopError> {
        self.drive(true);
        self.result()
    }

    /// Runs until all has ended. What foreign futures wait for comes by async-io's reactor, which this thread drives meanwhile, or,
    /// if it does not `drive_reactor`, async-io's own.
    #[cfg_attr(not(feature = "smol"), expect(unused_variables))]
    fn drive(&mut self, drive_reactor: bool) {
        self.scheduler.host_is_awake();
        loop {
            match self.scheduler.run(usize::MAX) {
                Progress::Ran => {}
                Progress::Done => return,
                Progress::Idle => {
                    if self.scheduler.stop_if_stuck() {
                        continue;
                    }
                    #[cfg(feature = "smol")]
                    if drive_reactor && self.scheduler.has_foreign_futures() {
                        return crate::reactor::drive(|waker| self.turns(waker));
                    }
                    self.scheduler.sleep();
                }
            }
        }
    }

    /// Takes all the steps that can be taken now. Then `waker` is woken when there are more.
    #[cfg(feature = "smol")]
    fn turns(&mut self, waker: &Waker) -> ControlFlow<(), Option<Instant>> {
        self.scheduler.host_is_awake();
        loop {
            match self.scheduler.run(usize::MAX) {
                Progress::Ran => {}
                Progress::Done => return ControlFlow::Break(()),
                Progress::Idle => {
                    if !self.scheduler.stop_if_stuck() && self.scheduler.set_host_waker(waker) {
                        return ControlFlow::Continue(self.scheduler.deadline());
                    }
                }
            }
        }
    }

    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<T, LoopError>> {
        self.assert_not_done();
        self.scheduler.host_is_awake();
        loop {
            match self.scheduler.run(STEPS_PER_POLL) {
                Progress::Done => return Poll::Ready(self.result()),
                Progress::Ran => {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Progress::Idle => {
                    if !self.scheduler.stop_if_cyclic() && self.scheduler.set_host_waker(context.waker()) {
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.scheduler.deadline()
    }

    /// Whether the last poll found nothing ready, and nothing has become so since.
    #[cfg(any(feature = "smol", feature = "async-std"))]
    pub(crate) fn is_idle(&self) -> bool {
        self.scheduler.host_sleeps()
    }

    /// Everything has ended.
    fn result(&mut self) -> Result<T, LoopError> {
        let root = self.scheduler.root();
        self.close();
        if let Some(payload) = self.scheduler.take_panic() {
            resume_unwind(payload);
        }
        if let Some(error) = root.failure() {
            return Err(LoopError::new(error, root.take_others()));
        }
        match self.main.take_output() {
            Some(Ok(output)) => Ok(output),
            Some(Err(error)) => Err(LoopError::new(error, Vec::new())),
            None => unreachable!("a run that did not fail has an output"),
        }
    }

    fn close(&mut self) {
        self.done = true;
        if let Some(stop) = &self.stop {
            stop.replace(StopState::Between);
        }
        self.scheduler.close();
    }
}

impl<T: 'static> Drop for Run<T> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        // Whoever polled it is not to be woken for what is done here.
        self.scheduler.host_is_awake();
        self.scheduler.abandon(Reason::Dropped);
        // A thread that ends may have kept it, and async-io's `block_on` needs a thread-local that may be gone by now.
        self.drive(false);
        self.close();
        if let Some(payload) = self.scheduler.take_panic() {
            if std::thread::panicking() {
                std::mem::forget(payload);
            } else {
                resume_unwind(payload);
            }
        }
    }
}

/// Starts the coroutine that a run is for.
fn start_main<T: 'static>(scheduler: &Rc<Scheduler>, main: &Task<T>) {
    let root = scheduler.root();
    if main.raw().is_started() {
        return;
    }
    start_in(main, &root);
}
