//! Coroutines: not started ([`Coro`]), shared ([`Shared`]), and started in the background ([`JoinHandle`]).

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::ops::Coroutine;
use std::panic::Location;
use std::rc::Rc;
use std::task::Poll;

use crate::error::{Error, Result};
use crate::scheduler::{
    Outcome, Resume, Scheduler, Scope, State, Suspend, Task, TaskName, TaskRef, TypeName, Waiter, WaiterKey,
};
use crate::trace::Frame;
use crate::wait::private::{AnyTask, Sealed};
use crate::wait::{ActiveWait, Internal, Wait, WaitState, for_tuples, polled_after_completion};

/// A coroutine that has not been started: a value that will be a `T`.
///
/// Made by [`#[coro]`](crate::coro) functions and [`co!`](crate::co) blocks. Yielded, it is started, and the yielding
/// coroutine waits for its value. Dropped, it never begins.
///
/// ```
/// # #![feature(coroutines)]
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
/// When a coroutine that waits for one is cancelled, so is that one, first.
#[must_use = "a coroutine does nothing until it is yielded, spawned or run"]
pub struct Coro<T: 'static> {
    task: Task<T>,
}

impl<T: 'static> Coro<T> {
    /// A coroutine from a bare one; see [`by_hand`](crate::by_hand).
    ///
    /// Its name in traces is that of its type, until it is [named](Coro::named).
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

    pub(crate) fn into_task(self) -> Task<T> {
        self.task
    }

    /// Makes it a value that many may wait for, also after it has finished: it runs once, and each gets a clone.
    ///
    /// ```
    /// # #![feature(coroutines)]
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
        Shared { task: self.task, clone: T::share }
    }

    /// Gives it a name, by which it is called in traces and reports.
    ///
    /// ```
    /// # #![feature(coroutines)]
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
}

impl<T: 'static, E> Coro<std::result::Result<T, E>>
where
    E: Into<Box<dyn StdError + Send + Sync>> + 'static,
{
    /// A coroutine that raises what this one gives as an error: for closures that return a `Result`.
    ///
    /// The error keeps the line of this call.
    ///
    /// ```
    /// # #![feature(coroutines)]
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
        let waiting = self.into_state();
        Coro::from_named::<Internal, _>(
            #[coroutine]
            static move |mut resume: Resume| {
                let mut begun = ActiveWait::begin_at(&resume, waiting, location);
                let result = loop {
                    match begun.poll(&resume) {
                        Poll::Ready(Ok(result)) => break result,
                        // A thread may have come to its error all the same.
                        Poll::Ready(Err(cancelled)) => match task.take_output() {
                            Some(Ok(Err(error))) => break Err(error),
                            _ => return Outcome(Err(cancelled)),
                        },
                        Poll::Pending => resume = yield Suspend,
                    }
                };
                // It is told as if the coroutine itself had raised it.
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

/// A coroutine that many may wait for: whoever is first starts it, and each gets a clone of its value.
///
/// Made by [`Coro::shared`]. It belongs to the run, and to the [`isolate`](crate::isolate), that first waited for it; once it
/// has finished, its value can be had on any loop.
///
/// # Errors
///
/// Who waits for one whose domain has failed, from outside of that domain, gets its error raised. So does who waits for one
/// that is not finished and belongs to another loop.
///
/// # Cancellation
///
/// A waiter that gives up leaves it running, for the others. A [`timeout`](crate::timeout) or [`race`](crate::race) that
/// started it cancels it with the rest, unless somebody outside is waiting for it then.
pub struct Shared<T: 'static> {
    task: Task<T>,
    clone: fn(&T) -> T,
}

/// Values that can be [shared](Coro::shared): all that are [`Clone`].
#[diagnostic::on_unimplemented(
    message = "a coroutine whose value is a `{Self}` cannot be shared, as that cannot be cloned",
    label = "each of those that wait for it gets a clone",
    note = "derive `Clone` for it, or have the coroutine give an `Rc` of it"
)]
pub trait Shareable {
    #[doc(hidden)]
    #[must_use]
    fn share(&self) -> Self;
}

#[diagnostic::do_not_recommend]
impl<T: Clone> Shareable for T {
    fn share(&self) -> T {
        self.clone()
    }
}

impl<T: 'static> Clone for Shared<T> {
    fn clone(&self) -> Shared<T> {
        Shared { task: self.task.clone(), clone: self.clone }
    }
}

impl<T: 'static> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("task", self.task.raw()).finish()
    }
}

