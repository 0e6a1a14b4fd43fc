//! Races: the first wait that is over wins, and the others are given up.
//!
//! There are two kinds. A *leaf* is a wait that a race can give up by dropping it. A race of leaves is part of the wait of its
//! task: when one leaf is settled, the task has a turn, and drops the other leaves ([`leaves`]). In any other race, each wait has a
//! task, in a scope of its own ([`runners`]).

mod leaves;
mod runners;

use std::fmt;
use std::marker::PhantomData;

use self::leaves::Leaves;
pub use self::leaves::Same;
use self::runners::Runners;
use crate::waiting::gather::for_tuples;
use crate::waiting::kind::{RaceKind, Work};
use crate::waiting::map::Map;
use crate::waiting::state::WaitState;
use crate::waiting::state::private::Sealed;
use crate::waiting::yieldable::Wait;

/// Waits for the first of several waits that is over, and returns its output. The others are given up: a coroutine is
/// cancelled, with all that it started, and has ended when the `yield` returns.
///
/// The waits are in an array, a `Vec`, another iterator, or a tuple. They may be anything that can be yielded, with outputs of one
/// type. [`map`](Wait::map) changes the type of an output. If all waits are simple ones, such as
/// [`recv`](crate::channel::Receiver::recv), [`event.wait()`](crate::Event::wait) or [`sleep`](crate::sleep), the race makes no
/// coroutines for them.
///
/// ```
/// use std::time::Duration;
/// use tinyield::{Coro, Event, Loop, channel, co, coro, race, sleep};
///
/// #[coro]
/// fn mirror(name: &'static str, ms: u64) -> Coro<&'static str> {
///     yield sleep(Duration::from_millis(ms));
///     name
/// }
///
/// enum Next {
///     Job(u32),
///     Stop,
/// }
///
/// let main = co! {
///     assert_eq!(yield race([mirror("far", 60_000), mirror("near", 1)]), "near");
///
///     let (sender, jobs) = channel::unbounded();
///     let stop = Event::new();
///     sender.try_send(7)?;
///     let next = yield race((
///         stop.wait().map(|()| Next::Stop),
///         jobs.recv().map(|job| job.map_or(Next::Stop, Next::Job)),
///     ));
///     assert!(matches!(next, Next::Job(7)));
/// };
/// Loop::new().run(main).unwrap();
/// ```
///
/// If several waits are over at the same time, the first of them in the list wins. So if you race in a loop, put a wait that must
/// not starve, such as a request to stop, before the waits that may always be ready.
///
/// # Optional waits
///
/// `None` is a wait that is over at once, so a race with it is over at once. To leave a wait out, replace it with a wait that never ends:
///
/// ```
/// use std::time::Duration;
/// use tinyield::{Coro, Loop, Wait, co, coro, race, sleep};
///
/// /// Waits for `wait`, or forever if there is none.
/// #[coro]
/// fn or_never<W: Wait + 'static>(wait: Option<W>) -> Coro<W::Output> {
///     if let Some(wait) = wait {
///         return yield wait;
///     }
///     yield sleep(Duration::MAX);
///     unreachable!()
/// }
///
/// let main = co! {
///     let limit: Option<Duration> = None;
///     let late = or_never(limit.map(sleep)).map(|()| "late");
///     yield race((late, sleep(Duration::from_millis(1)).map(|()| "done")))
/// };
/// assert_eq!(Loop::new().run(main).unwrap(), "done");
/// ```
///
/// # The losers
///
/// If a coroutine loses the race, its value is dropped. Other waits that lose give back the value that has arrived for them: a
/// message goes back to its channel, a permit to its semaphore, and the data to its lock. A message that was not sent yet is
/// dropped. A coroutine behind a [`JoinHandle`](crate::JoinHandle) runs on, but its handle is dropped.
///
/// A coroutine that loses is cancelled:
///
/// - If it waits in `recv` or in `acquire`, it is cancelled there, and the message or the permit goes back.
/// - If it waits for a coroutine that has finished, it gets the value, and sees its cancellation at its next `yield`. If it then
///   returns this value, the value is dropped, because the coroutine has lost the race.
///
/// To keep a message that a helper coroutine receives, store it before the coroutine in the race returns, or start the helper
/// outside the race with [`spawn`](crate::spawn). Background coroutines that a loser has started are cancelled, too; those of
/// the winner continue.
///
/// # Errors
///
/// An error in one of the coroutines stops the loop, or the [`isolate`](crate::isolate) around it.
///
/// # Panics
///
/// If there is nothing to wait for.
///
/// # Cancellation
///
/// All coroutines of the race are cancelled first, and then the coroutine that waits.
#[track_caller]
pub fn race<R: Racers<Kind>, Kind>(waits: R) -> Race<R::Output, R::State> {
    Race { state: waits.into_race(), output: PhantomData }
}

