//! The loop as users make it, and its settings. Each run is a [`Run`] of its own.

use std::panic::Location;
use std::sync::Arc;

use crate::error::{Grouping, LoopError};
use crate::run::{Run, Settings, SimulationSettings};
use crate::runtime::Runtime;
use crate::scheduler::Order;
use crate::stop::{Stop, StopHandle};
use crate::timeline::Timeline;
use crate::wait::Wait;
use crate::wait::private::AnyTask;

/// A single-threaded event loop.
///
/// It needs no thread-locals and no globals. Any number of loops may live on one thread, and a coroutine may make and run a
/// loop of its own. A loop can run again and again.
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
    simulated: Option<Simulated>,
}

/// What a simulated loop has besides.
#[derive(Debug)]
struct Simulated {
    seed: u64,
    timeline: Arc<Timeline>,
}

impl Loop {
    /// Makes a loop with default settings.
    #[must_use]
    pub fn new() -> Loop {
        Loop::default()
    }

    /// Makes a loop with other settings.
    ///
    /// ```
    /// use tinyield::{Grouping, Loop};
    ///
    /// let event_loop = Loop::builder().grouping(Grouping::Always).build();
    /// ```
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Runs until `wait` and everything that was started has ended, and returns the output of `wait`.
    ///
    /// ```
    /// # #![feature(coroutines)]
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
    /// It handles no signals: Ctrl-C ends the process without cleaning up, unless a handler calls [`StopHandle::stop`]. After a `fork`,
    /// only the process that made the loop may use it, as its threads and wakers are not in the other one.
    ///
    /// # Errors
    ///
    /// The first error that a coroutine raised; a [`Deadlock`](crate::Deadlock); or that the loop was
    /// [stopped](StopHandle::stop). By then every other coroutine has been cancelled and has ended, and threads have been joined.
    ///
    /// # Panics
    ///
    /// If a coroutine or the closure of a thread panicked: with the same payload, after every other coroutine has ended.
    #[track_caller]
    pub fn run<W: Wait>(&mut self, wait: W) -> Result<W::Output, LoopError> {
        self.start(wait).finish()
    }

    /// Starts the same run step by step, to embed the loop in another one.
    ///
    /// ```
    /// # #![feature(coroutines)]
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
        Runtime::new(self.start(wait))
    }

    /// As [`runtime`](Loop::runtime), for a run that owns its loop: a struct can keep it.
    ///
    /// ```
    /// # #![feature(coroutines)]
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
        Runtime::new(self.start(wait))
    }

    #[track_caller]
    fn start<W: Wait>(&mut self, wait: W) -> Run<W::Output> {
        let AnyTask(main) = wait.into_task();
        let simulation = self.simulated.as_ref().map(|Simulated { seed, timeline }| {
            let (timeline, order) = (timeline.clone(), Order::of_seed(*seed));
            Box::new(SimulationSettings { timeline, order, record: None, max_rounds: None })
        });
        let settings = Settings { grouping: self.grouping, stop: self.stop.clone(), simulation };
        Run::start(main, settings, Location::caller())
    }

    /// Whether anything came from outside in the last run of a [simulated](Builder::simulated) loop: then another run with the
    /// same seed need not take the same turns.
    ///
    /// It did if a closure ran on a thread, if another thread or a foreign future woke the loop while it was idle or from
    /// elsewhere, or if a [`StopHandle`] was used. A loop that is not simulated says no.
    ///
    /// ```
    /// # #![feature(coroutines)]
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
        self.simulated.as_ref().is_some_and(|simulated| simulated.timeline.came_from_outside())
    }

    /// Makes a handle that stops this loop from any thread.
    #[must_use]
    pub fn stop_handle(&mut self) -> StopHandle {
        StopHandle::new(self.stop.get_or_insert_default().clone())
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
}

impl Builder {
    /// Sets which of the errors that come up while the loop stops are kept.
    pub fn grouping(mut self, grouping: Grouping) -> Builder {
        self.grouping = grouping;
        self
    }

    /// Makes a loop with a virtual clock, in which the order of the turns is drawn from `seed`. It is for tests: what takes hours
    /// by its clock takes milliseconds, and the same seed gives the same turns.
    ///
    /// **Time.** The clock stands still while a coroutine is ready, while a closure runs on a [thread](crate::run_in_thread), and
    /// while anything outside holds a waker or a remote handle that a coroutine waits for. Otherwise it jumps to the next
    /// deadline; if there is none, the run ends with a [`Deadlock`](crate::Deadlock). [`sleep`](crate::sleep()),
    /// [`sleep_until`](crate::sleep_until), [`timeout`](crate::timeout()), [`Event::wait_timeout`](crate::Event::wait_timeout)
    /// and [`now`](crate::now()) use this clock. It begins at the time at which the run does, and a further run of the same loop
    /// continues from the end of the last one. What does not use this clock is real: [`Instant::now`](std::time::Instant::now),
    /// [`elapsed`](std::time::Instant::elapsed), and the timers of other crates, for which the clock waits.
    ///
    /// The clock ends 584 years after the start of a run: then a program that only sleeps has a deadlock. To run a program that never
    /// ends, put it into a [`timeout`](crate::timeout()).
    ///
    /// A coroutine that waits by `yield` in a loop is always ready, so the clock never moves. After three seconds the loop writes that
    /// to the standard error, once, with the names of the coroutines that are ready. It does so as well when it waits that long for
    /// something outside.
    ///
    /// **Order.** Each round is a permutation of what was ready when it began, so each coroutine still has one turn a round. Seed
    /// 0 is first in, first out, as in a loop that is not simulated. The same binary with the same seed and the same input takes
    /// the same turns; what comes from outside, such as from threads, is not promised: see
    /// [`came_from_outside`](Loop::came_from_outside). What is drawn for a seed stays the same in later versions.
    ///
    /// The loop works in all ways in which a loop can be run. With [`step`](crate::Runtime::step) and
    /// [`poll`](crate::Runtime::poll) the clock jumps by itself, and does not wait for the host: an
    /// [`Idle`](crate::Idle) has no deadline. A loop inside of a simulated loop has a clock of its own.
    ///
    /// [`Simulation`](crate::Simulation) runs a program with many seeds.
    ///
    /// ```
    /// # #![feature(coroutines)]
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

    /// Makes the loop.
    #[must_use]
    pub fn build(self) -> Loop {
        let simulated = self.seed.map(|seed| Simulated { seed, timeline: Arc::default() });
        Loop { grouping: self.grouping, stop: None, simulated }
    }
}
