//! The owner of a scope, or the race in which the scope runs. Also the timer or the handle that ends together with the scope.
//!
//! It relies on [`Group`] for races, and on [`Waiter`] for the owner.

use std::rc::Rc;

use super::Scope;
use super::group::Group;
use crate::scheduler::TimerKey;
use crate::scheduler::task::TaskRef;
use crate::scheduler::wait::Waiter;

/// A timer or a handle that ends together with a scope. The wait for the scope may last longer than the scope, if the wait is a
/// part of a gather. A timer or a handle that did not end with the scope could hide a deadlock, because the loop would count it
/// as something that can still wake a task.
pub(crate) enum AtEnd {
    CancelTimer(TimerKey),
    Notify(Rc<dyn OnScopeEnd>),
}

/// Code that is not the owner of a scope, and is called when the scope has ended.
pub(crate) trait OnScopeEnd {
    /// Must not run user code.
    fn scope_ended(&self);
}

impl Scope {
    /// The task that waits for this scope, or for the race that it runs in.
    pub(crate) fn owner(&self) -> Option<TaskRef> {
        match &*self.group.borrow() {
            Some(group) => group.owner(),
            None => self.owner.borrow().as_ref().map(|owner| owner.task().clone()),
        }
    }

    /// Sets the timer or the handle that ends together with the scope.
    pub(crate) fn set_at_end(&self, at_end: AtEnd) {
        self.at_end.set(Some(at_end));
    }

    /// Ends the timer or the handle of [`set_at_end`](Scope::set_at_end). This is called when the scope ends, and when the wait
    /// for the scope ends. Only the first call has an effect.
    #[inline]
    pub(crate) fn do_at_end(&self) {
        match self.at_end.take() {
            None => {}
            Some(AtEnd::CancelTimer(timer)) => drop(self.scheduler.cancel_timer(timer)),
            Some(AtEnd::Notify(notified)) => notified.scope_ended(),
        }
    }

    /// Makes `owner` wait until this scope has ended. The scope must not have an owner.
    pub(crate) fn set_owner(&self, owner: Waiter) {
        self.note_change();
        let before = self.owner.replace(Some(owner));
        debug_assert!(before.is_none(), "a scope has one owner");
    }

    pub(in crate::scheduler) fn take_owner(&self) -> Option<Waiter> {
        self.note_change();
        self.owner.take()
    }

    /// Notes that the owner or the parent of this scope changes.
    pub(in crate::scheduler) fn note_change(&self) {
        if self.hold.is_used() {
            self.scheduler.hold_changes.count();
        }
    }

    /// Notes that the owner gives up its wait. Returns whether the scope is still running.
    pub(crate) fn disown(&self) -> bool {
        if let Some(owner) = self.take_owner() {
            owner.give_up();
        }
        if self.is_over() {
            self.report_untaken();
        }
        !self.is_over()
    }

    pub(in crate::scheduler) fn set_group(&self, group: Rc<Group>) {
        *self.group.borrow_mut() = Some(group);
    }

    /// Takes out the race that it runs in. The group refers to its scopes, so this also breaks the cycle of references.
    pub(in crate::scheduler) fn take_group(&self) -> Option<Rc<Group>> {
        self.group.take()
    }

    /// The race that it runs in.
    pub(in crate::scheduler) fn group(&self) -> Option<Rc<Group>> {
        self.group.borrow().clone()
    }
}
