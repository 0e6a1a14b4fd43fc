//! How a task ends: with a value, an error or a panic, and what that means for its waiters, its scope and its domain.

use super::state::{Failure, Scope, ScopeId, ScopeKind, Task, TaskId};
use super::{ROOT, Simulator};
use crate::model::program::Grouping;

/// The reasons for which a task may be cancelled and still answer with a value.
const MAY_COMPLETE: [&str; 3] = ["timed out", "raced", "aborted"];

impl Simulator<'_> {
    pub(super) fn complete(&mut self, task: TaskId) {
        if !self.is_internal(task) {
            self.tasks[task].output = self.name(task);
        }
        self.drop_body(task, "ends");
        self.end(task, None);
    }

    pub(super) fn fail(&mut self, task: TaskId, how: &str, failure: Failure) {
        self.drop_body(task, how);
        self.end(task, Some(failure));
    }

    pub(super) fn panic(&mut self, task: TaskId) {
        self.drop_body(task, "panics");
        let is_first = !std::mem::replace(&mut self.has_panicked, true);
        let (scope, name) = (self.tasks[task].scope, self.name(task));
        let why = format!("failed {name}");
        if let Some(domain) = self.containing_domain(scope) {
            let failure = self.failure("panic".to_string());
            self.cancel_shields(scope, domain, &why);
            if self.scopes[domain].cancelled.is_none() && self.scopes[domain].failure.is_none() {
                self.scopes[domain].failure = Some(failure.clone());
                self.cancel(domain, &why);
            }
            return self.end(task, Some(failure));
        }
        self.escaped_panic.get_or_insert(if is_first { "panic" } else { "a later panic" });
        self.cancel_shields(scope, ROOT, &why);
        let failure = self.failure(format!("`{name}` panicked"));
        self.stop(failure, &why);
        self.tasks[task].is_cancelled = true;
        let cancelled = self.cancellation(&why);
        self.end(task, Some(cancelled));
    }

    /// Drops the body of `task`: its wait, then its streams, then its permits, and its own end of a stream last.
    pub(super) fn drop_body(&mut self, task: TaskId, how: &str) {
        self.give_up(task);
        for stream in std::mem::take(&mut self.tasks[task].streams) {
            self.drop_holder(stream);
        }
        for semaphore in std::mem::take(&mut self.tasks[task].permits) {
            self.release(semaphore);
        }
        self.log(task, how);
        self.drop_emitter(task);
    }

    pub(super) fn end(&mut self, task: TaskId, raised: Option<Failure>) {
        self.running = None;
        let Task { scope, is_root, .. } = self.tasks[task];
        let completed = raised.is_none();
        self.record_outcome(task, raised);
        self.tasks[task].has_ended = true;
        for waiter in std::mem::take(&mut self.tasks[task].waiters) {
            self.settle(waiter);
        }
        if is_root && completed {
            self.end_root(scope);
        }
        for held in self.tasks[task].holds.take().unwrap_or_default() {
            if self.tasks[held].is_deferred && !self.tasks[held].has_ended && !self.is_held(held) {
                self.tasks[held].is_deferred = false;
                self.cancelling.push_back(held);
            }
        }
        self.end_empty_scopes(scope);
    }

    /// Decides which domain the end of `task` concerns, and keeps the error for its waiters.
    fn record_outcome(&mut self, task: TaskId, raised: Option<Failure>) {
        let Task { scope, is_cancelled, has_seen_cancellation, .. } = self.tasks[task];
        let why = self.scopes[scope].cancelled.clone().filter(|_| is_cancelled);
        let domain = self.responsible_domain(scope);
        let is_internal = self.is_internal(task);
        match (raised, why) {
            (None, Some(why)) if has_seen_cancellation && !MAY_COMPLETE.contains(&why.as_str()) && !is_internal => {
                let answer = self.failure(format!("{} answers", self.name(task)));
                self.add_other(domain, answer);
            }
            (None, _) => {}
            (Some(cancelled), Some(_)) if cancelled.is_cancelled => {
                let failure = self.scopes[domain].failure.clone();
                let has_failed = failure.is_some();
                self.tasks[task].error = Some(failure.unwrap_or_else(|| cancelled.clone()));
                if self.scopes[domain].kind == ScopeKind::Domain(Grouping::Always) && has_failed && !is_internal {
                    self.add_other(domain, cancelled);
                }
            }
            (Some(failure), _) => {
                self.tasks[task].error = Some(failure.clone());
                let why = format!("failed {}", self.blamed(task));
                let own = self.domain(scope);
                // A domain that was given up contains its errors, unless the domain around it is failing too.
                let is_contained = domain != own && self.scopes[domain].failure.is_none();
                self.cancel_shields(scope, if is_contained { own } else { domain }, &why);
                match &self.scopes[domain].failure {
                    None if is_contained => {}
                    None => {
                        self.scopes[domain].failure = Some(failure);
                        self.cancel(domain, &why);
                    }
                    // A task behind a shield is not cancelled, and may raise the error of its wait. The domain already has
                    // that error.
                    Some(known) if failure.is_cancelled || known.id == failure.id => {}
                    Some(_) => self.add_other(domain, failure),
                }
            }
        }
    }

    /// The name of the coroutine that counts as the failed one. This is `task`, or, if `task` is internal, the coroutine for which it
    /// works.
    fn blamed(&self, task: TaskId) -> String {
        if !self.is_internal(task) {
            return self.name(task);
        }
        let Task { scope, is_root, .. } = self.tasks[task];
        let mut waiting = self.waiting_tasks(task);
        let owner = self.scopes[scope].owner.filter(|_| is_root && !self.is_domain(scope));
        waiting.extend(owner.map(|owner| owner.0));
        match waiting[..] {
            [waiting] if self.domain(self.tasks[waiting].scope) == self.domain(scope) => self.blamed(waiting),
            _ => "run".into(),
        }
    }

    /// `domain` has ended, and no task takes its failure. It is among the other errors of the parent, if the parent fails too.
    pub(super) fn report_untaken(&mut self, domain: ScopeId) {
        let (Some(failure), Some(parent)) = (self.scopes[domain].failure.clone(), self.scopes[domain].parent) else {
            return;
        };
        let above = self.responsible_domain(parent);
        if self.scopes[above].failure.is_some() && self.scopes[above].kind == ScopeKind::Domain(Grouping::Always) {
            if self.scopes[above].failure.as_ref().is_none_or(|known| known.id != failure.id) {
                self.add_other(above, failure);
            }
            for other in std::mem::take(&mut self.scopes[domain].others) {
                self.add_other(above, other);
            }
        }
    }

    /// Adds an error that was raised after the first error of `domain`.
    pub(super) fn add_other(&mut self, domain: ScopeId, failure: Failure) {
        let Scope { kind, others, .. } = &mut self.scopes[domain];
        if *kind != ScopeKind::Domain(Grouping::Never) && others.iter().all(|known| known.id != failure.id) {
            others.push(failure);
        }
    }
}
