//! One run of a loop, from its first coroutine to its result. It owns its scheduler, so it may outlive the [`Loop`](crate::Loop).
//!
//! There are three ways to run it: to the end on this thread, step by step, and polled by a host.

mod settings;

use std::fmt;
#[cfg(feature = "smol")]
use std::ops::ControlFlow;
use std::panic::{Location, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;
#[cfg(any(feature = "smol", feature = "tokio"))]
use std::task::Waker;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

pub(crate) use self::settings::{Observation, Settings, SimulationSettings};
use crate::error::{LoopError, Reason};
use crate::inside::watchdog::WatchdogThread;
use crate::last_run::LastRun;
use crate::panic::discard;
use crate::reports::dump::Dump;
use crate::reports::statistics::Statistics;
#[cfg(feature = "tokio")]
use crate::scheduler::{Driver, Steps};
use crate::scheduler::{Inbox, Observer, Progress, Record, Scheduler, Scope, Simulated, Task, Watch};
use crate::stop::Stop;
use crate::thread::LoopInClosure;
use crate::waiting::WaitState;

/// A [`poll`](Run::poll) looks at the clock after this number of steps.
const STEPS_PER_BATCH: usize = 128;

/// When a poll has gone on for this long after its first batch of steps, it returns, so that other tasks of the host have their
/// turn. Between two polls, a host may make a system call, which takes as long as hundreds of the shortest steps.
const TIME_PER_POLL: Duration = Duration::from_micros(25);

/// The most batches of one poll.
const BATCHES_PER_POLL: usize = 32;

/// The batches of one poll of a simulated loop, whose steps must not depend on the clock.
const BATCHES_IF_SIMULATED: usize = 6;

/// The most steps that a busy loop takes before it looks at the runtime of its foreign futures again.
const STEPS_PER_LOOK: usize = 768;

pub(crate) struct Run<T: 'static> {
    scheduler: Rc<Scheduler>,
    main: Task<T>,
    stop: Option<Arc<Stop>>,
    last_run: Option<Arc<LastRun>>,
    watch: Option<Arc<Watch>>,
    watchdog: Option<WatchdogThread>,
    is_done: bool,
    /// The figures of the run at its end.
    statistics: Statistics,
    /// The link to the closure in which this run takes place, if the closure is on a thread of a pool.
    _inner: Option<LoopInClosure>,
}

