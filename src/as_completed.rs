//! The outputs of several waits, in the order in which they arrive.
//!
//! For each wait there is a *reporter*: a task that waits for it. For each item of the iterator there is a slot. When a reporter
//! ends, its task goes into the next slot. The task holds the value, or the error. With a limit, a reporter that has its value
//! starts the next reporter before it ends.

mod completion;
mod limit;
mod slots;
mod source;

use std::fmt;
use std::iter::FusedIterator;
use std::panic::Location;
use std::rc::Rc;

use self::completion::Completion;
use self::slots::Slot;
use self::source::Source;
use crate::coro::Coro;
use crate::error::{Error, Result};
use crate::scheduler::{BlockedOn, TaskRef, Waiter};
use crate::waiting::map::Map;
use crate::waiting::private::Sealed;
use crate::waiting::state::{WaitState, polled_after_completion};
use crate::waiting::yieldable::{Wait, wait_is_its_state};

pub use self::limit::StartLimited;

/// Starts all of `waits` in the background. The `yield` returns an iterator over their outputs, in the order in which they
/// arrive.
///
/// Takes an iterator of anything that can be yielded: coroutines, for example. [`limit`](StartAsCompleted::limit) sets how many
/// run at a time.
///
/// The items of the iterator are waits. The first item gives the output that arrives first, no matter when the item is yielded.
/// Items may be yielded in any order, gathered, or kept. If an item is dropped, its value is dropped.
///
/// ```
/// use std::time::Duration;
/// use tinyield::{Coro, Loop, as_completed, co, coro, sleep};
///
/// #[coro]
/// fn echo(ms: u64) -> Coro<u64> {
///     yield sleep(Duration::from_millis(ms));
///     ms
/// }
///
/// let main = co! {
///     let mut order = Vec::new();
///     for next in yield as_completed([echo(30), echo(1), echo(15)]) {
///         order.push(yield next);
///     }
///     order
/// };
/// assert_eq!(Loop::new().run(main).unwrap(), [1, 15, 30]);
/// ```
///
/// # Errors
///
/// An error in one of the coroutines stops the loop, or the [`isolate`](crate::isolate) around it. An item that is yielded
/// outside of that `isolate`, and has no value yet, raises the error.
///
/// # Cancellation
///
/// The coroutines run in the background, like spawned ones: they continue when a coroutine that waits for an item is cancelled.
#[track_caller]
pub fn as_completed<I>(waits: I) -> StartAsCompleted<I>
where
    I: IntoIterator,
    I::Item: Wait,
{
    StartAsCompleted { waits, location: Location::caller() }
}

/// The [`Wait`](crate::Wait) that [`as_completed`](crate::as_completed) returns.
#[must_use = "nothing starts before this is yielded"]
pub struct StartAsCompleted<I> {
    waits: I,
    location: &'static Location<'static>,
}

impl<I: fmt::Debug> fmt::Debug for StartAsCompleted<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartAsCompleted").field("coros", &self.waits).finish()
    }
}

impl<I> StartAsCompleted<I>
where
    I: IntoIterator<IntoIter: 'static>,
    I::Item: Wait,
{
    /// Runs at most `count` waits at a time. When one of them has its output, the next wait is taken from the iterator, and
    /// started.
    ///
    /// The iterator is called lazily, in the turns of the coroutines: for the next wait to start, or to find out whether there is
    /// one more item. So the iterator may make each wait at the moment at which it is needed, and the iterator may be endless.
    /// When the [`AsCompleted`] is dropped, the coroutines that were started run on. After that, no more are started, except for items
    /// that the [`AsCompleted`] has already returned.
    ///
    /// ```
    /// use tinyield::{Coro, Loop, as_completed, co, coro};
    ///
    /// #[coro]
    /// fn fetch(page: u32) -> Coro<u32> {
    ///     yield;
    ///     page * 10
    /// }
    ///
    /// let main = co! {
    ///     let mut sum = 0;
    ///     for next in yield as_completed((1..=100).map(fetch)).limit(16) {
    ///         sum += yield next; // while this waits, at most 16 are fetched
    ///     }
    ///     sum
    /// };
    /// assert_eq!(Loop::new().run(main).unwrap(), 50_500);
    /// ```
    ///
    /// # Panics
    ///
    /// If `count` is 0.
    #[track_caller]
    pub fn limit(self, count: usize) -> StartLimited<<I::Item as Wait>::Output> {
        assert!(count > 0, "a limit of 0 starts nothing; it has to be at least 1");
        let location = self.location;
        StartLimited::new(self.waits.into_iter().map(move |wait| coro_of(wait, location)), count, location)
    }
}

impl<I> StartAsCompleted<I>
where
    I: IntoIterator,
    I::Item: Wait,
{
    /// The same wait with an output of another type. See [`Wait::map`](crate::Wait::map).
    pub fn map<F, U>(self, change: F) -> Map<Self, F>
    where
        F: FnOnce(AsCompleted<<I::Item as Wait>::Output>) -> U + 'static,
        U: 'static,
    {
        Map::new(self, change)
    }
}

/// A coroutine that waits for `wait`.
fn coro_of<W: Wait>(wait: W, location: &'static Location<'static>) -> Coro<W::Output> {
    let task = wait.into_task().0;
    if task.raw().is_internal() {
        task.raw().location.set(location);
    }
    Coro::from_task(task)
}

impl<I> Sealed for StartAsCompleted<I> {}