/// A coroutine that was started in the background, by [`spawn`].
///
/// Yielded, it gives the coroutine's value, once. Dropped, the coroutine goes on. It does not cancel: a coroutine that is to
/// end early is raced with an [`Event`](crate::Event), or given a limit by [`timeout`](crate::timeout), when it is started.
///
/// ```
/// # #![feature(coroutines)]
/// use std::time::Duration;
/// use tinyield::{Event, Loop, co, race, sleep, spawn};
///
/// let main = co! {
///     let enough = Event::new();
///     let poll = co! { loop { yield sleep(Duration::from_secs(1)); } };
///     let stop = { let enough = enough.clone(); co! { yield enough.wait() } };
///     let polling = yield spawn(co! { yield race([poll, stop]) });
///     yield sleep(Duration::from_millis(5));
///     enough.set();
///     yield polling; // it has been cancelled, and has ended
/// };
/// Loop::new().run(main).unwrap();
/// ```
pub struct JoinHandle<T: 'static> {
    task: Task<T>,
}

impl<T: 'static> JoinHandle<T> {
    /// Whether the coroutine has ended, well or not.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.task.raw().is_ended()
    }
}

impl<T: 'static> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("task", self.task.raw()).finish()
    }
}

/// Starts `task` where `starter` is.
#[inline]
fn start(task: &TaskRef, starter: &TaskRef) {
    if let Some(scope) = starter.scope() {
        Scheduler::start(task, scope);
    }
}

/// Whether `waiting` may wait for `task`, which was started before: it is on the same loop.
fn join(task: &TaskRef, waiting: &TaskRef) -> bool {
    let same = task.scheduler().zip(waiting.scheduler()).filter(|(one, other)| Rc::ptr_eq(one, other));
    if let Some((scheduler, _)) = &same {
        scheduler.note_join(waiting);
    }
    same.is_some()
}

fn of_another_loop(task: &TaskRef) -> Error {
    Error::msg(format!(
        "coroutine `{}` belongs to another loop, on which it has not finished; wait for it there first, or send what it \
         gives through a channel",
        task.name()
    ))
}

/// Waits for a coroutine of which there is one owner, this: so whoever is told when it ends is told by this.
#[doc(hidden)]
#[allow(missing_debug_implementations)]
pub struct JoinOwned<T: 'static> {
    task: Task<T>,
}

impl<T> Sealed for JoinOwned<T> {}

#[allow(private_interfaces)]
impl<T: 'static> WaitState for JoinOwned<T> {
    type Output = T;

    #[inline]
    fn begin(&mut self, waiting: &TaskRef) {
        let task = self.task.raw();
        if task.is_started() {
            return self.begin_started(waiting);
        }
        start(task, waiting);
        task.add_first_waiter(Waiter::new(waiting));
    }

    fn is_ready(&self) -> bool {
        self.task.raw().is_ended()
    }

    fn failure(&self) -> Option<Error> {
        let task = self.task.raw();
        let refused = task.is_started() && !task.is_ended() && !task.has_waiter();
        if refused { Some(of_another_loop(task)) } else { task.error() }
    }

    #[inline]
    fn take(&mut self) -> Result<T> {
        self.task.take_output().unwrap_or_else(|| Err(self.failure().unwrap_or_else(polled_after_completion)))
    }
}

impl<T: 'static> JoinOwned<T> {
    #[inline(never)]
    fn begin_started(&self, waiting: &TaskRef) {
        let task = self.task.raw();
        match () {
            () if task.is_ended() && task.error().is_none() => {}
            () if task.is_ended() || !join(task, waiting) => Waiter::new(waiting).fail(),
            () => {
                task.add_waiter(Waiter::new(waiting));
            }
        }
    }
}

impl<T: 'static> Drop for JoinOwned<T> {
    #[inline]
    fn drop(&mut self) {
        if !self.task.raw().is_ended() {
            self.task.raw().remove_waiter(WaiterKey::First);
        }
    }
}

/// Waits for a coroutine that may have many waiters.
#[doc(hidden)]
#[allow(missing_debug_implementations)]
pub struct JoinShared<T: 'static> {
    shared: Shared<T>,
    key: Option<WaiterKey>,
    is_refused: bool,
}

impl<T> Sealed for JoinShared<T> {}

