//! A coroutine before it starts: making it, naming it, and raising its result.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::ops::Coroutine;
use std::panic::Location;

use crate::error::Error;
use crate::join::JoinOwned;
use crate::scheduler::{Outcome, Resume, Suspend, Task, TaskName, TypeName};
use crate::shared::{Shareable, Shared};
use crate::trace::Frame;
use crate::waiting::active::{ActiveWait, Internal, suspend_until};
use crate::waiting::state::private::{AnyTask, Sealed};
use crate::waiting::yieldable::{Wait, inherent_map};

/// A coroutine that has not started. When it finishes, it has a value of type `T`.
///
/// [`#[coro]`](crate::coro) functions and [`co!`](crate::co) blocks make it. When it is yielded, it starts, and the coroutine that
/// yielded it waits for its value. When it is dropped, it never starts.
///
/// ```
/// use tinyield::{Coro, Loop, co, coro};
///
/// #[coro]
/// fn double(x: i32) -> Coro<i32> {
///     x * 2
/// }
///
/// let coro: Coro<i32> = co! { (yield double(3)) + 1 };
/// assert_eq!(Loop::new().run(coro).unwrap(), 7);
/// ```
///
/// # Cancellation
///
/// When a coroutine that waits for another one is cancelled, the other one is cancelled first.
#[must_use = "a coroutine does nothing until it is yielded, spawned or run"]
pub struct Coro<T: 'static> {
    task: Task<T>,
}

impl<T: 'static> Coro<T> {
    /// Makes a `Coro` from a coroutine that is written without macros: see [`by_hand`](crate::by_hand).
    ///
    /// Its name in traces is the name of its type. [`named`](Coro::named) changes that.
    #[track_caller]
    pub fn from_coroutine<C>(coroutine: C) -> Coro<T>
    where
        C: Coroutine<Resume, Yield = Suspend, Return = Outcome<T>> + 'static,
    {
        Coro { task: Task::new::<TypeName<C>, C>(coroutine) }
    }

    #[track_caller]
    pub(crate) fn from_named<N, C>(coroutine: C) -> Coro<T>
    where
        N: TaskName,
        C: Coroutine<Resume, Yield = Suspend, Return = Outcome<T>> + 'static,
    {
        Coro { task: Task::new::<N, C>(coroutine) }
    }

    pub(crate) fn from_task(task: Task<T>) -> Coro<T> {
        Coro { task }
    }

    pub(crate) fn task(&self) -> &Task<T> {
        &self.task
    }

    pub(crate) fn into_task(self) -> Task<T> {
        self.task
    }

    /// Makes a [`Shared`] from this coroutine. Many coroutines may wait for the `Shared`, even after it has finished. It runs only once,
    /// and each waiter gets a clone of its value.
    ///
    /// ```
    /// use tinyield::{Coro, Loop, Shared, co, coro};
    ///
    /// #[coro]
    /// fn load() -> Coro<String> {
    ///     println!("printed once");
    ///     "config".to_string()
    /// }
    ///
    /// #[coro]
    /// fn user(config: Shared<String>) -> Coro<usize> {
    ///     (yield config).len()
    /// }
    ///
    /// let config = load().shared();
    /// let diamond = co! { yield (user(config.clone()), user(config)) };
    /// assert_eq!(Loop::new().run(diamond).unwrap(), (6, 6));
    /// ```
    #[must_use]
    pub fn shared(self) -> Shared<T>
    where
        T: Shareable,
    {
        Shared::new(self.task)
    }

    /// Sets the name of this coroutine in traces and reports.
    ///
    /// ```
    /// use tinyield::{Loop, co};
    ///
    /// let coro = co! { Err("unreachable host")?; }.named("upload 3");
    /// let error = Loop::new().run(coro).unwrap_err();
    /// assert_eq!(error.error().trace()[0].name(), "upload 3");
    /// ```
    pub fn named(self, name: impl Into<Cow<'static, str>>) -> Coro<T> {
        let name = name.into();
        let old = self.task.raw().cold_mut(|cold| cold.name.replace(name));
        drop(old);
        self
    }

    /// Runs each turn of this coroutine in `span`: the span is entered when the coroutine continues, and left at each `yield`. The
    /// coroutines that it starts inherit the span, unless they have one of their own.
    ///
    /// `#[tracing::instrument]` does not work on a `#[coro]` function, because other coroutines run while this coroutine waits. Use
    /// `in_span` instead.
    ///
    /// ```
    /// use tinyield::{Coro, Loop, coro};
    /// use tracing::{info, info_span};
    ///
    /// #[coro]
    /// fn handle(request: u32) -> Coro<()> {
    ///     info!("begins"); // in the span of its request
    ///     yield;
    ///     info!("ends");
    /// }
    ///
    /// let requests: Vec<_> = (1..=3).map(|n| handle(n).in_span(info_span!("request", n))).collect();
    /// Loop::new().run(requests).unwrap();
    /// ```
    #[cfg(feature = "tracing")]
    pub fn in_span(self, span: tracing::Span) -> Coro<T> {
        let old = self.task.raw().set_span(std::rc::Rc::new(span));
        drop(old);
        self
    }

    /// Adds a message to errors that leave this coroutine. The original error becomes the cause of a new error with this message.
    /// The new error has the location and the trace of the original. [`downcast_ref`](crate::Error::downcast_ref) and
    /// [`find`](crate::Error::find) still find the original.
    ///
    /// An error that stops at an [`isolate`](crate::isolate) inside of this coroutine does not leave it. Cancellations and panics
    /// get no context.
    ///
    /// ```
    /// use tinyield::{Coro, Loop, co, coro};
    ///
    /// #[coro]
    /// fn read(path: &'static str) -> Coro<String> {
    ///     std::fs::read_to_string(path)?
    /// }
    ///
    /// let main = co! { yield read("/no/such/file").context("reading the settings") };
    /// let error = Loop::new().run(main).unwrap_err();
    /// assert_eq!(error.to_string(), "reading the settings");
    /// assert!(error.find::<std::io::Error>().is_some());
    /// assert!(format!("{error:?}").contains("caused by: No such file or directory"));
    /// ```
    pub fn context(self, message: impl fmt::Display) -> Coro<T> {
        let message = message.to_string().into();
        self.task.raw().cold_mut(|cold| cold.contexts.push(message));
        self
    }
}

