//! A task in a scope of its own. [`timeout`](crate::timeout), [`isolate`](crate::isolate) and [`shield`](crate::shield) wait
//! for such a task.

use std::rc::Rc;

use super::state::polled_after_completion;
use super::state::private::AnyTask;
use super::yieldable::Wait;
use crate::error::Result;
use crate::scheduler::{Scheduler, Scope, ScopeKind, Task, TaskRef};

/// A task that runs in a scope below the task that waits for it. If this value is dropped before the scope has ended or is
/// open, the scope is cancelled.
pub(crate) struct Scoped<T: 'static> {
    task: Task<T>,
    scope: Option<Rc<Scope>>,
}

impl<T> Scoped<T> {
    #[inline]
    #[track_caller]
    pub(crate) fn new<W: Wait<Output = T>>(wait: W) -> Scoped<T> {
        let AnyTask(task) = wait.into_task();
        Scoped { task, scope: None }
    }

    pub(crate) fn task(&self) -> &TaskRef {
        self.task.raw()
    }

    /// Starts the task in a new scope. `waiting` waits until the scope has ended or is open.
    pub(crate) fn begin(&mut self, waiting: &TaskRef, kind: ScopeKind) {
        if let Some(scope) = Scope::below(waiting, kind) {
            Scheduler::start_root(self.task.raw(), &scope);
            self.scope = Some(scope);
        }
    }

    /// The scope. `None` before the task has started, and after [`take_ended`](Scoped::take_ended).
    pub(crate) fn scope(&self) -> Option<&Rc<Scope>> {
        self.scope.as_ref()
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.scope.as_ref().is_some_and(|scope| scope.is_over())
    }

    /// Whether the task has completed with a value that was not taken yet.
    pub(crate) fn has_output(&self) -> bool {
        self.task.raw().has_value()
    }

    /// Takes the scope. Returns an error if the scope has not ended and is not open.
    pub(crate) fn take_ended(&mut self) -> Result<Rc<Scope>> {
        self.scope.take_if(|scope| scope.is_over()).ok_or_else(polled_after_completion)
    }

    /// Takes the value of the task, or its error.
    pub(crate) fn take_output(&self) -> Result<T> {
        self.task.take_output().unwrap_or_else(|| Err(polled_after_completion()))
    }
}

impl<T> Drop for Scoped<T> {
    #[inline]
    fn drop(&mut self) {
        if let Some(scope) = self.scope.take() {
            scope.end_canceller();
            give_up(&scope);
        }
    }
}

#[inline(never)]
fn give_up(scope: &Rc<Scope>) {
    if scope.disown() {
        scope.scheduler().cancel_dropped(scope);
    }
}
