//! A run that its caller steps or polls, to embed the loop in another one.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use crate::error::LoopError;
use crate::reports::dump::Dump;
use crate::reports::statistics::Statistics;
use crate::run::Run;
use crate::scheduler::{Inbox, Progress};
use crate::spawn::Spawnable;

/// One run of a loop, which the caller steps or polls. Made by [`Loop::runtime`](crate::Loop::runtime).
///
/// For the whole run, use only [`step`](Runtime::step), or only [`poll`](Runtime::poll).
///
/// # Cancellation
///
/// If a `Runtime` is dropped before the run is done, the drop cancels everything in the run, and waits until everything has
/// ended. If something in the run panicked, the drop resumes the panic.
#[must_use = "nothing runs before this is stepped or polled"]
pub struct Runtime<'a, T: 'static> {
    run: Run<T>,
    /// Where the loop keeps the figures of its last run. A loop does one run at a time.
    last: Option<&'a mut Statistics>,
}

/// What one [step](Runtime::step) did.
#[derive(Debug)]
pub enum Step<T> {
    /// One coroutine had its turn, or was cancelled.
    Ran,
    /// Nothing is ready.
    Idle(Idle),
    /// Everything has ended. There is no further step.
    Done(Result<T, LoopError>),
}

/// Nothing is ready until a deadline, or until a wake-up from outside.
#[must_use = "an idle loop has to wait before its next step"]
pub struct Idle {
    deadline: Option<Instant>,
    inbox: Arc<Inbox>,
}

impl Idle {
    /// The time at which the next timer is due, plus the [slack](crate::Builder::timer_slack) of the loop. `None` if there is no
    /// timer, and in a [simulated](crate::Builder::simulated) loop, whose clock jumps by itself.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Blocks the thread until the deadline, or until something outside wakes the loop. If neither happens, it blocks for ever.
    ///
    /// It may return early. Then the next step returns [`Step::Idle`] again.
    pub fn wait(self) {
        self.inbox.park(self.deadline, None);
    }
}

impl fmt::Debug for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Idle").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

impl<'a, T: 'static> Runtime<'a, T> {
    pub(crate) fn new(run: Run<T>, last: Option<&'a mut Statistics>) -> Self {
        Runtime { run, last }
    }

    fn note_end(&mut self) {
        if let Some(last) = &mut self.last {
            **last = self.run.statistics();
        }
    }

    /// Gives one coroutine its turn.
    ///
    /// Other code on this thread may still wake the loop, for example by setting an event. So a loop with nothing ready is idle,
    /// not deadlocked. Only a cycle of coroutines that wait on each other is an error.
    ///
    /// # Panics
    ///
    /// If a coroutine panicked. When everything has ended, the panic is resumed, with the same payload. It also panics if the run
    /// was already over.
    pub fn step(&mut self) -> Step<T> {
        match self.run.step() {
            Progress::Ran => Step::Ran,
            Progress::Idle => Step::Idle(Idle { deadline: self.run.deadline(), inbox: self.run.inbox().clone() }),
            Progress::Done => {
                let guard = NoteEnd(self);
                Step::Done(guard.0.run.result())
            }
        }
    }

    /// Gives coroutines their turns. Use it if the host is a future.
    ///
    /// If coroutines are ready all the time, a poll takes at least 256 turns. After that, it returns when about 25 microseconds
    /// have passed, and after 4,096 turns in any case. The polls of a [simulated](crate::Builder::simulated) loop do not depend on
    /// the time: each takes 768 turns.
    ///
    /// When nothing is ready, the waker of `context` is woken as soon as something outside wakes the loop. It is not woken for timers:
    /// the host itself has to poll again when the next timer is due. See [`deadline`](Runtime::deadline).
    ///
    /// ```
    /// use std::future::poll_fn;
    /// use tinyield::{Loop, co};
    ///
    /// let inner = co! { yield; 3 };
    /// let host = co! {
    ///     let mut inner_loop = Loop::new();
    ///     let mut runtime = inner_loop.runtime(inner); // no timers in there
    ///     poll_fn(|context| runtime.poll(context)).await?
    /// };
    /// assert_eq!(Loop::new().run(host).unwrap(), 3);
    /// ```
    ///
    /// # Panics
    ///
    /// As [`step`](Runtime::step).
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<T, LoopError>> {
        let guard = NoteEnd(self);
        let polled = guard.0.run.poll(context);
        if polled.is_pending() {
            std::mem::forget(guard);
        }
        polled
    }

    /// Returns what each coroutine waits for now. On other threads, [`View::dump`](crate::View::dump) returns the same.
    ///
    /// ```
    /// use tinyield::{Event, Loop, Step, co};
    ///
    /// let door = Event::new();
    /// let mut event_loop = Loop::new();
    /// let mut runtime = event_loop.runtime(co! { yield door.wait() }.named("guest"));
    /// while let Step::Ran = runtime.step() {}
    /// assert_eq!(runtime.dump().tasks()[0].waits_on(), "an event");
    /// ```
    #[must_use]
    pub fn dump(&self) -> Dump {
        self.run.dump()
    }

    /// Returns the figures of this run. This takes time in proportion to the number of tasks, because it counts them.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.run.statistics()
    }

    /// Starts coroutines in the background, from outside of the loop. It takes the same arguments as [`spawn`](crate::spawn), and
    /// returns the handles.
    ///
    /// The coroutines have their first turns in the next steps. The run ends only when they have ended, too. If the run has failed or
    /// was stopped before, this drops the coroutines and starts none of them.
    ///
    /// ```
    /// use tinyield::{Event, Loop, Step, co};
    ///
    /// let quit = Event::new();
    /// let mut runtime = Loop::new().into_runtime(quit.wait());
    /// let click = runtime.spawn(co! { quit.set(); "clicked" });
    /// while let Step::Ran = runtime.step() {}
    /// assert!(click.is_finished());
    /// ```
    ///
    /// # Panics
    ///
    /// If the run is over: an earlier step or poll has returned its result.
    pub fn spawn<S: Spawnable>(&mut self, coroutines: S) -> S::Handles {
        self.run.spawn(coroutines.into_state())
    }

    /// The time at which the next timer is due, plus the [slack](crate::Builder::timer_slack) of the loop. The host has to step or poll
    /// again at this time, at the latest. `None` if there is no timer, and in a [simulated](crate::Builder::simulated) loop, whose clock
    /// jumps by itself.
    ///
    /// The deadline does not show whether a coroutine is ready. The results of [`step`](Runtime::step) and [`poll`](Runtime::poll)
    /// show this.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.run.deadline()
    }
}

/// A guard for a call that may end the run. When the guard is dropped, even by a panic, it stores the figures of the run in the
/// loop.
struct NoteEnd<'a, 'b, T: 'static>(&'a mut Runtime<'b, T>);

impl<T> Drop for NoteEnd<'_, '_, T> {
    fn drop(&mut self) {
        self.0.note_end();
    }
}

impl<T> fmt::Debug for Runtime<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("run", &self.run).finish()
    }
}
