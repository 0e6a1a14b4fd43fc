//! Background coroutines: how they start, and the handles to wait for them.

use std::fmt;

use crate::coro::Coro;
use crate::error::Result;
use crate::join::{JoinOwned, start};
use crate::scheduler::{Scheduler, State, Task, TaskRef};
use crate::shared::{Shareable, Shared};
use crate::waiting::gather::for_shapes;
use crate::waiting::state::private::Sealed;
use crate::waiting::state::{WaitState, polled_after_completion};
use crate::waiting::yieldable::{Wait, inherent_map};

/// Starts coroutines in the background. The `yield` returns their handles, and does not wait for the coroutines.
///
/// Takes a [`Coro`], a [`Shared`], or an array, `Vec`, `Option` or tuple of them. A `Shared` that is started twice runs once.
/// The run ends only when all background coroutines have ended. An error in one of them stops everything.
///
/// ```
/// use tinyield::{Loop, co, spawn};
///
/// let main = co! {
///     let handle = yield spawn(co! { yield; 20 });
///     let (a, b) = yield spawn((co! { 1 }, co! { 2 }));
///     (yield handle) + (yield a) + (yield b)
/// };
/// assert_eq!(Loop::new().run(main).unwrap(), 23);
/// ```
///
/// A coroutine belongs to the scope in which it is spawned. If it is spawned inside of a [`race`](crate::race), a
/// [`timeout`](crate::timeout) or an [`abortable`](crate::abortable), it is cancelled together with that race, timeout or
/// abortable. If the coroutine has to run longer, spawn it earlier, outside of the race, timeout or abortable.
///
/// # Cancellation
///
/// A cancelled coroutine cannot start other coroutines. The coroutines that it tries to start are dropped.
pub fn spawn<S: Spawnable>(coroutines: S) -> Spawn<S> {
    Spawn(coroutines)
}

/// The trait of everything that [`spawn`](crate::spawn) takes: coroutines, and collections and tuples of them. It is sealed.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be spawned",
    label = "this is not a coroutine",
    note = "`spawn` takes a `Coro`, a `Shared`, or an array, `Vec`, `Option` or tuple of them; put anything else into a \
            coroutine: `spawn(co! {{ yield .. }})`"
)]
pub trait Spawnable: Sealed {
    /// The handles, in the shape of the coroutines.
    type Handles: 'static;

    #[doc(hidden)]
    type State: WaitState<Output = Self::Handles>;

    #[doc(hidden)]
    fn into_state(self) -> Self::State;
}

/// The [`Wait`](crate::Wait) that [`spawn`](crate::spawn) returns.
#[must_use = "nothing starts before this is yielded"]
#[derive(Debug)]
pub struct Spawn<S>(S);

impl<S> Sealed for Spawn<S> {}

inherent_map!([S: Spawnable] Spawn<S>);

impl<S: Spawnable> Wait for Spawn<S> {
    type Output = S::Handles;
    type State = S::State;
    type Kind = crate::waiting::kind::Work;

    fn into_state(self) -> S::State {
        self.0.into_state()
    }
}

for_shapes!(Spawnable, Handles);

impl<T: 'static> Spawnable for Coro<T> {
    type Handles = JoinHandle<T>;
    type State = Starting<JoinHandle<T>>;

    fn into_state(self) -> Starting<JoinHandle<T>> {
        Starting::new(JoinHandle { task: Coro::into_task(self) })
    }
}

impl<T: 'static> Spawnable for Shared<T> {
    type Handles = Shared<T>;
    type State = Starting<Shared<T>>;

    fn into_state(self) -> Starting<Shared<T>> {
        Starting::new(self)
    }
}

impl<T: 'static> Spawnable for &Shared<T> {
    type Handles = Shared<T>;
    type State = Starting<Shared<T>>;

    fn into_state(self) -> Starting<Shared<T>> {
        Starting::new(self.clone())
    }
}