impl<T: 'static> Run<T> {
    /// `location` is the line in which the user started the run.
    pub(crate) fn start(main: Task<T>, settings: Settings, location: &'static Location<'static>) -> Run<T> {
        let Settings { grouping, stop, simulation, observation, hides_panic_trace, timer_slack } = settings;
        let (last_run, simulated) = match simulation {
            None => (None, None),
            Some(simulation) => {
                let SimulationSettings { last_run, order, record, max_rounds } = *simulation;
                let simulated = Simulated::new(last_run.begin_next(), order, record, max_rounds);
                (Some(last_run), Some(Box::new(simulated)))
            }
        };
        let (watch, watchdog, observer) = match observation {
            None => (None, None, None),
            Some(observation) => {
                let Observation { watch, watchdog, recorder } = *observation;
                let recorder = recorder.map(|recorder| recorder.begin_run());
                let observer = Box::new(Observer::new(watch.clone(), recorder));
                (watch, watchdog, Some(observer))
            }
        };
        let scheduler = Scheduler::new(grouping, simulated, observer, hides_panic_trace, timer_slack, location);
        // A `Shared` may have been started by an earlier run.
        if !main.raw().is_started() {
            Scheduler::start_root(main.raw(), &scheduler.root());
        }
        if let Some(stop) = &stop
            && stop.begin_run(scheduler.inbox())
        {
            scheduler.inbox().stop(Reason::Stopped);
        }
        if let Some(watch) = &watch {
            watch.begin_run(scheduler.inbox(), location);
        }
        let inner = LoopInClosure::new(|| scheduler.inbox().clone());
        let statistics = Statistics::default();
        let mut run =
            Run { scheduler, main, stop, last_run, watch, watchdog: None, is_done: false, statistics, _inner: inner };
        // This comes last: if no thread can be started, it panics, and then the drop of `run` ends the run.
        run.watchdog = run.watch.as_ref().zip(watchdog).map(|(watch, watchdog)| watchdog.start(watch));
        run
    }

    // To the end.

    /// Runs to the end on this thread.
    pub(crate) fn finish(&mut self) -> Result<T, LoopError> {
        self.drive(true);
        self.result()
    }

    /// Runs until everything has ended. For foreign futures, this thread also drives the tokio runtime of the run, or waits in the
    /// reactor of async-io while the loop is idle. If `drive_reactor` is false, it drives neither of them.
    #[cfg_attr(not(any(feature = "smol", feature = "tokio")), expect(unused_variables, unused_mut))]
    #[cfg_attr(all(feature = "tokio", not(feature = "smol")), expect(unused_mut))]
    fn drive(&mut self, mut drive_reactor: bool) {
        self.scheduler.host_is_awake();
        loop {
            #[cfg(feature = "tokio")]
            if drive_reactor && let Some(driver) = self.driver_here() {
                return driver.drive(&mut |waker| self.take_steps(waker));
            }
            match self.take(&mut { STEPS_PER_LOOK }) {
                Progress::Ran => {}
                Progress::Done => return,
                Progress::Idle => {
                    if self.scheduler.stop_if_stuck() {
                        continue;
                    }
                    #[cfg(feature = "tokio")]
                    if drive_reactor && self.driver_here().is_some() {
                        continue; // the driver was set in the last turns
                    }
                    #[cfg(feature = "smol")]
                    if drive_reactor && self.scheduler.has_foreign_futures() && crate::reactor::is_available() {
                        // If async-io failed, the loop parks its thread from now on.
                        drive_reactor = crate::reactor::drive(|waker| self.run_ready(waker));
                        self.scheduler.host_is_awake();
                        continue;
                    }
                    self.scheduler.park();
                }
            }
        }
    }

    /// Runs until nothing is ready. `waker` is woken when a task becomes ready again. It returns `Break` if this thread need not
    /// wait in the reactor any more.
    #[cfg(feature = "smol")]
    fn run_ready(&mut self, waker: &Waker) -> ControlFlow<(), Option<Instant>> {
        self.scheduler.host_is_awake();
        loop {
            let progress = self.take(&mut { STEPS_PER_LOOK });
            #[cfg(feature = "tokio")]
            if self.driver_here().is_some() {
                return ControlFlow::Break(());
            }
            match progress {
                Progress::Ran => {}
                Progress::Done => return ControlFlow::Break(()),
                Progress::Idle => {
                    if !self.scheduler.stop_if_stuck() && self.scheduler.set_host_waker(waker) {
                        let deadline = self.scheduler.wait_deadline();
                        return ControlFlow::Continue(deadline.or_else(|| self.scheduler.warn_if_it_waits_for_long()));
                    }
                }
            }
        }
    }

    /// The foreign runtime that this thread has to drive.
    #[cfg(feature = "tokio")]
    fn driver_here(&self) -> Option<Rc<dyn Driver>> {
        self.scheduler.driver().filter(|driver| driver.is_driven_here()).cloned()
    }

    /// Makes the run take the time from the clock of the host.
    #[cfg(feature = "tokio")]
    pub(crate) fn follow_clock(&self, now: fn() -> Instant) {
        self.scheduler.follow_clock(now);
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn set_driver(&self, driver: Rc<dyn Driver>) {
        self.scheduler.set_driver(driver);
    }

    /// Takes a bounded number of steps. If nothing is ready then, `waker` is woken when a task becomes ready.
    #[cfg(feature = "tokio")]
    fn take_steps(&mut self, waker: &Waker) -> Steps {
        self.scheduler.host_is_awake();
        match self.take(&mut { STEPS_PER_LOOK }) {
            Progress::Ran => Steps::Ready,
            Progress::Done => Steps::Over,
            Progress::Idle => match !self.scheduler.stop_if_stuck() && self.scheduler.set_host_waker(waker) {
                true => Steps::Idle(self.scheduler.wait_deadline()),
                false => Steps::Ready,
            },
        }
    }

    /// Takes at most `budget` steps, and subtracts the number of steps from `budget`.
    fn take(&self, budget: &mut usize) -> Progress {
        let before = *budget;
        let progress = self.scheduler.run(budget);
        // The turns are counted here, and not in `Scheduler::run`: there, the count would occupy a register in the main loop.
        self.scheduler.count_turns(before - *budget);
        progress
    }

    // Hosted.

    /// Takes one step.
    pub(crate) fn step(&mut self) -> Progress {
        self.begin_hosted();
        match self.take(&mut 1) {
            Progress::Idle if self.scheduler.stop_if_cyclic() => Progress::Ran,
            Progress::Idle => {
                self.scheduler.host_may_sleep();
                Progress::Idle
            }
            progress => progress,
        }
    }

    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<T, LoopError>> {
        self.begin_hosted();
        let is_simulated = self.last_run.is_some();
        let mut end = None;
        let batches = if is_simulated { BATCHES_IF_SIMULATED } else { BATCHES_PER_POLL };
        for _ in 0..batches {
            match self.poll_batch(context) {
                Progress::Done => return Poll::Ready(self.result()),
                Progress::Idle => return Poll::Pending,
                Progress::Ran => {}
            }
            if !is_simulated {
                let now = Instant::now();
                if now >= *end.get_or_insert(now + TIME_PER_POLL) {
                    break;
                }
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Takes a batch of steps. If nothing is ready then, the waker is woken when a task becomes ready.
    fn poll_batch(&mut self, context: &mut Context<'_>) -> Progress {
        let mut budget = STEPS_PER_BATCH;
        while budget > 0 {
            let progress = self.take(&mut budget);
            let is_idle = matches!(progress, Progress::Idle);
            if !is_idle || (!self.scheduler.stop_if_cyclic() && self.scheduler.set_host_waker(context.waker())) {
                return progress;
            }
            // A task has become ready in the meantime. This pass of the loop counts as a step, so that the poll ends even if a task
            // becomes ready each time.
            budget = budget.saturating_sub(1);
        }
        Progress::Ran
    }

    fn begin_hosted(&self) {
        assert!(!self.is_done, "this run is over: an earlier step or poll returned its result");
        self.scheduler.set_hosted();
        self.scheduler.host_is_awake();
    }

    /// Starts coroutines from outside.
    pub(crate) fn spawn<X: WaitState>(&self, mut starting: X) -> X::Output {
        assert!(!self.is_done, "this run is over: an earlier step or poll returned its result");
        self.scheduler.with_root_task(|task| starting.begin(task));
        starting.take().expect("the wait that starts coroutines is ready at once")
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.scheduler.wait_deadline()
    }

    /// Whether the last poll found nothing ready, and nothing has become ready since.
    #[cfg(any(feature = "smol", feature = "async-std", feature = "tokio"))]
    pub(crate) fn is_idle(&self) -> bool {
        self.scheduler.is_host_asleep()
    }

    pub(crate) fn inbox(&self) -> &Arc<Inbox> {
        self.scheduler.inbox()
    }

    // The end.

    /// The result, once everything has ended.
    pub(crate) fn result(&mut self) -> Result<T, LoopError> {
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

    pub(crate) fn root(&self) -> Rc<Scope> {
        self.scheduler.root()
    }

    /// The record of a simulated run, once the run is over.
    pub(crate) fn take_record(&self) -> Record {
        self.scheduler.take_record()
    }

    fn close(&mut self) {
        self.is_done = true;
        if let Some(stop) = &self.stop {
            stop.end_run();
        }
        if let Some(last_run) = &self.last_run {
            last_run.set(self.scheduler.now(), self.scheduler.came_from_outside());
        }
        self.statistics = self.scheduler.final_statistics();
        self.scheduler.close();
        if let Some(watch) = &self.watch {
            watch.end_run();
            // This joins the watchdog thread, so that it has reported everything when the run returns.
            self.watchdog = None;
        }
    }

    // Seeing inside.

    /// The current figures. Once the run is over, the figures at its end.
    pub(crate) fn statistics(&self) -> Statistics {
        if self.is_done { self.statistics } else { self.scheduler.statistics() }
    }

    pub(crate) fn dump(&self) -> Dump {
        self.scheduler.take_dump(None)
    }
}

impl<T: 'static> Drop for Run<T> {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        // From here on, a task that becomes ready must not wake the host.
        self.scheduler.host_is_awake();
        #[cfg(feature = "tokio")]
        self.scheduler.leave_clock_of_host();
        self.scheduler.abandon(Reason::Dropped);
        // A thread-local value may own this and be dropped when its thread ends. At that time, the thread-local that async-io's
        // `block_on` needs may no longer exist, so this thread does not drive the reactor.
        self.drive(false);
        self.close();
        if let Some(payload) = self.scheduler.take_panic() {
            if std::thread::panicking() {
                discard(payload);
            } else {
                resume_unwind(payload);
            }
        }
    }
}

impl<T> fmt::Debug for Run<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("main", self.main.raw()).field("is_done", &self.is_done).finish()
    }
}
