//! The values of several coroutines, in the order in which they finish.
//!
//! A reporter waits for each coroutine. There is a slot for each item, and a reporter that ends goes into the next slot: its
//! task holds the value, or the error.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::iter::FusedIterator;
use std::panic::Location;
use std::rc::Rc;

use crate::coro::Coro;
use crate::error::{Error, Result};
use crate::scheduler::{BlockedOn, Outcome, Quorum, Resume, Scheduler, Task, TaskRef, Waiter};
use crate::wait::lifecycle::{
    ActiveWait, Internal, Wait, WaitState, polled_after_completion, suspend_until, wait_is_its_state,
};

/// Starts all of `coros` in the background. The `yield` returns an iterator over their values, in the order in which they
/// will finish.
///
/// The items of the iterator are waits. The first item gives the value of the coroutine that finishes first, whenever it is
/// yielded. Items may be yielded in any order, gathered, or kept. If an item is dropped, its value is dropped.
///
/// ```
/// # #![feature(coroutines)]
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
/// outside of that, and has no value yet, raises the error.
///
/// # Cancellation
///
/// The coroutines run in the background, as if spawned: they continue when a coroutine that waits for an item is cancelled.
#[track_caller]
pub fn as_completed<T, I>(coros: I) -> StartAsCompleted<T>
where
    T: 'static,
    I: IntoIterator<Item = Coro<T>>,
{
    StartAsCompleted { coros: coros.into_iter().collect(), started: None, location: Location::caller() }
}

/// The [`Wait`](crate::Wait) that [`as_completed`](crate::as_completed) returns.
#[must_use = "nothing starts before this is yielded"]
pub struct StartAsCompleted<T: 'static> {
    coros: Vec<Coro<T>>,
    started: Option<AsCompleted<T>>,
    location: &'static Location<'static>,
}

impl<T> fmt::Debug for StartAsCompleted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartAsCompleted").field("coros", &self.coros).finish()
    }
}

wait_is_its_state!(StartAsCompleted<T> => AsCompleted<T>);

#[allow(private_interfaces)]
impl<T: 'static> WaitState for StartAsCompleted<T> {
    type Output = AsCompleted<T>;

    fn begin(&mut self, task: &TaskRef) {
        let Some(scope) = task.scope() else { return };
        let coros = std::mem::take(&mut self.coros);
        let completion = Rc::new(Completion {
            slots: RefCell::new(coros.iter().map(|_| Slot::Empty).collect()),
            ended: Cell::new(0),
            running: RefCell::new(Vec::with_capacity(coros.len())),
        });
        let items: Vec<_> =
            (0..coros.len()).map(|index| NextCompleted { completion: completion.clone(), index }).collect();
        for (reporter, coro) in coros.into_iter().enumerate() {
            let end = End { completion: completion.clone(), reporter, is_ok: false };
            let task = reporting(coro, end, self.location).into_task();
            completion.running.borrow_mut().push(Some(task.clone()));
            Scheduler::start(task.raw(), scope.clone());
        }
        completion.note_quorum(scope.scheduler());
        self.started = Some(AsCompleted { items: items.into_iter(), completion });
    }

    fn is_ready(&self) -> bool {
        self.started.is_some()
    }

    fn take(&mut self) -> Result<AsCompleted<T>> {
        self.started.take().ok_or_else(polled_after_completion)
    }
}

/// A reporter: it waits for `coro`, and ends in the same way.
fn reporting<T: 'static>(coro: Coro<T>, mut end: End<T>, location: &'static Location<'static>) -> Coro<T> {
    let state = coro.into_state();
    Coro::from_named::<Internal, _>(
        #[coroutine]
        static move |mut resume: Resume| {
            let mut wait = ActiveWait::begin_at(&resume, state, location);
            let result = suspend_until!(resume, wait.poll(&resume));
            Outcome(result.inspect(|_| end.mark_ok()))
        },
    )
}

/// Belongs to the body of a reporter: it is dropped when the reporter ends, with a value or without.
struct End<T: 'static> {
    completion: Rc<Completion<T>>,
    reporter: usize,
    is_ok: bool,
}

impl<T> End<T> {
    fn mark_ok(&mut self) {
        self.is_ok = true;
    }
}

impl<T> Drop for End<T> {
    fn drop(&mut self) {
        self.completion.end(self.reporter, self.is_ok);
    }
}

struct Completion<T: 'static> {
    /// In the order in which the reporters end.
    slots: RefCell<Vec<Slot<T>>>,
    ended: Cell<usize>,
    /// The reporters that have not ended, in the order in which they were started.
    running: RefCell<Vec<Option<Task<T>>>>,
}

enum Slot<T: 'static> {
    Empty,
    Awaited(Waiter),
    Ended(Task<T>),
    /// The value was taken, or its item was dropped.
    Closed,
}

impl<T> Completion<T> {
    fn count(&self) -> usize {
        self.slots.borrow().len()
    }