#[allow(private_interfaces)]
impl<T: 'static> WaitState for JoinShared<T> {
    type Output = T;

    fn begin(&mut self, waiting: &TaskRef) {
        let task = self.shared.task.raw();
        if task.is_ended() {
            if task.error().is_some() {
                Waiter::new(waiting).fail();
            }
            return;
        }
        if !task.is_started() {
            Scheduler::start_shared(task, waiting);
        } else if !join(task, waiting) {
            self.is_refused = true;
            return Waiter::new(waiting).fail();
        }
        self.key = Some(task.add_waiter(Waiter::new(waiting)));
    }

    fn is_ready(&self) -> bool {
        self.shared.task.raw().is_ended()
    }

    fn failure(&self) -> Option<Error> {
        let task = self.shared.task.raw();
        if self.is_refused { Some(of_another_loop(task)) } else { task.error() }
    }

    fn take(&mut self) -> Result<T> {
        let output = self.shared.task.clone_output(self.shared.clone);
        output.unwrap_or_else(|| Err(self.failure().unwrap_or_else(polled_after_completion)))
    }
}

impl<T> Drop for JoinShared<T> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            Scheduler::give_up_shared(self.shared.task.raw(), key);
        }
    }
}

impl<T> Sealed for Coro<T> {}

impl<T: 'static> Wait for Coro<T> {
    type Output = T;
    type State = JoinOwned<T>;

    fn into_state(self) -> JoinOwned<T> {
        JoinOwned { task: self.task }
    }

    fn into_task(self) -> AnyTask<T> {
        AnyTask(self.task)
    }
}

impl<T> Sealed for JoinHandle<T> {}

impl<T: 'static> Wait for JoinHandle<T> {
    type Output = T;
    type State = JoinOwned<T>;

    fn into_state(self) -> JoinOwned<T> {
        JoinOwned { task: self.task }
    }
}

impl<T> Sealed for Shared<T> {}

impl<T: 'static> Wait for Shared<T> {
    type Output = T;
    type State = JoinShared<T>;

    fn into_state(self) -> JoinShared<T> {
        JoinShared { shared: self, key: None, is_refused: false }
    }
}

impl<T> Sealed for &Shared<T> {}

impl<T: 'static> Wait for &Shared<T> {
    type Output = T;
    type State = JoinShared<T>;

    fn into_state(self) -> JoinShared<T> {
        self.clone().into_state()
    }
}

/// Starts coroutines in the background and does not wait for them: the `yield` gives their handles, which may be yielded
/// later, or dropped.
///
/// Takes a [`Coro`], a [`Shared`] (started twice, it is started once), or an array, `Vec`, `Option` or tuple of such. The run
/// ends only when all that was started has; an error in any of it stops everything.
///
/// ```
/// # #![feature(coroutines)]
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
/// # Cancellation
///
/// A coroutine that is cancelled starts nothing: what it spawns is dropped unbegun.
pub fn spawn<S: Spawnable>(coroutines: S) -> Spawn<S> {
    Spawn(coroutines)
}

/// What [`spawn`] takes. Sealed.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be spawned",
    label = "this is no coroutine",
    note = "`spawn` takes a `Coro`, a `Shared`, or an array, `Vec`, `Option` or tuple of such; anything else goes into a \
            coroutine first: `spawn(co! {{ yield .. }})`"
)]
pub trait Spawnable: Sealed {
    /// The handle, or handles, in the shape of what was given.
    type Handles: 'static;

    #[doc(hidden)]
    type Owned: Startable<Handles = Self::Handles>;

    #[doc(hidden)]
    fn into_owned(self) -> Self::Owned;
}

#[doc(hidden)]
#[allow(private_interfaces)]
pub trait Startable: 'static {
    type Handles: 'static;

    fn start(self, starter: &TaskRef) -> Self::Handles;
}

/// What [`spawn`] gives: a [`Wait`].
#[must_use = "nothing is started before this is yielded"]
#[derive(Debug)]
pub struct Spawn<S>(S);

impl<S> Sealed for Spawn<S> {}

impl<S: Spawnable> Wait for Spawn<S> {
    type Output = S::Handles;
    type State = Spawning<S::Owned>;

    fn into_state(self) -> Spawning<S::Owned> {
        Spawning::Unstarted(self.0.into_owned())
    }
}

#[doc(hidden)]
#[allow(missing_debug_implementations)]
pub enum Spawning<O: Startable> {
    Unstarted(O),
    Started(O::Handles),
    Taken,
}

impl<O: Startable> Sealed for Spawning<O> {}

#[allow(private_interfaces)]
impl<O: Startable> WaitState for Spawning<O> {
    type Output = O::Handles;

    fn begin(&mut self, task: &TaskRef) {
        *self = match std::mem::replace(self, Spawning::Taken) {
            Spawning::Unstarted(coroutines) => Spawning::Started(coroutines.start(task)),
            other => other,
        };
    }

