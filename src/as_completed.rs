//! Values in the order in which they come.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::iter::FusedIterator;
use std::panic::Location;
use std::rc::Rc;
use std::task::Poll;

use crate::coro::Coro;
use crate::error::{Error, Result};
use crate::scheduler::{BlockedOn, Outcome, Resume, Scheduler, Suspend, TaskRef, Waiter};
use crate::wait::private::Sealed;
use crate::wait::{ActiveWait, Internal, Wait, WaitState, polled_after_completion};

/// Starts all of `coros`; the `yield` gives an iterator over their values in the order in which they will come.
///
/// Each item is to be yielded in its turn. The first gives the value of whichever ends first, whenever it is yielded: items
/// may be yielded in any order, gathered, kept, or dropped, with which their values are.
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
/// An error in one of them stops the loop, or the [`isolate`](crate::isolate), around it; whoever yields an item outside of
/// that, gets it raised.
///
/// # Cancellation
///
/// They run in the background, as if spawned: who waits for one of their values may be cancelled, and they go on.
#[track_caller]
pub fn as_completed<T, I>(coros: I) -> StartAsCompleted<T>
where
    T: 'static,
    I: IntoIterator<Item = Coro<T>>,
{
    StartAsCompleted { stage: Stage::Unstarted(coros.into_iter().collect()), location: Location::caller() }
}

/// What [`as_completed`] gives: a [`Wait`] for an [`AsCompleted`].
#[must_use = "nothing is started before this is yielded"]
pub struct StartAsCompleted<T: 'static> {
    stage: Stage<T>,
    location: &'static Location<'static>,
}

enum Stage<T: 'static> {
    Unstarted(Vec<Coro<T>>),
    Started(AsCompleted<T>),
    Taken,
}

impl<T> fmt::Debug for StartAsCompleted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let coros = if let Stage::Unstarted(coros) = &self.stage { &coros[..] } else { &[] };
        f.debug_struct("StartAsCompleted").field("coros", &coros).finish()
    }
}

impl<T> Sealed for StartAsCompleted<T> {}

impl<T: 'static> Wait for StartAsCompleted<T> {
    type Output = AsCompleted<T>;
    type State = StartAsCompleted<T>;

    fn into_state(self) -> StartAsCompleted<T> {
        self
    }
}

#[allow(private_interfaces)]
impl<T: 'static> WaitState for StartAsCompleted<T> {
    type Output = AsCompleted<T>;

    fn begin(&mut self, task: &TaskRef) {
        let Stage::Unstarted(coros) = std::mem::replace(&mut self.stage, Stage::Taken) else { return };
        let Some(scope) = task.scope() else { return };
        let results = Rc::new(Results::new(coros.len()));
        for (index, coro) in coros.into_iter().enumerate() {
            let reporter = Reporter { results: results.clone(), index, has_reported: false };
            let task = reporting(coro, reporter, self.location).into_task().into_raw();
            results.reporters.borrow_mut().push(task.clone());
            Scheduler::start(&task, scope.clone());
        }
        self.stage = Stage::Started(AsCompleted { results, next: 0 });
    }

    fn is_ready(&self) -> bool {
        matches!(self.stage, Stage::Started(_))
    }

    fn take(&mut self) -> Result<AsCompleted<T>> {
        match std::mem::replace(&mut self.stage, Stage::Taken) {
            Stage::Started(completed) => Ok(completed),
            _ => Err(polled_after_completion()),
        }
    }
}

/// A coroutine that waits for `coro` and reports its value.
fn reporting<T: 'static>(coro: Coro<T>, mut reporter: Reporter<T>, location: &'static Location<'static>) -> Coro<()> {
    let waiting = coro.into_state();
    Coro::from_named::<Internal, _>(
        #[coroutine]
        static move |mut resume: Resume| {
            let mut begun = ActiveWait::begin_at(&resume, waiting, location);
            let result = loop {
                match begun.poll(&resume) {
                    Poll::Ready(result) => break result,
                    Poll::Pending => resume = yield Suspend,
                }
            };
            Outcome(result.map(|value| reporter.report(value)))
        },
    )
}

/// What has come so far.
struct Results<T> {
    /// In order of completion.
    slots: RefCell<Vec<Slot<T>>>,
    completed: Cell<usize>,
    reporters: RefCell<Vec<TaskRef>>,
    /// The first that ended without a value.
    lost: Cell<Option<usize>>,
}

enum Slot<T> {
    Empty,
    Awaited(Waiter),
    Value(T),
    /// It was taken, or nobody wants it.
    Closed,
}

impl<T> Results<T> {
    fn new(count: usize) -> Results<T> {
        Results {
            slots: RefCell::new(std::iter::repeat_with(|| Slot::Empty).take(count).collect()),
            completed: Cell::new(0),
            reporters: RefCell::new(Vec::with_capacity(count)),
            lost: Cell::new(None),
        }
    }

