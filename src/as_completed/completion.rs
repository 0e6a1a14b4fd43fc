//! The reporters of an `as_completed`. Each waits for one coroutine. When a reporter ends, the next item gets its output.

use std::cell::RefCell;
use std::panic::Location;
use std::rc::{Rc, Weak};

use slab::Slab;

use super::slots::{Slot, Slots};
use super::source::Source;
use crate::coro::Coro;
use crate::error::Error;
use crate::panic::contain;
use crate::scheduler::{Outcome, Quorum, Resume, Scheduler, Task, TaskRef};
use crate::waiting::active::{ActiveWait, Internal, suspend_until};
use crate::waiting::yieldable::Wait;

/// A reporter: it waits for `coro`, and ends with the same result.
fn reporting<T: 'static>(coro: Coro<T>, mut end: End<T>, location: &'static Location<'static>) -> Coro<T> {
    let state = coro.into_state();
    Coro::from_named::<Internal, _>(
        #[coroutine]
        static move |mut resume: Resume| {
            let mut wait = ActiveWait::begin_at(&resume, state, location);
            let result = suspend_until!(resume, wait.poll(&resume));
            if result.is_ok() {
                end.is_ok = true;
                end.completion.start_next(&resume.task);
            }
            Outcome(result)
        },
    )
}

/// Belongs to the body of a reporter. It is dropped when the reporter ends, with or without a value.
struct End<T: 'static> {
    completion: Rc<Completion<T>>,
    reporter: usize,
    is_ok: bool,
}

impl<T> Drop for End<T> {
    fn drop(&mut self) {
        self.completion.end(self.reporter, self.is_ok);
    }
}

/// The state that the reporters, the iterator and its items share.
pub(super) struct Completion<T: 'static> {
    pub(super) slots: RefCell<Slots<T>>,
    /// The reporters that have not ended.
    running: RefCell<Slab<Task<T>>>,
    /// The coroutines to start, if there is a limit.
    pub(super) source: Option<Source<T>>,
    /// With a limit: a reporter that has failed. Then the rest of the source is never started, and the remaining items fail with
    /// the error of this reporter.
    failed: RefCell<Option<Task<T>>>,
    location: &'static Location<'static>,
}

impl<T> Completion<T> {
    pub(super) fn new(source: Option<Source<T>>, location: &'static Location<'static>) -> Rc<Completion<T>> {
        let slots = RefCell::new(Slots::new());
        Rc::new(Completion { slots, running: RefCell::default(), source, failed: RefCell::default(), location })
    }

    /// Starts a reporter in the scope of `task`.
    pub(super) fn start(self: &Rc<Completion<T>>, coro: Coro<T>, task: &TaskRef) {
        let Some(scope) = task.scope() else { return };
        let reporter = self.running.borrow().vacant_key();
        let end = End { completion: self.clone(), reporter, is_ok: false };
        let task = reporting(coro, end, self.location).into_task();
        self.running.borrow_mut().insert(task.clone());
        Scheduler::start(task.raw(), scope.clone());
        if self.source.is_some() {
            let id = task.raw().id.get();
            scope.scheduler().note_quorum(id, id, self.as_quorum());
        }
    }

    /// If there is a limit, starts the next reporter. Returns whether there was one.
    pub(super) fn start_next(self: &Rc<Completion<T>>, task: &TaskRef) -> bool {
        let next = self.source.as_ref().and_then(|source| source.next(&self.slots));
        let has_next = next.is_some();
        if let Some(coro) = next {
            self.start(coro, task);
        }
        has_next
    }

    pub(super) fn count(&self) -> usize {
        self.slots.borrow().count()
    }

    fn as_quorum(self: &Rc<Self>) -> Weak<dyn Quorum> {
        let quorum: Rc<dyn Quorum> = self.clone();
        Rc::downgrade(&quorum)
    }

    /// Notes the quorum for the search for deadlocks. The reporters have just been started, one after the other, so their ids are
    /// consecutive.
    pub(super) fn note_quorum(self: &Rc<Self>, scheduler: &Scheduler) {
        let running = self.running.borrow();
        let ids = || running.iter().map(|(_, task)| task.raw().id.get());
        if let (Some(first), Some(last)) = (ids().min(), ids().max()) {
            scheduler.note_quorum(first, last, self.as_quorum());
        }
    }

    /// Closes a slot, because its value was taken or its item was dropped. Returns the content of the slot.
    pub(super) fn close(&self, index: usize) -> Option<Slot<T>> {
        #[cfg(test)]
        super::tests::count_access();
        self.slots.borrow_mut().close(index)
    }

    fn end(&self, reporter: usize, is_ok: bool) {
        #[cfg(test)]
        super::tests::count_access();
        let Some(task) = self.running.borrow_mut().try_remove(reporter) else { return };
        if self.source.is_some() {
            task.raw().with_scheduler(|scheduler| scheduler.forget_quorum(task.raw().id.get()));
        }
        let failed = task.clone();
        // If the item was dropped, the value is dropped at the end of this function, when nothing is borrowed: its destructor is
        // user code.
        let (waiter, _unused) = self.slots.borrow_mut().end(task);
        match waiter {
            Some(waiter) if is_ok => waiter.settle(),
            Some(waiter) => waiter.fail(),
            None => {}
        }
        if !is_ok && let Some(source) = &self.source {
            self.end_source(source, failed);
        }
    }

    /// Called when a reporter has failed or was cancelled. The other reporters are cancelled, too, so nothing more is started. When
    /// the last reporter has ended, the remaining items fail.
    fn end_source(&self, source: &Source<T>, failed: Task<T>) {
        let unused = source.close_all();
        self.failed.borrow_mut().get_or_insert(failed);
        while self.running.borrow().is_empty() {
            let waiter = self.slots.borrow_mut().take_waiter();
            let Some(waiter) = waiter else { break };
            waiter.fail();
        }
        // The destructors of the iterator and of its coroutines are user code. If a panic already unwinds through the reporter, a
        // second panic would abort the process.
        if std::thread::panicking() { contain(|| drop(unused)) } else { drop(unused) }
    }

    /// True if no coroutine is left that could give this item its output.
    pub(super) fn is_never_started(&self, index: usize) -> bool {
        self.failed.borrow().is_some() && self.running.borrow().is_empty() && index >= self.slots.borrow().ended()
    }

    pub(super) fn failure(&self, index: usize) -> Option<Error> {
        if self.is_never_started(index) {
            return self.failed.borrow().as_ref().and_then(|failed| failed.raw().error());
        }
        self.slots.borrow().ended_task(index).and_then(|task| task.raw().error())
    }
}

impl<T> Quorum for Completion<T> {
    fn running(&self) -> Vec<TaskRef> {
        self.running.borrow().iter().map(|(_, task)| task.raw().clone()).collect()
    }

    fn waiting(&self) -> Vec<(TaskRef, usize)> {
        let slots = self.slots.borrow();
        let ended = slots.ended();
        // With a limit, each reporter that ends starts the next one. So the end of one running task may be enough for any item to
        // get its output.
        let needed = |index| if self.source.is_some() { 1 } else { index + 1 - ended };
        slots.waiting().map(|(index, waiter)| (waiter.task().clone(), needed(index))).collect()
    }
}
