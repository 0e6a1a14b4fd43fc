//! How a task ends, and what follows: its waiters are settled, and its scope and its domain may end.
//!
//! The end of a task is recorded as soon as its body has returned: no user code runs until its scope has recorded the end. The
//! outcome is decided first; then the waiters are settled and the scopes end. Values that may run user code are dropped last.

use std::rc::Rc;

use super::task::Failure;
use super::turn::PanicGuard;
use super::{Scheduler, Scope, State, TaskRef, missing_runtime, wait_graph};
use crate::error::{Cancelled, Error, Grouping, Panic, Reason};
use crate::iterations;
use crate::panic::{Payload, contain, discard};
use crate::trace::Frame;

/// The maximum number of frames in the trace of an error that came up while its domain was stopping. In a deep chain of
/// coroutines, each coroutine may raise an error. Without this limit, the memory for all these traces would be quadratic.
const MAX_FRAMES_OF_OTHERS: usize = 100;

impl Scheduler {
    /// Ends a task that has completed with a value.
    #[inline]
    pub(super) fn end_completed(self: &Rc<Scheduler>, task: TaskRef) {
        if !task.is_plain() {
            return self.end(task, None);
        }
        // This does the same as `end`, without the steps that a plain task never needs.
        let Some(scope) = task.replace_scope(None) else { return };
        let held = scope.remove_task(&task);
        if let Some(waiter) = task.take_first_waiter() {
            waiter.settle_on(self);
        }
        if task.has(State::SCOPE_ROOT) {
            self.end_root(&scope);
        }
        if !scope.has_tasks() && !scope.is_gone() {
            self.end_empty_scopes(scope.clone());
        }
        drop(held);
    }

    /// Ends a task that has completed with a value, or that has raised the error `raised`.
    #[inline(never)]
    pub(super) fn end(self: &Rc<Scheduler>, task: TaskRef, raised: Option<Error>) {
        let Some(scope) = task.scope() else { return };
        let recorded = self.record_outcome(&task, &scope, raised.as_ref());
        let held = scope.remove_task(&task);
        task.replace_scope(None);
        if task.has(State::JOIN_NOTED) {
            self.forget_join(&task);
        }
        if let Some(wake_slot) = task.cold(|cold| cold.wake_slot.take()).flatten() {
            self.remove_wake_slot(&wake_slot);
        }
        let completed = task.has(State::COMPLETED);
        for waiter in task.take_waiters() {
            if completed { waiter.settle() } else { waiter.fail() }
        }
        let on_failure =
            task.cold(|cold| cold.on_failure.take()).flatten().filter(|_| !completed).and_then(|weak| weak.upgrade());
        if let Some(on_failure) = &on_failure {
            on_failure.task_failed();
        }
        let released = Scheduler::take_held(&task);
        if task.has(State::SCOPE_ROOT) && completed {
            self.end_root(&scope);
        }
        // This comes after `end_root`. `end_root` may cancel tasks that were behind a shield until now, and these tasks have to
        // see their cancellation before the held tasks.
        self.release(&released);
        if !scope.has_tasks() && !scope.is_gone() {
            self.end_empty_scopes(scope);
        }
        #[cfg(feature = "tracing")]
        let released = (released, task.take_span());
        // Dropping errors, values and spans runs user code, so it comes last.
        drop((raised, recorded, held, released, on_failure));
    }

    /// Called when a task or a destructor has panicked. Ends the task, and stops the loop, or the domain that contains panics.
    #[inline(never)]
    pub(super) fn end_panicked(self: &Rc<Scheduler>, payload: Payload) {
        self.stop_panicked(payload);
        self.end_turn(true);
    }

    fn stop_panicked(self: &Rc<Scheduler>, payload: Payload) {
        let task = self.panicking.take();
        let payload = missing_runtime::explain(payload, !self.is_simulated());
        if let Some(task) = &task
            && let Some(scope) = task.scope()
            && let Some(domain) = scope.containing_domain()
        {
            return self.end_contained(task, &scope, &domain, payload);
        }
        self.keep_panic(payload);
        let mut waited = Vec::new();
        let (name, location) = match &task {
            // An internal task has no name. So the error names the coroutine that waits for it, or the run.
            Some(task) => {
                let location = task.location.get();
                let trace = wait_graph::trace(task, location, usize::MAX);
                if !self.hides_panic_trace {
                    print_panic_trace(&trace);
                }
                let name = trace.last().map_or("run".into(), |frame| frame.name().to_string());
                waited = trace;
                (name, location)
            }
            None => (String::from("a destructor"), self.location),
        };
        let reason = Cancelled::new(Reason::Failed { name: name.clone(), location });
        if let Some(scope) = task.as_ref().and_then(|task| task.scope()) {
            self.cancel_shields(&scope, &self.root(), &reason);
        }
        self.stop(Error::at(format!("`{name}` panicked").into(), location).traced(waited), &reason);
        if let Some(task) = task {
            task.unset(State::RUNNING);
            contain(|| task.drop_body());
            task.set(State::CANCELLED);
            contain(|| self.end(task, Some(Error::cancelled(reason, location))));
        }
    }

