//! Cancellation: which tasks see it, and in which order.
//!
//! The tasks of a cancelled scope and of those below see it last started first, before any other task has a turn. A
//! task behind a shield sees nothing until the shield ends. A task at a shield outlives its cancellation. It holds the
//! tasks that started it or wait for it: they see their cancellation when it has ended.

use super::Simulator;
use super::state::{ScopeId, ScopeKind, TaskId};

impl Simulator<'_> {
    /// Cancels all tasks in `scope` and below, down to any shield, last started first. Tasks and scopes that are already cancelled are not
    /// visited again.
    pub(super) fn cancel(&mut self, scope: ScopeId, why: &str) {
        if self.scopes[scope].cancelled.is_none() {
            self.scopes[scope].cancelled = Some(why.to_string());
            self.cancel_content(self.tasks_in(scope), self.scopes_in(scope), why);
        }
    }

    /// Calls the oldest abort handle that was not called yet.
    pub(super) fn abort(&mut self) {
        let Some(&scope) = self.abortables.get(self.aborted) else { return };
        self.aborted += 1;
        if let Some(scope) = scope.filter(|&scope| !self.scopes[scope].has_ended) {
            self.scopes[scope].has_expired |= self.scopes[scope].cancelled.is_none();
            self.cancel(scope, "aborted");
        }
    }

    /// Cancels the content of a cancelled scope: `tasks`, and all tasks in `scopes` and below, down to any shield.
    pub(super) fn cancel_content(&mut self, mut tasks: Vec<TaskId>, mut scopes: Vec<ScopeId>, why: &str) {
        let mut shielded = Vec::new();
        while let Some(scope) = scopes.pop() {
            if self.scopes[scope].kind == ScopeKind::Shield {
                shielded.extend(self.tasks_in(scope));
            } else if self.scopes[scope].cancelled.is_none() {
                self.scopes[scope].cancelled = Some(why.to_string());
                tasks.extend(self.tasks_in(scope));
                scopes.extend(self.scopes_in(scope));
            }
        }
        for task in shielded {
            self.hold_waiters(task);
        }
        tasks.retain(|&task| !self.tasks[task].is_cancelled);
        tasks.sort();
        for &task in tasks.iter().rev() {
            self.tasks[task].is_cancelled = true;
            self.cancelling.push_back(task);
        }
    }

    /// Something in `scope` failed. The shields between `scope` and `domain` do not protect from a failure inside of
    /// them.
    pub(super) fn cancel_shields(&mut self, scope: ScopeId, domain: ScopeId, why: &str) {
        if scope != domain {
            if self.scopes[scope].kind == ScopeKind::Shield {
                self.cancel(scope, why);
            }
            self.cancel_shields(self.scopes[scope].parent.expect("the domain is above"), domain, why);
        }
    }

    /// Lets `task` see its cancellation.
    pub(super) fn cancelling_turn(&mut self, task: TaskId) {
        if self.tasks[task].has_ended {
            return;
        }
        if !self.tasks[task].has_begun {
            let why = self.scopes[self.tasks[task].scope].cancelled.clone().expect("its scope was cancelled");
            let cancelled = self.cancellation(&why);
            self.drop_emitter(task);
            return self.end(task, Some(cancelled));
        }
        if self.tasks[task].wait.as_ref().is_some_and(|wait| wait.is_shield) {
            // It sees its cancellation at its next wait.
        } else if self.is_held(task) {
            self.tasks[task].is_deferred = true;
        } else {
            self.turn(task);
        }
        if !self.tasks[task].has_ended {
            self.hold_waiters(task);
        }
    }

    /// Whether another task puts off its cancellation.
    pub(super) fn is_held(&self, task: TaskId) -> bool {
        self.tasks.iter().any(|other| other.holds.as_ref().is_some_and(|held| held.contains(&task)))
    }

    /// `task` has outlived its cancellation. Puts off the cancellation of the tasks that wait for it or for a scope around it. A task that
    /// started later has already had its turn.
    fn hold_waiters(&mut self, task: TaskId) {
        if self.tasks[task].holds.is_some() {
            return;
        }
        let mut held = self.waiting_tasks(task);
        let mut scope = Some(self.tasks[task].scope);
        while let Some(inner) = scope {
            held.extend(self.scopes[inner].owner.map(|owner| owner.0));
            scope = self.scopes[inner].parent;
        }
        held.retain(|&other| other < task && !self.tasks[other].has_ended);
        if !held.is_empty() {
            self.tasks[task].holds = Some(held);
        }
    }
}
