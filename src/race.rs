//! Races: the first coroutine to finish wins, and the others are cancelled.

use std::fmt;
use std::rc::Rc;

use crate::coro::Coro;
use crate::error::{Cancelled, Reason, Result};
use crate::scheduler::{Group, Scheduler, TaskRef};
use crate::wait::gather::for_tuples;
use crate::wait::lifecycle::{WaitState, polled_after_completion, wait_is_its_state};

/// Starts all of `coros`, and returns the value of the first that finishes: the winner. The others are cancelled, with all
/// that they started, and have ended when the `yield` returns.
///
/// Takes an array, a `Vec`, any other iterator, or a tuple of coroutines with values of one type. If several finish in the
/// same round, the first of them wins. Background coroutines of the winner continue. An error in one of the coroutines stops
/// the loop, or the [`isolate`](crate::isolate) around it.
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
/// # Values of the losers
///
/// The value of a loser is dropped. What had arrived for it when it was cancelled is not:
///
/// - If the loser itself waits in [`recv`](crate::channel::Receiver::recv) or in
///   [`acquire`](crate::Semaphore::acquire), it is cancelled there, and the message or the permit goes back.
/// - If it waits for a coroutine that has finished, it gets the value, and sees its cancellation at its next `yield`. If it
///   then returns the value, that is the value of a loser, and is dropped.
///
/// To keep a message that a helper coroutine receives, store it before the coroutine in the race returns, or start the helper
/// outside the race with [`spawn`](crate::spawn).
///
/// # Panics
///
/// If there are no coroutines.
///
/// # Cancellation
///
/// All coroutines of the race are cancelled first, and then the coroutine that waits.
#[track_caller]
pub fn race<C: Racers<Kind>, Kind>(coros: C) -> Race<C::Output> {
    let runners = coros.into_runners();
    assert!(!runners.is_empty(), "a race of 0 coroutines has no winner; it takes at least 1");
    Race { runners, group: None }
}

/// What [`race`](crate::race) takes: an array, `Vec`, other iterator or tuple of coroutines with values of one type.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be raced",
    label = "these are not coroutines of one type",
    note = "`race` takes an array, `Vec`, iterator or tuple of `Coro<T>`; put anything else into a coroutine: \
            `co! {{ yield .. }}`"
)]
pub trait Racers<Kind> {
    /// The value of each coroutine.
    type Output: 'static;

    #[doc(hidden)]
    fn into_runners(self) -> Vec<Coro<Self::Output>>;
}

/// The `Kind` of iterators. Two kinds keep the two implementations apart: the standard library may make tuples iterators.
#[doc(hidden)]
#[derive(Debug)]
pub enum Iterated {}

/// The `Kind` of tuples.
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

macro_rules! tuple {
    ($($name:ident)+) => {
        impl<T: 'static> Racers<Listed> for ($(tuple!(@ $name),)+) {
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

for_tuples!(tuple);

/// The [`Wait`](crate::Wait) that [`race`](crate::race) returns.
#[must_use = "nothing starts before this is yielded"]
pub struct Race<T: 'static> {
    runners: Vec<Coro<T>>,
    group: Option<Rc<Group>>,
}

impl<T> fmt::Debug for Race<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Race").field("runners", &self.runners).finish()
    }
}

wait_is_its_state!(Race<T> => T);

#[allow(private_interfaces)]
impl<T: 'static> WaitState for Race<T> {
    type Output = T;

    fn begin(&mut self, task: &TaskRef) {
        if let Some(group) = Group::below(task, self.runners.len()) {
            for (runner, scope) in self.runners.iter().zip(group.scopes()) {
                Scheduler::start_root(runner.task().raw(), &scope);
            }
            self.group = Some(group);
        }
    }

    fn carries_value(&self) -> bool {
        true
    }

    fn is_ready(&self) -> bool {
        self.group.as_ref().is_some_and(|group| group.winner().is_some())
    }

    fn take(&mut self) -> Result<T> {
        let winner = self.group.as_ref().and_then(|group| group.winner()).ok_or_else(polled_after_completion)?;
        self.group = None;
        self.runners.swap_remove(winner).into_task().take_output().unwrap_or_else(|| Err(polled_after_completion()))
    }
}

impl<T> Drop for Race<T> {
    fn drop(&mut self) {
        if let Some(group) = &self.group {
            for scope in group.disown() {
                scope.scheduler().cancel(&scope, &Cancelled::new(Reason::Dropped));
            }
        }
    }
}