    /// Ends a task that panicked inside of a domain that contains panics: the panic is an error of that domain.
    fn end_contained(self: &Rc<Scheduler>, task: &TaskRef, scope: &Rc<Scope>, domain: &Rc<Scope>, payload: Payload) {
        let location = task.location.get();
        let trace = wait_graph::trace(task, location, usize::MAX);
        let name = trace.last().map_or("run".into(), |frame| frame.name().to_string());
        let error = Error::at(Box::new(Panic::new(&*payload)), location).traced(trace);
        let reason = Cancelled::new(Reason::Failed { name, location });
        self.cancel_shields(scope, domain, &reason);
        if !domain.is_cancelled() && domain.set_failure(error.clone()) {
            self.cancel(domain, &reason);
        }
        task.unset(State::RUNNING);
        contain(|| task.drop_body());
        contain(|| self.end(task.clone(), Some(error)));
        discard(payload);
    }

    /// Drops a coroutine that does not end by itself, and reports this as an error.
    pub(super) fn drop_stuck(self: &Rc<Scheduler>, task: TaskRef, what: &str) {
        let location = task.location.get();
        let (name, file, line) = (task.name(), location.file(), location.line());
        let error = if task.is_internal() {
            Error::cancelled(Cancelled::new(Reason::Dropped), location)
        } else {
            Error::at(format!("coroutine `{name}` {what}, at {file}:{line}; it was dropped").into(), location)
        };
        let guard = PanicGuard::new(self, task);
        guard.task().drop_body();
        self.end(guard.defuse(), Some(error));
    }

    // The outcome.

    /// Records the outcome of `task` in the domain that it concerns, and keeps the error for the waiters of `task`. Returns an
    /// error that the caller has to drop at its end, because dropping it may run user code.
    fn record_outcome(
        self: &Rc<Scheduler>,
        task: &TaskRef,
        scope: &Rc<Scope>,
        raised: Option<&Error>,
    ) -> Option<Error> {
        let cancelled = if task.has(State::CANCELLED) { scope.why_cancelled() } else { None };
        match (raised, cancelled) {
            (None, None) => {}
            (None, Some(reason)) => Scheduler::record_value_after_cancellation(task, scope, reason),
            (Some(error), Some(reason)) if error.comes_of_cancellation() => {
                Scheduler::record_cancellation(task, scope, reason, error);
            }
            (Some(error), _) => return Some(self.record_failure(task, scope, error.clone())),
        }
        None
    }

    /// Records that a cancelled task has ended with a value.
    fn record_value_after_cancellation(task: &TaskRef, scope: &Rc<Scope>, reason: &Cancelled) {
        if reason.may_complete() || task.is_internal() || !task.has_seen_cancellation() {
            return;
        }
        let (name, location) = (task.name(), task.location.get());
        let (file, line) = (location.file(), location.line());
        let message = format!("coroutine `{name}` answered its cancellation at {file}:{line} with a value");
        let error = Error::at(message.into(), location).traced(vec![Frame::new(name, location)]);
        scope.responsible_domain().add_other(error);
    }

    /// Records that a cancelled task has ended with its cancellation.
    fn record_cancellation(task: &TaskRef, scope: &Rc<Scope>, reason: &Cancelled, error: &Error) {
        let domain = scope.responsible_domain();
        let failure = domain.failure();
        let has_failed = failure.is_some();
        let seen_outside =
            failure.map_or_else(|| Failure::Cancelled(reason.clone(), error.location()), Failure::Raised);
        task.set_failure(seen_outside);
        if domain.grouping() == Grouping::Always && has_failed && !task.is_internal() {
            let frame = Frame::new(task.name(), error.location());
            domain.add_other(error.clone().traced(vec![frame]));
        }
    }

