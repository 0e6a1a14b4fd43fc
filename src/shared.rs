//! Shared coroutines: one run, many waiters.

use std::fmt;

use crate::join::JoinShared;
use crate::scheduler::{Task, TaskRef};
use crate::waiting::map::Map;
use crate::waiting::state::private::Sealed;
use crate::waiting::yieldable::Wait;

/// A coroutine that many coroutines may wait for. The first waiter or [`spawn`](crate::spawn) starts it, and each waiter gets a clone
/// of its value.
///
/// Made by [`Coro::shared`](crate::Coro::shared). It belongs to the run in which it was started. Its domain is the innermost
/// [`isolate`](crate::isolate) in which it was started, or the whole run. When it has finished, it can be yielded on any loop.
///
/// # Errors
///
/// If its domain fails, waiters outside that domain get the domain's error. If the coroutine has not finished, a waiter on another
/// loop gets an error.
///
/// # Cancellation
///
/// When a waiter gives up, the coroutine continues for the others. When the last waiter gives up, the coroutine is cancelled,
/// unless it was [spawned](crate::spawn). If the last waiter gave up because of a [`timeout`](crate::timeout) or a
/// [`race`](crate::race), the timeout or race returns only when the coroutine has ended.
pub struct Shared<T: 'static> {
    task: Task<T>,
    clone: fn(&T) -> T,
}

/// A value that can be [shared](crate::Coro::shared): any value that is [`Clone`].
///
/// Leave out the type parameter: it is always `Self`.
#[diagnostic::on_unimplemented(
    message = "a coroutine whose value is a `{Self}` cannot be shared, because that is not `Clone`",
    label = "each waiter gets a clone of the value",
    note = "derive `Clone` for it, or let the coroutine return an `Rc` of it"
)]
// Without the parameter, `&T` would be `Shareable` for each `T`, and the compiler would suggest `&T` instead of printing the note.
pub trait Shareable<T = Self> {
    #[doc(hidden)]
    #[must_use]
    fn share(&self) -> T;
}

#[diagnostic::do_not_recommend]
impl<T: Clone> Shareable<T> for T {
    fn share(&self) -> T {
        self.clone()
    }
}

impl<T: 'static> Shared<T> {
    pub(crate) fn new(task: Task<T>) -> Shared<T>
    where
        T: Shareable,
    {
        Shared { task, clone: T::share }
    }

    pub(crate) fn task(&self) -> &TaskRef {
        self.task.raw()
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

impl<T: 'static> Shared<T> {
    /// Makes a wait for this coroutine with an output of another type. See [`Wait::map`](crate::Wait::map).
    ///
    /// If the trait [`Wait`](crate::Wait) is in scope, by `use tinyield::Wait` or `use tinyield::*`, `shared.map(..)` calls the method of
    /// the trait. That method takes the handle by value, so in a loop, the compiler reports a "use of moved value" (E0382). Write
    /// `shared.clone().map(..)` or `(&shared).map(..)`. Both compile in any case:
    ///
    /// ```
    /// use std::time::Duration;
    /// use tinyield::*;
    ///
    /// let main = co! {
    ///     let download = co! { yield sleep(Duration::from_millis(25)); "done" }.shared();
    ///     yield spawn(&download); // so that a lost race does not cancel it
    ///     let mut ticks = 0;
    ///     let tick = interval(Duration::from_millis(10));
    ///     loop {
    ///         match yield race((download.clone().map(Some), tick.tick().map(|_| None))) {
    ///             Some(text) => break (text, ticks),
    ///             None => ticks += 1,
    ///         }
    ///     }
    /// };
    /// assert_eq!(Loop::builder().simulated(0).build().run(main).unwrap(), ("done", 2));
    /// ```
    pub fn map<F, U>(&self, change: F) -> Map<Shared<T>, F>
    where
        F: FnOnce(T) -> U + 'static,
        U: 'static,
    {
        Map::new(self.clone(), change)
    }
}

impl<T> Sealed for Shared<T> {}

impl<T: 'static> Wait for Shared<T> {
    type Output = T;
    type State = JoinShared<T>;
    type Kind = crate::waiting::kind::Work;

    fn into_state(self) -> JoinShared<T> {
        JoinShared::new(self.task, self.clone)
    }
}

impl<T> Sealed for &Shared<T> {}

impl<T: 'static> Wait for &Shared<T> {
    type Output = T;
    type State = JoinShared<T>;
    type Kind = crate::waiting::kind::Work;

    fn into_state(self) -> JoinShared<T> {
        self.clone().into_state()
    }
}
