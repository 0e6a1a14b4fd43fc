//! The public loop and its settings. Each run is a separate [`Run`].

pub(crate) mod timer_slack;
mod watchdog;

use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Grouping, LoopError};
use crate::inside::view::View;
use crate::inside::watchdog::Watchdog;
use crate::last_run::LastRun;
use crate::reports::recorder::Recorder;
use crate::reports::statistics::Statistics;
use crate::run::{Observation, Run, Settings, SimulationSettings};
use crate::runtime::Runtime;
use crate::scheduler::{Order, Watch};
use crate::stop::{Stop, StopHandle};
use crate::waiting::Wait;
use crate::waiting::private::AnyTask;

/// A single-threaded event loop.
///
/// There is no global loop, and no current loop of a thread. Any number of loops may live on one thread, and a coroutine may make
/// and run a loop of its own. A loop can run again and again.
///
/// ```
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
    simulated: Option<Simulated>,
    watch: Option<Arc<Watch>>,
    watchdog: Option<Watchdog>,
    recorder: Option<Recorder>,
    hides_panic_trace: bool,
    timer_slack: Duration,
    /// The figures of the last run.
    statistics: Statistics,
}

/// The parts that only a simulated loop has.
#[derive(Debug)]
struct Simulated {
    seed: u64,
    last_run: Arc<LastRun>,
}

impl Loop {
    /// Makes a loop with default settings.
    #[must_use]
    pub fn new() -> Loop {
        Loop::default()
    }

    /// Makes a [`Builder`], which makes a loop with other settings.
    ///
    /// ```
    /// use tinyield::{Grouping, Loop};
    ///
    /// let event_loop = Loop::builder().grouping(Grouping::Always).build();
    /// ```
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Runs `wait`. When `wait` and everything that it started have ended, returns the output of `wait`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tinyield::{Coro, Loop, coro, sleep, spawn};
    ///
    /// #[coro]
    /// fn main_task() -> Coro<&'static str> {
    ///     yield spawn(in_background());
    ///     "result"
    /// }
    ///
    /// #[coro]
    /// fn in_background() -> Coro<()> {
    ///     yield sleep(Duration::from_millis(1));
    ///     println!("the run ends after this line");
    /// }
    ///
    /// assert_eq!(Loop::new().run(main_task()).unwrap(), "result");
    /// ```
    ///
    /// A loop handles no signals: Ctrl-C ends the process without cleanup. To stop the loop instead, let a thread wait for the signal
    /// and call [`StopHandle::stop`]. After a `fork`, only the process that made the loop may use it: the child process does not have
    /// the threads and wakers of the loop.
    ///
    /// # Errors
    ///
    /// The first error that a coroutine raised, a [`Deadlock`](crate::Deadlock), or the error of a loop that was
    /// [stopped](StopHandle::stop). When `run` returns the error, every other coroutine has been cancelled and has ended, and
    /// closures on threads have returned.
    ///
    /// # Panics
    ///
    /// If a coroutine or a closure on a thread panicked. When every other coroutine has ended, `run` resumes the panic, with the
    /// same payload.
    #[track_caller]
    pub fn run<W: Wait>(&mut self, wait: W) -> Result<W::Output, LoopError> {
        let run = self.start(wait);
        let mut run = Finishing { run, statistics: &mut self.statistics };
        run.run.finish()
    }

