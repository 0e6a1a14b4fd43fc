//! The first to finish.

use std::fmt;
use std::rc::Rc;

use crate::coro::{Coro, start_in};
use crate::error::{Cancelled, Reason, Result};
use crate::scheduler::{Group, Task, TaskRef};
use crate::wait::private::Sealed;
use crate::wait::{Wait, WaitState, for_tuples, polled_after_completion};

/// Starts all of `coros`; the first to finish is the winner, and gives the `yield` its value. The others, with all that they
/// started, are cancelled, and have ended by then.
///
/// Takes an array, a `Vec`, a tuple of coroutines of one type, or any other iterator of them. Of those that finish in the
/// same round, the one that does so first wins. What the winner left running in the background runs on. An error in any of
/// them stops the loop, or the [`isolate`](crate::isolate), around it.
///
/// ```
/// # #![feature(coroutines)]
/// use std::time::Duration;
/// use tinyield::{Coro, Loop, co, coro, race, sleep};
///
/// #[coro]
/// fn mirror(name: &'static str, ms: u64) -> Coro<&'static str> {
///     yield sleep(Duration::from_millis(ms));
///     name
/// }
///
/// let fastest = co! { yield race([mirror("far", 60_000), mirror("near", 1)]) };
/// assert_eq!(Loop::new().run(fastest).unwrap(), "near");
/// ```
///
/// # Panics
///
/// If there are no coroutines: a race of none has no winner.
///
/// # Cancellation
///
/// All of them are cancelled with it, first.
#[track_caller]
pub fn race<C: Racers<K>, K>(coros: C) -> Race<C::Output> {
    let runners = coros.into_runners();
    assert!(!runners.is_empty(), "a race of 0 coroutines has no winner; it takes at least 1");
    Race { runners }
}

/// What [`race`] takes: an array, `Vec` or other iterator, or a tuple, of coroutines with values of one type.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be raced",
    label = "these are not coroutines of one type",
    note = "`race` takes an array, `Vec`, iterator or tuple of `Coro<T>`; anything else goes into a coroutine first: \
            `co! {{ yield .. }}`"
)]
pub trait Racers<ScopeKind> {
    /// What each of them gives.
    type Output: 'static;

    #[doc(hidden)]
    fn into_runners(self) -> Vec<Coro<Self::Output>>;
}

/// Keeps iterators and tuples apart: a tuple might become an iterator one day.
#[doc(hidden)]
#[derive(Debug)]
pub enum Iterated {}

#[doc(hidden)]
#[derive(Debug)]
pub enum Listed {}

impl<I, T: 'static> Racers<Iterated> for I
where
    I: IntoIterator<Item = Coro<T>>,
{
    type Output = T;

    fn into_runners(self) -> Vec<Coro<T>> {
        self.into_iter().collect()
    }
}

macro_rules! tuples {
    ($($name:ident)+) => {
        impl<T: 'static> Racers<Listed> for ($(tuples!(@ $name),)+) {
            type Output = T;

            #[allow(non_snake_case)]
            fn into_runners(self) -> Vec<Coro<T>> {
                let ($($name,)+) = self;
                vec![$($name),+]
            }
        }
    };
    (@ $name:ident) => { Coro<T> };
}

for_tuples!(tuples);

/// What [`race`] gives: a [`Wait`] for the winner's value.
#[must_use = "nothing is started before this is yielded"]
pub struct Race<T: 'static> {
    runners: Vec<Coro<T>>,
}

impl<T> fmt::Debug for Race<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Race").field("runners", &self.runners).finish()
    }
}

impl<T> Sealed for Race<T> {}

impl<T: 'static> Wait for Race<T> {
    type Output = T;
    type State = Racing<T>;

    fn into_state(self) -> Racing<T> {
        Racing { runners: self.runners.into_iter().map(Coro::into_task).collect(), group: None }
    }
}

#[doc(hidden)]
#[allow(missing_debug_implementations)]
pub struct Racing<T: 'static> {
    runners: Vec<Task<T>>,
    group: Option<Rc<Group>>,
}

impl<T> Sealed for Racing<T> {}

#[allow(private_interfaces)]
impl<T: 'static> WaitState for Racing<T> {
    type Output = T;

    fn begin(&mut self, task: &TaskRef) {
        if let Some(group) = Group::below(task, self.runners.len()) {
            for (runner, scope) in self.runners.iter().zip(group.scopes()) {
                start_in(runner, &scope);
            }
            self.group = Some(group);
        }
    }

    fn is_ready(&self) -> bool {
        self.group.as_ref().is_some_and(|group| group.winner().is_some())
    }

    fn take(&mut self) -> Result<T> {
        let winner = self.group.as_ref().and_then(|group| group.winner()).ok_or_else(polled_after_completion)?;
        self.group = None;
        self.runners.swap_remove(winner).take_output().unwrap_or_else(|| Err(polled_after_completion()))
    }
}

impl<T> Drop for Racing<T> {
    fn drop(&mut self) {
        if let Some(group) = &self.group {
            for scope in group.disown() {
                scope.scheduler().cancel(&scope, &Cancelled::new(Reason::Dropped));
            }
        }
    }
}