/// What [`race`](crate::race) takes: an array, `Vec`, other iterator or tuple of waits with outputs of one type.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be raced",
    label = "these are not several waits with outputs of one type",
    note = "`race` takes an array, `Vec`, iterator or tuple of up to 12 of anything that can be yielded, with outputs of one \
            type: `race((jobs.recv().map(Next::Job), stop.wait().map(|()| Next::Stop)))`"
)]
pub trait Racers<Kind> {
    /// The output of each wait.
    type Output: 'static;

    #[doc(hidden)]
    type State: WaitState<Output = Self::Output>;

    #[doc(hidden)]
    #[track_caller]
    fn into_race(self) -> Self::State;
}

/// The `Kind` of iterators. The two kinds keep the two implementations of [`Racers`] apart. Without them, the implementations would
/// conflict, because a later standard library may implement `IntoIterator` for tuples.
#[doc(hidden)]
#[derive(Debug)]
pub enum Iterated {}

/// The `Kind` of tuples.
#[doc(hidden)]
#[derive(Debug)]
pub enum Listed {}

impl<I, W> Racers<Iterated> for I
where
    I: IntoIterator<Item = W>,
    W: Wait,
{
    type Output = W::Output;
    type State = <W::Kind as RaceKind>::State<Leaves<leaves::List<W::State>>, Runners<W::Output>>;

    #[track_caller]
    fn into_race(self) -> Self::State {
        if W::Kind::IS_LEAF {
            let leaves: leaves::List<_> = self.into_iter().map(|leaf| Some(leaf.into_state())).collect();
            assert_not_empty(leaves.len());
            return W::Kind::of_leaves(Leaves::new(leaves));
        }
        // This is a loop, and not a `map`: in a closure, the location of a task would not be the location of the caller.
        let mut tasks = Vec::new();
        for wait in self {
            tasks.push(wait.into_task().0);
        }
        assert_not_empty(tasks.len());
        W::Kind::of_work(Runners::new(tasks))
    }
}

#[track_caller]
fn assert_not_empty(count: usize) {
    assert!(count > 0, "a race of 0 waits has no winner; it takes at least 1");
}

macro_rules! tuple {
    ($first:ident $($rest:ident)*) => {
        impl<$first: Wait, $($rest: Wait),*> Racers<Listed> for ($first, $($rest,)*)
        where
            $($rest::Output: Same<$first::Output>,)*
        {
            type Output = $first::Output;
            type State = <tuple!(@kind $first $($rest)*) as RaceKind>::State<
                Leaves<(Option<$first::State>, $(Option<$rest::State>,)*)>,
                Runners<$first::Output>,
            >;

            #[allow(non_snake_case)]
            #[track_caller]
            fn into_race(self) -> Self::State {
                let ($first, $($rest,)*) = self;
                if <tuple!(@kind $first $($rest)*)>::IS_LEAF {
                    let leaves = (Some($first.into_state()), $(Some($rest.into_state()),)*);
                    <tuple!(@kind $first $($rest)*)>::of_leaves(Leaves::new(leaves))
                } else {
                    let tasks = vec![$first.into_task().0, $(Same::same_task($rest.into_task().0),)*];
                    <tuple!(@kind $first $($rest)*)>::of_work(Runners::new(tasks))
                }
            }
        }
    };
    (@kind $last:ident) => { $last::Kind };
    (@kind $first:ident $($rest:ident)+) => { <$first::Kind as RaceKind>::And<tuple!(@kind $($rest)+)> };
}

for_tuples!(tuple);

/// The [`Wait`](crate::Wait) that [`race`](crate::race) returns. `T` is its output.
#[must_use = "nothing starts before this is yielded"]
pub struct Race<T: 'static, S = Runners<T>> {
    state: S,
    output: PhantomData<fn() -> T>,
}

impl<T, S: fmt::Debug> fmt::Debug for Race<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.state.fmt(f)
    }
}

impl<T, S> Sealed for Race<T, S> {}

impl<T, S: WaitState<Output = T>> Wait for Race<T, S> {
    type Output = T;
    type State = S;
    type Kind = Work;

    fn into_state(self) -> S {
        self.state
    }
}

impl<T, S: WaitState<Output = T>> Race<T, S> {
    /// The same wait with an output of another type. See [`Wait::map`].
    pub fn map<F, U>(self, change: F) -> Map<Self, F>
    where
        F: FnOnce(T) -> U + 'static,
        U: 'static,
    {
        Map::new(self, change)
    }
}