    /// Starts a run that the caller takes step by step, to embed the loop in another one.
    ///
    /// ```
    /// use tinyield::{Loop, Step, co};
    ///
    /// let mut event_loop = Loop::new();
    /// let mut runtime = event_loop.runtime(co! { yield; 3 });
    /// let value = loop {
    ///     match runtime.step() {
    ///         Step::Ran => {} // time for other work
    ///         Step::Idle(idle) => idle.wait(),
    ///         Step::Done(result) => break result.unwrap(),
    ///     }
    /// };
    /// assert_eq!(value, 3);
    /// ```
    #[track_caller]
    pub fn runtime<W: Wait>(&mut self, wait: W) -> Runtime<'_, W::Output> {
        let run = self.start(wait);
        Runtime::new(run, Some(&mut self.statistics))
    }

    /// As [`runtime`](Loop::runtime), but the run owns its loop, so that a struct can keep it.
    ///
    /// ```
    /// use tinyield::{Loop, Runtime, Step, co};
    ///
    /// struct Game {
    ///     scripts: Runtime<'static, u32>,
    /// }
    ///
    /// let mut game = Game { scripts: Loop::new().into_runtime(co! { yield; 3 }) };
    /// let mut frames = 0;
    /// while let Step::Ran = game.scripts.step() {
    ///     frames += 1;
    /// }
    /// assert_eq!(frames, 2);
    /// ```
    #[track_caller]
    pub fn into_runtime<W: Wait>(mut self, wait: W) -> Runtime<'static, W::Output> {
        Runtime::new(self.start(wait), None)
    }

    #[track_caller]
    fn start<W: Wait>(&mut self, wait: W) -> Run<W::Output> {
        let AnyTask(main) = wait.into_task();
        let simulation = self.simulated.as_ref().map(|Simulated { seed, last_run }| {
            let (last_run, order) = (last_run.clone(), Order::of_seed(*seed));
            Box::new(SimulationSettings { last_run, order, record: None, max_rounds: None })
        });
        let is_observed = self.watch.is_some() || self.recorder.is_some();
        let observation = is_observed.then(|| {
            let (watch, watchdog) = (self.watch.clone(), self.watchdog.clone());
            Box::new(Observation { watch, watchdog, recorder: self.recorder.clone() })
        });
        let settings = Settings {
            grouping: self.grouping,
            stop: self.stop.clone(),
            simulation,
            observation,
            hides_panic_trace: self.hides_panic_trace,
            timer_slack: self.timer_slack,
        };
        Run::start(main, settings, Location::caller())
    }

    /// Whether anything came from outside in the last run of a [simulated](Builder::simulated) loop. If so, another run with the
    /// same seed may take other turns.
    ///
    /// This is true if a closure was given to a thread, if another thread woke the loop, if a foreign future woke the loop while it
    /// was idle, or if a [`StopHandle`] stopped it. It is false for a loop that is not simulated.
    ///
    /// ```
    /// use tinyield::{Loop, co, run_in_thread};
    ///
    /// let mut event_loop = Loop::builder().simulated(421).build();
    /// event_loop.run(co! { yield; }).unwrap();
    /// assert!(!event_loop.came_from_outside());
    /// event_loop.run(run_in_thread(|| 5)).unwrap();
    /// assert!(event_loop.came_from_outside());
    /// ```
    #[must_use]
    pub fn came_from_outside(&self) -> bool {
        self.simulated.as_ref().is_some_and(|simulated| simulated.last_run.came_from_outside())
    }

    /// Makes a handle that shows on any thread what this loop does while it runs.
    ///
    /// Later runs are observed: each turn is timed, and noted in a place that other threads can read. This costs some tens of
    /// nanoseconds per turn (`benches/README.md` has figures). Runs of a loop without a view, a [watchdog](Builder::watchdog) and a
    /// [recorder](Builder::record) do not have this cost. An observed loop also notes which coroutine started which. A view does not
    /// count as something that can wake the loop, so the run may still end with a [`Deadlock`](crate::Deadlock).
    ///
    /// ```
    /// use std::time::Duration;
    /// use tinyield::{Loop, co};
    ///
    /// let mut event_loop = Loop::new();
    /// let view = event_loop.view();
    /// assert_eq!(view.dump(Duration::ZERO).unwrap().to_string(), "the loop does not run");
    /// event_loop.run(co! { yield; }).unwrap();
    /// ```
    #[must_use]
    pub fn view(&mut self) -> View {
        View::new(self.watch.get_or_insert_default().clone())
    }

    /// The figures of the last run that is over. The run of a [`Runtime`] is over when the [`Runtime`] has returned its result.
    ///
    /// While a loop runs, [`Dump::statistics`](crate::Dump::statistics) and [`Runtime::statistics`] return its figures.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// Makes a handle that stops this loop from any thread.
    #[must_use]
    pub fn stop_handle(&mut self) -> StopHandle {
        StopHandle::new(self.stop.get_or_insert_default().clone())
    }
}

/// A run that [`Loop::run`] finishes. When this is dropped, even by a panic, it stores the figures of the run in the loop.
struct Finishing<'a, T: 'static> {
    run: Run<T>,
    statistics: &'a mut Statistics,
}

impl<T> Drop for Finishing<'_, T> {
    fn drop(&mut self) {
        *self.statistics = self.run.statistics();
    }
}

/// Settings of a [`Loop`].
///
/// ```
/// use tinyield::{Grouping, Loop};
///
/// let event_loop: Loop = Loop::builder().grouping(Grouping::Never).build();
/// ```
#[derive(Debug, Default)]
#[must_use = "a builder makes a loop only when `build` is called"]
pub struct Builder {
    grouping: Grouping,
    seed: Option<u64>,
    watchdog: Option<Watchdog>,
    recorder: Option<Recorder>,
    hides_panic_trace: bool,
    timer_slack: Duration,
}

