//! The loop as users make it, and its settings. Each run is a [`Run`] of its own.

use std::panic::Location;
use std::sync::Arc;

use crate::error::{Grouping, LoopError};
use crate::run::Run;
use crate::runtime::Runtime;
use crate::stop::{Stop, StopHandle};
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
        Run::start(main, self.grouping, self.stop.clone(), Location::caller())
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
}

impl Builder {
    /// Sets which of the errors that come up while the loop stops are kept.
    pub fn grouping(mut self, grouping: Grouping) -> Builder {
        self.grouping = grouping;
        self
    }

    /// Makes the loop.
    #[must_use]
    pub fn build(self) -> Loop {
        Loop { grouping: self.grouping, stop: None }
    }
}