    fn len(&self) -> usize {
        self.slots.borrow().len()
    }

    fn replace(&self, index: usize, slot: Slot<T>) -> Slot<T> {
        std::mem::replace(&mut self.slots.borrow_mut()[index], slot)
    }

    fn is_there(&self, index: usize) -> bool {
        !matches!(self.slots.borrow()[index], Slot::Empty | Slot::Awaited(_))
    }

    fn close(&self, index: usize) {
        match self.replace(index, Slot::Closed) {
            Slot::Awaited(waiter) => waiter.give_up(),
            Slot::Value(value) => drop(value),
            Slot::Empty | Slot::Closed => {}
        }
    }
}

/// Reports how one of the coroutines ended.
struct Reporter<T> {
    results: Rc<Results<T>>,
    index: usize,
    has_reported: bool,
}

impl<T> Reporter<T> {
    fn report(&mut self, value: T) {
        self.has_reported = true;
        let slot = self.results.completed.get();
        self.results.completed.set(slot + 1);
        match self.results.replace(slot, Slot::Value(value)) {
            Slot::Awaited(waiter) => waiter.settle(),
            Slot::Closed => self.results.close(slot),
            Slot::Empty | Slot::Value(_) => {}
        }
    }
}

impl<T> Drop for Reporter<T> {
    fn drop(&mut self) {
        if self.has_reported {
            return;
        }
        // There will be a value less than there are items: those that have none yet get the error.
        let results = &self.results;
        if results.lost.get().is_none() {
            results.lost.set(Some(self.index));
        }
        for slot in results.completed.get()..results.len() {
            match results.replace(slot, Slot::Empty) {
                Slot::Awaited(waiter) => waiter.fail(),
                other => drop(results.replace(slot, other)),
            }
        }
    }
}

/// What the `yield` of [`as_completed`] gives: an iterator over what will come, in order of completion.
///
/// Dropped, it drops the values of those items that it was not asked for.
pub struct AsCompleted<T: 'static> {
    results: Rc<Results<T>>,
    next: usize,
}

impl<T: 'static> Iterator for AsCompleted<T> {
    type Item = NextCompleted<T>;

    fn next(&mut self) -> Option<NextCompleted<T>> {
        let index = self.next;
        (self.len() != 0).then(|| {
            self.next += 1;
            NextCompleted { results: self.results.clone(), index }
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.results.len() - self.next;
        (left, Some(left))
    }
}

impl<T: 'static> ExactSizeIterator for AsCompleted<T> {}

impl<T: 'static> FusedIterator for AsCompleted<T> {}

impl<T> Drop for AsCompleted<T> {
    fn drop(&mut self) {
        for index in self.next..self.results.len() {
            self.results.close(index);
        }
    }
}

impl<T> fmt::Debug for AsCompleted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompleted")
            .field("completed", &self.results.completed.get())
            .field("asked_for", &self.next)
            .field("count", &self.results.len())
            .finish()
    }
}

/// One item of an [`AsCompleted`]: a [`Wait`] for the value of whichever ends next.
#[must_use = "the value comes when this is yielded"]
pub struct NextCompleted<T: 'static> {
    results: Rc<Results<T>>,
    index: usize,
}

impl<T> Drop for NextCompleted<T> {
    fn drop(&mut self) {
        self.results.close(self.index);
    }
}

impl<T> fmt::Debug for NextCompleted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NextCompleted").field("index", &self.index).finish_non_exhaustive()
    }
}

impl<T> Sealed for NextCompleted<T> {}

impl<T: 'static> Wait for NextCompleted<T> {
    type Output = T;
    type State = NextCompleted<T>;

    fn into_state(self) -> NextCompleted<T> {
        self
    }
}

#[allow(private_interfaces)]
impl<T: 'static> WaitState for NextCompleted<T> {
    type Output = T;

    fn begin(&mut self, task: &TaskRef) {
        if self.results.is_there(self.index) {
            return;
        }
        let waiter = Waiter::new(task);
        if self.results.lost.get().is_some() {
            return waiter.fail();
        }
        task.note_blocked_on(BlockedOn::COMPLETION);
        self.results.replace(self.index, Slot::Awaited(waiter));
    }

    fn is_ready(&self) -> bool {
        self.results.is_there(self.index)
    }

    fn failure(&self) -> Option<Error> {
        let lost = self.results.lost.get().filter(|_| !self.is_ready())?;
        let error = self.results.reporters.borrow().get(lost).and_then(|task| task.error());
        Some(error.unwrap_or_else(|| Error::msg("a coroutine of `as_completed` was cancelled")))
    }

    fn take(&mut self) -> Result<T> {
        if !self.is_ready() {
            return Err(polled_after_completion());
        }
        match self.results.replace(self.index, Slot::Closed) {
            Slot::Value(value) => Ok(value),
            _ => Err(polled_after_completion()),
        }
    }
}