impl Builder {
    /// Sets which errors are kept if further errors are raised while the loop stops because of the first one.
    pub fn grouping(mut self, grouping: Grouping) -> Builder {
        self.grouping = grouping;
        self
    }

    /// Makes a loop with a virtual clock, in which `seed` decides the order of the turns. It is for tests: hours by its clock pass in
    /// milliseconds, and the same seed gives the same turns.
    ///
    /// **Time.** The clock stands still while a coroutine is ready, while a closure runs on a [thread](crate::run_in_thread), and
    /// while anything outside holds a waker or a remote handle that a coroutine waits for. Otherwise it jumps to the next deadline.
    /// If there is no deadline, the run ends with a [`Deadlock`](crate::Deadlock). [`sleep`](crate::sleep()),
    /// [`sleep_until`](crate::sleep_until), [`interval`](crate::interval()), [`timeout`](crate::timeout()),
    /// [`Event::wait_timeout`](crate::Event::wait_timeout) and [`now`](crate::now()) use this clock.
    ///
    /// The virtual clock begins at the real time at which the run begins. If the last run of the same loop ended at a later time by
    /// its own clock, the virtual clock begins at that later time. Other clocks are real: [`Instant::now`](std::time::Instant::now),
    /// [`elapsed`](std::time::Instant::elapsed), and the timers of other crates. The virtual clock waits for the timers of other
    /// crates.
    ///
    /// The clock ends 584 years after the start of a run. A program that sleeps again and again, without end, has a deadlock at that
    /// time. To run a program that never ends, put it into a [`timeout`](crate::timeout()).
    ///
    /// A coroutine that checks a condition again and again, with a `yield` in between, is always ready, so the clock never moves.
    /// After three seconds and a million rounds, the loop writes a warning to the standard error, once, with the names of the
    /// coroutines that are ready. It also writes a warning in two other cases: if the clock has waited for something outside for three
    /// seconds, and if a program has run for three seconds while its clock went on by a year or more.
    ///
    /// **Order.** In each round, every coroutine that was ready when the round began has one turn, and the seed decides the order of
    /// these turns. Seed 0 is first in, first out, as in a loop that is not simulated. The same binary with the same seed and the same
    /// input takes the same turns. This is not promised if something comes from outside, such as from threads: see
    /// [`came_from_outside`](Loop::came_from_outside). In later versions, a seed gives the same orders.
    ///
    /// A simulated loop can be run in each way in which other loops can be run. With [`step`](crate::Runtime::step) and
    /// [`poll`](crate::Runtime::poll) the clock jumps by itself, and does not wait for the host, so an [`Idle`](crate::Idle) has no
    /// deadline. A loop inside of a simulated loop has a clock of its own.
    ///
    /// [`Simulation`](crate::Simulation) runs a program with many seeds.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tinyield::{Loop, TimedOut, co, now, sleep, timeout};
    ///
    /// const HOUR: Duration = Duration::from_secs(3600);
    ///
    /// let program = co! {
    ///     let start = yield now();
    ///     let answer = yield timeout(sleep(30 * HOUR), 24 * HOUR);
    ///     (answer, (yield now()) - start)
    /// };
    /// let result = Loop::builder().simulated(0).build().run(program).unwrap();
    /// assert_eq!(result, (Err(TimedOut), 24 * HOUR));
    /// ```
    pub fn simulated(mut self, seed: u64) -> Builder {
        self.seed = Some(seed);
        self
    }

    /// Records the turns of each run in `recorder`. See [`Recorder`].
    pub fn record(mut self, recorder: &Recorder) -> Builder {
        self.recorder = Some(recorder.clone());
        self
    }

    /// Sets whether a panic that leaves the loop also prints the coroutines that waited for the one that panicked. They are printed
    /// to standard error, after the message of the panic. The default is `true`.
    ///
    /// ```
    /// use tinyield::Loop;
    ///
    /// let event_loop = Loop::builder().panic_trace(false).build();
    /// ```
    pub fn panic_trace(mut self, is_printed: bool) -> Builder {
        self.hides_panic_trace = !is_printed;
        self
    }

    /// Makes the loop.
    #[must_use]
    pub fn build(self) -> Loop {
        let simulated = self.seed.map(|seed| Simulated { seed, last_run: Arc::default() });
        Loop {
            grouping: self.grouping,
            simulated,
            watch: self.watchdog.is_some().then(Arc::default),
            watchdog: self.watchdog,
            recorder: self.recorder,
            hides_panic_trace: self.hides_panic_trace,
            timer_slack: self.timer_slack,
            ..Loop::default()
        }
    }
}