    fn is_ready(&self) -> bool {
        matches!(self, Spawning::Started(_))
    }

    fn take(&mut self) -> Result<O::Handles> {
        match std::mem::replace(self, Spawning::Taken) {
            Spawning::Started(handles) => Ok(handles),
            _ => Err(polled_after_completion()),
        }
    }
}

impl<T: 'static> Spawnable for Coro<T> {
    type Handles = JoinHandle<T>;
    type Owned = Coro<T>;

    fn into_owned(self) -> Coro<T> {
        self
    }
}

#[allow(private_interfaces)]
impl<T: 'static> Startable for Coro<T> {
    type Handles = JoinHandle<T>;

    fn start(self, starter: &TaskRef) -> JoinHandle<T> {
        start(self.task.raw(), starter);
        JoinHandle { task: self.task }
    }
}

impl<T: 'static> Spawnable for Shared<T> {
    type Handles = Shared<T>;
    type Owned = Shared<T>;

    fn into_owned(self) -> Shared<T> {
        self
    }
}

impl<T: 'static> Spawnable for &Shared<T> {
    type Handles = Shared<T>;
    type Owned = Shared<T>;

    fn into_owned(self) -> Shared<T> {
        self.clone()
    }
}

#[allow(private_interfaces)]
impl<T: 'static> Startable for Shared<T> {
    type Handles = Shared<T>;

    fn start(self, starter: &TaskRef) -> Shared<T> {
        let task = self.task.raw();
        if !task.is_started() && !task.is_ended() {
            Scheduler::start_shared(task, starter);
        }
        task.set(State::SPAWNED);
        self
    }
}

impl<S: Spawnable> Spawnable for Vec<S> {
    type Handles = Vec<S::Handles>;
    type Owned = Vec<S::Owned>;

    fn into_owned(self) -> Vec<S::Owned> {
        self.into_iter().map(S::into_owned).collect()
    }
}

#[allow(private_interfaces)]
impl<O: Startable> Startable for Vec<O> {
    type Handles = Vec<O::Handles>;

    fn start(self, starter: &TaskRef) -> Vec<O::Handles> {
        self.into_iter().map(|coroutine| coroutine.start(starter)).collect()
    }
}

impl<S: Spawnable, const N: usize> Spawnable for [S; N] {
    type Handles = [S::Handles; N];
    type Owned = [S::Owned; N];

    fn into_owned(self) -> [S::Owned; N] {
        self.map(S::into_owned)
    }
}

#[allow(private_interfaces)]
impl<O: Startable, const N: usize> Startable for [O; N] {
    type Handles = [O::Handles; N];

    fn start(self, starter: &TaskRef) -> [O::Handles; N] {
        self.map(|coroutine| coroutine.start(starter))
    }
}

impl<S: Spawnable> Spawnable for Option<S> {
    type Handles = Option<S::Handles>;
    type Owned = Option<S::Owned>;

    fn into_owned(self) -> Option<S::Owned> {
        self.map(S::into_owned)
    }
}

#[allow(private_interfaces)]
impl<O: Startable> Startable for Option<O> {
    type Handles = Option<O::Handles>;

    fn start(self, starter: &TaskRef) -> Option<O::Handles> {
        self.map(|coroutine| coroutine.start(starter))
    }
}

impl Spawnable for () {
    type Handles = ();
    type Owned = ();

    fn into_owned(self) {}
}

#[allow(private_interfaces)]
impl Startable for () {
    type Handles = ();

    fn start(self, _: &TaskRef) {}
}

macro_rules! tuples {
    ($($name:ident)+) => {
        impl<$($name: Spawnable),+> Spawnable for ($($name,)+) {
            type Handles = ($($name::Handles,)+);
            type Owned = ($($name::Owned,)+);

            #[allow(non_snake_case)]
            fn into_owned(self) -> Self::Owned {
                let ($($name,)+) = self;
                ($($name.into_owned(),)+)
            }
        }

        #[allow(private_interfaces, non_snake_case)]
        impl<$($name: Startable),+> Startable for ($($name,)+) {
            type Handles = ($($name::Handles,)+);

            fn start(self, starter: &TaskRef) -> Self::Handles {
                let ($($name,)+) = self;
                ($($name.start(starter),)+)
            }
        }
    };
}

for_tuples!(tuples);

/// Starts the first task of `scope`, below the one that waits for it.
pub(crate) fn start_in<T: 'static>(task: &Task<T>, scope: &Rc<Scope>) {
    Scheduler::start_root(task.raw(), scope);
}