impl<I> Wait for StartAsCompleted<I>
where
    I: IntoIterator,
    I::Item: Wait,
{
    type Output = AsCompleted<<I::Item as Wait>::Output>;
    type State = StartAll<<I::Item as Wait>::Output>;
    type Kind = crate::waiting::kind::Work;

    fn into_state(self) -> Self::State {
        let coros = self.waits.into_iter().map(|wait| coro_of(wait, self.location)).collect();
        StartAll { coros, started: None, location: self.location }
    }
}

#[doc(hidden)]
#[allow(missing_debug_implementations)]
pub struct StartAll<T: 'static> {
    coros: Vec<Coro<T>>,
    started: Option<AsCompleted<T>>,
    location: &'static Location<'static>,
}

impl<T> Sealed for StartAll<T> {}

#[allow(private_interfaces)]
impl<T: 'static> WaitState for StartAll<T> {
    type Output = AsCompleted<T>;

    fn begin(&mut self, task: &TaskRef) {
        let Some(scope) = task.scope() else { return };
        let coros = std::mem::take(&mut self.coros);
        let completion = Completion::new(None, self.location);
        completion.slots.borrow_mut().add(coros.len());
        for coro in coros {
            completion.start(coro, task);
        }
        completion.note_quorum(scope.scheduler());
        self.started = Some(AsCompleted { completion, next: 0 });
    }

    fn is_ready(&self) -> bool {
        self.started.is_some()
    }

    fn take(&mut self) -> Result<AsCompleted<T>> {
        self.started.take().ok_or_else(polled_after_completion)
    }
}

/// An iterator over waits for outputs, in the order in which the outputs arrive. [`as_completed`](crate::as_completed) makes it.
///
/// Dropping it drops the values of the items that it has not returned.
pub struct AsCompleted<T: 'static> {
    completion: Rc<Completion<T>>,
    /// The index of the next item.
    next: usize,
}

impl<T: 'static> Iterator for AsCompleted<T> {
    type Item = NextCompleted<T>;

    fn next(&mut self) -> Option<NextCompleted<T>> {
        let completion = &self.completion;
        let has_next = self.next < completion.count()
            || completion.source.as_ref().is_some_and(|source| source.fetch(&completion.slots));
        has_next.then(|| {
            let index = self.next;
            self.next += 1;
            NextCompleted { completion: completion.clone(), index }
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.completion.count() - self.next;
        let (lower, upper) = self.completion.source.as_ref().map_or((0, Some(0)), Source::size_hint);
        (left.saturating_add(lower), upper.and_then(|upper| left.checked_add(upper)))
    }
}

/// With a [limit](StartAsCompleted::limit), `len` panics if the `size_hint` of the iterator that was passed in is not exact.
impl<T: 'static> ExactSizeIterator for AsCompleted<T> {}

impl<T: 'static> FusedIterator for AsCompleted<T> {}

impl<T> Drop for AsCompleted<T> {
    fn drop(&mut self) {
        let unused = self.completion.source.as_ref().map(Source::close);
        for index in self.next..self.completion.count() {
            drop(NextCompleted { completion: self.completion.clone(), index });
        }
        // Dropping the iterator runs user code.
        drop(unused);
    }
}

impl<T> fmt::Debug for AsCompleted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompleted")
            .field("completed", &self.completion.slots.borrow().ended())
            .field("asked_for", &self.next)
            .field("count", &self.completion.count())
            .finish()
    }
}

/// An item of [`AsCompleted`]: a [`Wait`](crate::Wait) for one output. The first item waits for the output that arrives first, the
/// second item for the next one, and so on.
#[must_use = "yield this to get the value"]
pub struct NextCompleted<T: 'static> {
    completion: Rc<Completion<T>>,
    index: usize,
}

impl<T> Drop for NextCompleted<T> {
    fn drop(&mut self) {
        if let Some(Slot::Awaited(waiter)) = self.completion.close(self.index) {
            waiter.give_up();
        }
    }
}

impl<T> fmt::Debug for NextCompleted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NextCompleted").field("index", &self.index).finish_non_exhaustive()
    }
}

wait_is_its_state!(leaf NextCompleted<T> => T);

#[allow(private_interfaces)]
impl<T: 'static> WaitState for NextCompleted<T> {
    type Output = T;

    fn begin(&mut self, task: &TaskRef) {
        if !self.is_ready() {
            task.note_blocked_on(BlockedOn::COMPLETION);
            if let Some(scheduler) = task.scheduler() {
                scheduler.note_join_of_quorum(task);
            }
            self.completion.slots.borrow_mut().wait(self.index, Waiter::new(task));
        } else if self.failure().is_some() {
            Waiter::new(task).fail();
        }
    }

    fn carries_value(&self) -> bool {
        true
    }

    fn is_ready(&self) -> bool {
        self.index < self.completion.slots.borrow().ended() || self.completion.is_never_started(self.index)
    }

    fn failure(&self) -> Option<Error> {
        self.completion.failure(self.index)
    }

    fn take(&mut self) -> Result<T> {
        if self.completion.is_never_started(self.index) {
            return Err(self.failure().unwrap_or_else(polled_after_completion));
        }
        let slot = if self.is_ready() { self.completion.close(self.index) } else { None };
        let output = if let Some(Slot::Ended(task)) = slot { task.take_output() } else { None };
        output.unwrap_or_else(|| Err(polled_after_completion()))
    }
}

#[cfg(test)]
mod tests;
