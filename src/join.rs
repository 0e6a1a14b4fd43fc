//! Waiting for a task to end: the states of the waits for a `Coro`, a `JoinHandle` and a `Shared`.

use std::rc::Rc;

use crate::error::{Error, Result};
use crate::scheduler::{Scheduler, Task, TaskRef, Waiter, WaiterKey};
use crate::waiting::state::private::Sealed;
use crate::waiting::state::{WaitState, polled_after_completion};

/// Starts `task` in the scope of `starter`.
#[inline]
pub(crate) fn start(task: &TaskRef, starter: &TaskRef) {
    if let Some(scope) = starter.scope() {
        Scheduler::start(task, scope);
    }
}

/// Registers `waiting` with a task, and starts the task if it has not started. `None` if the task has ended or belongs to another
/// loop.
fn register(task: &TaskRef, waiting: &TaskRef) -> Option<WaiterKey> {
    if task.is_ended() {
        if task.error().is_some() {
            Waiter::new(waiting).fail();
        }
        return None;
    }
    if !task.is_started() {
        Scheduler::start_shared(task, waiting);
        return Some(task.add_waiter(Waiter::new(waiting)));
    }
    match task.scheduler().zip(waiting.scheduler()) {
        Some((scheduler, other)) if Rc::ptr_eq(&scheduler, &other) => {
            scheduler.note_join(task);
            Some(task.add_waiter(Waiter::new(waiting)))
        }
        _ => {
            Waiter::new(waiting).fail();
            None
        }
    }
}

/// The error of a wait for `task` that has failed. `is_registered` says whether the wait is among the waiters of the task.
fn failure_of(task: &TaskRef, is_registered: bool) -> Option<Error> {
    if !task.is_started() || task.is_ended() || is_registered {
        return task.error();
    }
    Some(Error::msg(format!(
        "coroutine `{}` belongs to another loop, on which it has not finished; wait for it there first, or send its value \
         through a channel",
        task.name()
    )))
}

/// The wait of a `Coro` or a `JoinHandle`. Nothing else can wait for its task, so the task has no other waiter.
#[doc(hidden)]
#[allow(missing_debug_implementations)]
pub struct JoinOwned<T: 'static> {
    task: Task<T>,
}

impl<T> JoinOwned<T> {
    #[inline]
    pub(crate) fn new(task: Task<T>) -> JoinOwned<T> {
        JoinOwned { task }
    }

    #[inline(never)]
    fn begin_started(&self, waiting: &TaskRef) {
        register(self.task.raw(), waiting);
    }
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

    fn carries_value(&self) -> bool {
        true
    }

    fn is_ready(&self) -> bool {
        self.task.raw().is_ended()
    }

    fn has_value(&self) -> bool {
        self.task.raw().has_value()
    }

    fn failure(&self) -> Option<Error> {
        failure_of(self.task.raw(), self.task.raw().has_waiter())
    }

    #[inline]
    fn take(&mut self) -> Result<T> {
        self.task.take_output().unwrap_or_else(|| Err(self.failure().unwrap_or_else(polled_after_completion)))
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

/// The wait for a task that may have many waiters. It clones the value of the task.
#[doc(hidden)]
#[allow(missing_debug_implementations)]
pub struct JoinShared<T: 'static> {
    task: Task<T>,
    clone: fn(&T) -> T,
    key: Option<WaiterKey>,
}

impl<T> JoinShared<T> {
    pub(crate) fn new(task: Task<T>, clone: fn(&T) -> T) -> JoinShared<T> {
        JoinShared { task, clone, key: None }
    }
}

impl<T> Sealed for JoinShared<T> {}

#[allow(private_interfaces)]
impl<T: 'static> WaitState for JoinShared<T> {
    type Output = T;

    fn begin(&mut self, waiting: &TaskRef) {
        self.key = register(self.task.raw(), waiting);
    }

    fn carries_value(&self) -> bool {
        true
    }

    fn is_ready(&self) -> bool {
        self.task.raw().is_ended()
    }

    fn has_value(&self) -> bool {
        self.task.raw().has_value()
    }

    fn failure(&self) -> Option<Error> {
        failure_of(self.task.raw(), self.key.is_some())
    }

    fn take(&mut self) -> Result<T> {
        let output = self.task.clone_output(self.clone);
        output.unwrap_or_else(|| Err(self.failure().unwrap_or_else(polled_after_completion)))
    }
}

impl<T> Drop for JoinShared<T> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            Scheduler::give_up_shared(self.task.raw(), key);
        }
    }
}
