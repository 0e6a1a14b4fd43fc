//! Cancelling: which tasks are cancelled, and in which order they see their cancellation.
//!
//! To cancel a scope, this marks the scope and all scopes below it, and queues their tasks, the last started first. The turns in
//! which the tasks see their cancellation are in [`turn`](super::turn). Scopes that are marked already are skipped.
//!
//! A task that waits behind a shield outlives its cancellation, and so puts off other cancellations: see
//! [`holds`](super::holds).

use std::rc::Rc;

use super::{Scheduler, Scope, ScopeKind, State, TaskRef, WaiterKey};
use crate::error::{Cancelled, Error, Reason};
use crate::iterations;

impl Scheduler {
    /// Cancels all that is in `scope` and below, except behind shields.
    pub(crate) fn cancel(&self, scope: &Rc<Scope>, reason: &Cancelled) {
        if scope.set_cancelled(reason) {
            self.cancel_all(scope.tasks(), scope.subscopes(), reason);
        }
    }

    /// Cancels `scope` alone, and not with a scope above, unless it is cancelled already.
    pub(crate) fn cancel_by_itself(&self, scope: &Rc<Scope>, reason: &Cancelled) {
        if !scope.is_cancelled() {
            scope.set_cancelled_by_itself();
            self.cancel(scope, reason);
        }
    }

    /// Cancels `scope`, because the wait for it is dropped.
    pub(crate) fn cancel_dropped(&self, scope: &Rc<Scope>) {
        let moved = if scope.is_cancelled() { None } else { scope.move_shared_out() };
        self.cancel(scope, &Cancelled::new(Reason::Dropped));
        // The scope to which they were moved may be cancelled already.
        if let Some((home, shared)) = moved
            && let Some(reason) = home.cancelled()
        {
            self.cancel_all(Vec::new(), shared, &reason);
        }
    }

    /// Cancels the content of a scope: `tasks`, and all that is in `scopes` and below, except behind shields.
    pub(super) fn cancel_all(&self, mut tasks: Vec<TaskRef>, mut scopes: Vec<Rc<Scope>>, reason: &Cancelled) {
        let mut shielded = Vec::new();
        while let Some(scope) = scopes.pop() {
            iterations::count();
            if scope.is_shield() {
                shielded.extend(scope.own_tasks());
            } else if scope.set_cancelled(reason) {
                tasks.extend(scope.tasks());
                scopes.extend(scope.subscopes());
            }
        }
        for task in &shielded {
            self.hold_waiters(task);
        }
        self.cancel_tasks(tasks);
    }

    /// Cancels tasks of cancelled scopes. Skips tasks that are cancelled already.
    pub(super) fn cancel_tasks(&self, mut tasks: Vec<TaskRef>) {
        tasks.retain(|task| {
            iterations::count();
            let is_new = !task.has(State::CANCELLED);
            task.set(State::CANCELLED);
            is_new
        });
        tasks.sort_unstable_by_key(|task| std::cmp::Reverse(task.id.get()));
        self.cancelling.borrow_mut().extend(tasks);
        self.is_cancelling.set(true);
        self.wake_sleeping_host();
    }

    /// Queues `task` to see its cancellation, after all tasks that are queued for this already.
    pub(super) fn cancel_later(&self, task: TaskRef) {
        self.cancelling.borrow_mut().push_back(task);
        self.is_cancelling.set(true);
    }

    /// Cancels the shields between `scope` and `domain`, because something in `scope` failed. Shields keep out only cancellations
    /// that come from outside of them.
    pub(super) fn cancel_shields(&self, scope: &Rc<Scope>, domain: &Rc<Scope>, reason: &Cancelled) {
        for scope in scope.up_to_unless_passed(domain) {
            if scope.is_shield() {
                self.cancel(&scope, reason);
            }
        }
    }

    /// Stops the loop with `error`, unless it is stopping already.
    pub(super) fn stop(&self, error: Error, reason: &Cancelled) {
        let root = self.root();
        if !root.is_over() && root.set_failure(error) {
            self.cancel(&root, reason);
        }
    }

    /// Cancels everything at the request of the caller of the run.
    pub(crate) fn abandon(&self, reason: Reason) {
        let reason = Cancelled::new(reason);
        self.stop(Error::cancelled(reason.clone(), self.location), &reason);
    }

    // Shared coroutines.

    /// Starts a shared coroutine in a scope of its own. The task `waiting` waits for the coroutine, or has spawned it.
    pub(crate) fn start_shared(task: &TaskRef, waiting: &TaskRef) {
        if let Some(scope) = waiting.scope() {
            let own = Scope::inside(scope.scope_for_shared(), ScopeKind::Shared, None);
            Scheduler::start_root(task, &own);
        }
    }

    /// Removes a waiter of a shared coroutine. If it was the last waiter, and the coroutine was not spawned, the coroutine is
    /// cancelled. The scope of the task that waited then ends only after the coroutine.
    pub(crate) fn give_up_shared(task: &TaskRef, key: WaiterKey) {
        let Some(waiter) = task.take_waiter(key) else { return };
        let scope = task.scope().filter(|scope| !scope.is_cancelled());
        if let Some(scope) = scope
            && !task.has(State::ENDED | State::SPAWNED)
            && !task.is_waited_for()
        {
            let own = waiter.task().scope();
            let reason = own.as_ref().and_then(|own| own.cancelled());
            if let Some(own) = own {
                scope.keep_open(own);
            }
            scope.scheduler().cancel(&scope, &reason.unwrap_or_else(|| Cancelled::new(Reason::Dropped)));
        }
        waiter.give_up();
    }
}