/// A handle whose coroutine can be started in the background.
#[doc(hidden)]
#[allow(private_interfaces)]
pub trait Startable: 'static {
    fn start(&self, starter: &TaskRef);
}

#[allow(private_interfaces)]
impl<T: 'static> Startable for JoinHandle<T> {
    fn start(&self, starter: &TaskRef) {
        start(self.task.raw(), starter);
    }
}

#[allow(private_interfaces)]
impl<T: 'static> Startable for Shared<T> {
    fn start(&self, starter: &TaskRef) {
        let task = self.task();
        if !task.is_started() && !task.is_ended() {
            Scheduler::start_shared(task, starter);
        }
        task.set(State::SPAWNED);
    }
}

/// The wait of [`spawn`](crate::spawn): it starts a coroutine, and is ready at once with its handle.
#[doc(hidden)]
#[allow(missing_debug_implementations)]
pub struct Starting<H> {
    handle: Option<H>,
    has_begun: bool,
}

impl<H> Starting<H> {
    fn new(handle: H) -> Starting<H> {
        Starting { handle: Some(handle), has_begun: false }
    }
}

impl<H> Sealed for Starting<H> {}

#[allow(private_interfaces)]
impl<H: Startable> WaitState for Starting<H> {
    type Output = H;

    fn begin(&mut self, task: &TaskRef) {
        if let Some(handle) = &self.handle {
            handle.start(task);
            self.has_begun = true;
        }
    }

    fn is_ready(&self) -> bool {
        self.has_begun && self.handle.is_some()
    }

    fn take(&mut self) -> Result<H> {
        self.handle.take_if(|_| self.has_begun).ok_or_else(polled_after_completion)
    }
}

/// A coroutine in the background, which [`spawn`](crate::spawn) started.
///
/// When the handle is yielded, it waits for the coroutine, and gives its value once. When the handle is dropped, the coroutine
/// continues. A handle cannot cancel its coroutine. To end a coroutine early, make it [`abortable`](crate::abortable), or start it in a
/// [`timeout`](crate::timeout).
pub struct JoinHandle<T: 'static> {
    task: Task<T>,
}

impl<T: 'static> JoinHandle<T> {
    /// Whether the coroutine has ended, with a value or with an error.
    ///
    /// ```
    /// use tinyield::{Loop, co, spawn};
    ///
    /// let main = co! {
    ///     let handle = yield spawn(co! { yield; });
    ///     let before = handle.is_finished();
    ///     yield;
    ///     yield;
    ///     (before, handle.is_finished())
    /// };
    /// assert_eq!(Loop::new().run(main).unwrap(), (false, true));
    /// ```
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.task.raw().is_ended()
    }

    /// Makes a [`Shared`], which many coroutines may wait for. The coroutine keeps running in the background, even without a
    /// waiter.
    ///
    /// ```
    /// use tinyield::{Loop, co, spawn};
    ///
    /// let main = co! {
    ///     let config = (yield spawn(co! { yield; "config".to_string() })).shared();
    ///     let (one, two) = yield (&config, config.clone());
    ///     (one, two, yield config)
    /// };
    /// let text = || "config".to_string();
    /// assert_eq!(Loop::new().run(main).unwrap(), (text(), text(), text()));
    /// ```
    #[must_use]
    pub fn shared(self) -> Shared<T>
    where
        T: Shareable,
    {
        // The coroutine was spawned, so it does not end when its last waiter gives up.
        self.task.raw().set(State::SPAWNED);
        Shared::new(self.task)
    }
}

impl<T: 'static> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("task", self.task.raw()).finish()
    }
}

impl<T> Sealed for JoinHandle<T> {}

inherent_map!([T] JoinHandle<T>);

impl<T: 'static> Wait for JoinHandle<T> {
    type Output = T;
    type State = JoinOwned<T>;
    type Kind = crate::waiting::kind::Leaf;

    fn into_state(self) -> JoinOwned<T> {
        JoinOwned::new(self.task)
    }
}