impl<T: 'static, E> Coro<std::result::Result<T, E>>
where
    E: Into<Box<dyn StdError + Send + Sync>> + 'static,
{
    /// Makes a coroutine that takes the value out of the `Result`. If this coroutine gives `Ok`, the new coroutine gives the value.
    /// If this coroutine gives `Err`, the new coroutine raises the error.
    ///
    /// Use it for a closure that runs on a thread and returns a `Result`. The location of the error is the line of this call.
    ///
    /// ```
    /// use tinyield::{Loop, co, run_in_thread};
    ///
    /// let length = co! { (yield run_in_thread(|| std::fs::read("/no/such/file")).raise()).len() };
    /// assert!(Loop::new().run(length).unwrap_err().error().downcast_ref::<std::io::Error>().is_some());
    /// ```
    #[track_caller]
    pub fn raise(self) -> Coro<T> {
        let location = Location::caller();
        let name = self.task.raw().name();
        let task = self.task.clone();
        let state = self.into_state();
        Coro::from_named::<Internal, _>(
            #[coroutine]
            static move |mut resume: Resume| {
                let mut wait = ActiveWait::begin_at(&resume, state, location);
                let result = match suspend_until!(resume, wait.poll(&resume)) {
                    Ok(result) => result,
                    // This coroutine is cancelled, but `task` may already have an error: a closure on a thread may have failed
                    // before the cancellation.
                    Err(cancelled) => match task.take_output() {
                        Some(Ok(Err(error))) => Err(error),
                        _ => return Outcome(Err(cancelled)),
                    },
                };
                // The trace shows the error as if the coroutine itself had raised it.
                Outcome(
                    result.map_err(|error| Error::at(error.into(), location).traced(vec![Frame::new(name, location)])),
                )
            },
        )
    }
}

impl<T: 'static> fmt::Debug for Coro<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coro").field("name", &self.task.raw().name()).finish()
    }
}

impl<T> Sealed for Coro<T> {}

inherent_map!([T] Coro<T>);

impl<T: 'static> Wait for Coro<T> {
    type Output = T;
    type State = JoinOwned<T>;
    type Kind = crate::waiting::kind::Work;

    fn into_state(self) -> JoinOwned<T> {
        JoinOwned::new(self.task)
    }

    fn into_task(self) -> AnyTask<T> {
        AnyTask(self.task)
    }
}