    /// Records that a task has failed. Its domain is cancelled, or gets one more error if it has failed already. If the domain
    /// has not failed, but was cancelled from outside, a domain further out is responsible. The error does not make that further
    /// domain fail. If that domain has failed already, the error is one more of its errors. Otherwise it is recorded in no domain.
    fn record_failure(&self, task: &TaskRef, scope: &Rc<Scope>, error: Error) -> Error {
        let domain = scope.responsible_domain();
        let own = scope.domain();
        let is_contained = domain.failure().is_none() && !Rc::ptr_eq(&domain, &own);
        // A task behind a shield is not cancelled, and may raise the error of a task that it waited for: the domain has that error
        // already.
        let is_known = domain.failure().is_some_and(|failure| error.is_cancelled() || failure.is_same_as(&error));
        let is_first = domain.failure().is_none();
        let max_frames = if is_first { usize::MAX } else { MAX_FRAMES_OF_OTHERS };
        let error = if is_known {
            error
        } else {
            let (trace, mut contexts) = wait_graph::trace_with_contexts(task, error.location(), max_frames);
            if error.is_cancelled() {
                // With a context it would no longer be recognized as a cancellation.
                contexts.clear();
            }
            contexts.into_iter().fold(error, Error::with_context).traced(trace)
        };
        task.set_failure(Failure::Raised(error.clone()));
        let name = if task.is_internal() {
            // The error has no frame if it is a cancellation.
            let origin = error.last_frame().cloned();
            let origin = origin.or_else(|| wait_graph::trace(task, error.location(), 1).pop());
            origin.map_or("run".into(), |origin| origin.name().to_string())
        } else {
            task.name().into_owned()
        };
        let reason = Cancelled::new(Reason::Failed { name, location: error.location() });
        self.cancel_shields(scope, if is_contained { &own } else { &domain }, &reason);
        if is_known || is_contained {
        } else if domain.set_failure(error.clone()) {
            self.cancel(&domain, &reason);
        } else {
            domain.add_other(error.clone());
        }
        error
    }

    // The ends of scopes.

    /// Called when the first task of `scope` has completed. Ends or opens the scope, unless the scope ends only when everything
    /// in it has ended.
    fn end_root(&self, scope: &Rc<Scope>) {
        if scope.is_whole() || scope.is_over() || scope.is_cancelled() {
            // The scope ends when everything in it has ended.
            return;
        }
        if !scope.is_empty() {
            return self.open(scope);
        }
        let Some(parent) = scope.leave_parent() else { return };
        scope.set_gone();
        self.settle_owner(scope, true);
        // The parent may be empty now, and then it ends, too. For example, a shared coroutine in the background was the last one
        // in the parent. Or the owner has leaked its wait by `mem::forget`, and has ended before this scope.
        if parent.is_empty() {
            self.end_empty_scopes(parent);
        }
    }

    /// Opens `scope`: its first task has completed, and others are left.
    #[cold]
    #[inline(never)]
    fn open(&self, scope: &Rc<Scope>) {
        let moved = scope.move_shared_out();
        scope.set_open();
        self.note_join_of_owner(scope);
        self.settle_owner(scope, true);
        // Tasks that were behind a shield until now have not seen the cancellation yet.
        if let Some(reason) = scope.parent().and_then(|parent| parent.cancelled()) {
            let mut scopes = vec![scope.clone()];
            scopes.extend(moved.into_iter().flat_map(|(_, shared)| shared));
            self.cancel_all(Vec::new(), scopes, &reason);
        }
        self.end_empty_scopes(scope.clone());
    }

    /// Ends `scope` if it is empty. Then ends its parent if the parent is empty, and so on.
    #[inline(never)]
    fn end_empty_scopes(&self, mut scope: Rc<Scope>) {
        // Dropping the failure of a domain runs user code, so the scopes are dropped when all have ended.
        let mut passed = Vec::new();
        while scope.is_empty() && !scope.is_gone() {
            iterations::count();
            let is_settled = scope.is_over();
            scope.set_gone();
            let parent = scope.leave_parent();
            if scope.failure().is_some()
                && let Some(parent) = &parent
            {
                scope.keep_surroundings(parent);
            }
            if !is_settled {
                self.settle_owner(&scope, false);
            }
            match parent {
                Some(parent) => passed.push(std::mem::replace(&mut scope, parent)),
                None => break,
            }
        }
        scope.collapse();
    }

    /// Called when `scope` has ended or opens. Settles its owner, or records the end in its race.
    fn settle_owner(&self, scope: &Rc<Scope>, completed: bool) {
        scope.end_canceller();
        if scope.has_placeholders() {
            for placeholder in scope.take_placeholders() {
                self.end_empty_scopes(placeholder);
            }
        }
        let Some(group) = scope.take_group() else {
            if let Some(owner) = scope.take_owner() {
                owner.settle_on(self);
            }
            return;
        };
        let (losers, owner) = group.record_end(scope, completed);
        let reason = Cancelled::new(Reason::Raced);
        for loser in losers {
            self.cancel(&loser, &reason);
        }
        if let Some(owner) = owner {
            owner.settle();
        }
    }
}

/// Prints the coroutines that waited for a coroutine that has panicked. The panic hook has already printed the message of the
/// panic. If stderr cannot be written to, nothing is printed.
fn print_panic_trace(trace: &[Frame]) {
    if trace.is_empty() {
        return;
    }
    let lines: String = trace.iter().map(|frame| format!("\n    {frame}")).collect();
    contain(|| eprintln!("  coroutines, outermost first:{lines}"));
}