    /// Notes what the search for deadlocks has to know. The reporters have just been started, one after the other.
    fn note_quorum(self: &Rc<Self>, scheduler: &Scheduler) {
        let running = self.running.borrow();
        let id_of = |reporter: Option<&Option<Task<T>>>| Some(reporter?.as_ref()?.raw().id.get());
        if let (Some(first), Some(last)) = (id_of(running.first()), id_of(running.last())) {
            let quorum: Rc<dyn Quorum> = self.clone();
            scheduler.note_quorum(first, last, Rc::downgrade(&quorum));
        }
    }

    fn replace(&self, index: usize, slot: Slot<T>) -> Slot<T> {
        #[cfg(test)]
        tests::count_access();
        std::mem::replace(&mut self.slots.borrow_mut()[index], slot)
    }

    fn end(&self, reporter: usize, is_ok: bool) {
        let task = self.running.borrow_mut()[reporter].take();
        let index = self.ended.replace(self.ended.get() + 1);
        match self.replace(index, task.map_or(Slot::Closed, Slot::Ended)) {
            Slot::Awaited(waiter) if is_ok => waiter.settle(),
            Slot::Awaited(waiter) => waiter.fail(),
            // The item was dropped, so the value is dropped with its task.
            Slot::Closed => drop(self.replace(index, Slot::Closed)),
            Slot::Empty | Slot::Ended(_) => {}
        }
    }
}

impl<T> Quorum for Completion<T> {
    fn running(&self) -> Vec<TaskRef> {
        self.running.borrow().iter().flatten().map(|task| task.raw().clone()).collect()
    }

    fn waiting(&self) -> Vec<(TaskRef, usize)> {
        let slots = self.slots.borrow();
        let ended = self.ended.get();
        let waiting = slots.iter().enumerate().skip(ended).filter_map(|(index, slot)| match slot {
            Slot::Awaited(waiter) => Some((waiter.task().clone(), index + 1 - ended)),
            _ => None,
        });
        waiting.collect()
    }
}

/// An iterator over waits for values, in the order in which their coroutines finish. [`as_completed`](crate::as_completed)
/// makes it.
///
/// Dropped, it drops the values of the items that it has not returned.
pub struct AsCompleted<T: 'static> {
    items: std::vec::IntoIter<NextCompleted<T>>,
    completion: Rc<Completion<T>>,
}

impl<T: 'static> Iterator for AsCompleted<T> {
    type Item = NextCompleted<T>;

    fn next(&mut self) -> Option<NextCompleted<T>> {
        self.items.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.items.size_hint()
    }
}

impl<T: 'static> ExactSizeIterator for AsCompleted<T> {}

impl<T: 'static> FusedIterator for AsCompleted<T> {}

impl<T> fmt::Debug for AsCompleted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompleted")
            .field("completed", &self.completion.ended.get())
            .field("asked_for", &(self.completion.count() - self.items.len()))
            .field("count", &self.completion.count())
            .finish()
    }
}

/// An item of [`AsCompleted`]: a [`Wait`](crate::Wait) for the value of the coroutine that finishes next.
#[must_use = "yield this to get the value"]
pub struct NextCompleted<T: 'static> {
    completion: Rc<Completion<T>>,
    index: usize,
}

impl<T> Drop for NextCompleted<T> {
    fn drop(&mut self) {
        if let Slot::Awaited(waiter) = self.completion.replace(self.index, Slot::Closed) {
            waiter.give_up();
        }
    }
}

impl<T> fmt::Debug for NextCompleted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NextCompleted").field("index", &self.index).finish_non_exhaustive()
    }
}

wait_is_its_state!(NextCompleted<T> => T);

#[allow(private_interfaces)]
impl<T: 'static> WaitState for NextCompleted<T> {
    type Output = T;

    fn begin(&mut self, task: &TaskRef) {
        if !self.is_ready() {
            task.note_blocked_on(BlockedOn::COMPLETION);
            if let Some(scheduler) = task.scheduler() {
                scheduler.note_join(task);
            }
            self.completion.replace(self.index, Slot::Awaited(Waiter::new(task)));
        } else if self.failure().is_some() {
            Waiter::new(task).fail();
        }
    }

    fn carries_value(&self) -> bool {
        true
    }

    fn is_ready(&self) -> bool {
        matches!(self.completion.slots.borrow()[self.index], Slot::Ended(_) | Slot::Closed)
    }

    fn failure(&self) -> Option<Error> {
        if let Slot::Ended(task) = &self.completion.slots.borrow()[self.index] { task.raw().error() } else { None }
    }

    fn take(&mut self) -> Result<T> {
        let slot = if self.is_ready() { self.completion.replace(self.index, Slot::Closed) } else { Slot::Closed };
        let output = if let Slot::Ended(task) = slot { task.take_output() } else { None };
        output.unwrap_or_else(|| Err(polled_after_completion()))
    }
}

#[cfg(test)]
mod tests;
