//! The owner of a scope, or the race in which the scope runs. Also the timer or the handle that can cancel the scope.
//!
//! It relies on [`Group`] for races, and on [`Waiter`] for the owner.

use std::rc::Rc;

use super::Scope;
use super::group::Group;
use crate::scheduler::TimerKey;
use crate::scheduler::task::TaskRef;
use crate::scheduler::wait::Waiter;

/// A timer or a handle that can cancel a scope. It ends when the scope is cancelled or ends, because it has no effect after that.
/// Otherwise it could hide a deadlock. The scope may run on after its cancellation. If the wait is a part of a gather, it may last
/// longer than the scope. The loop would count the timer or the handle as something that can still wake a task.
pub(crate) enum Canceller {
    Timer(TimerKey),
    Handle(Rc<dyn CancelHandle>),
}

/// A handle that can cancel a scope.
pub(crate) trait CancelHandle {
    /// Called once: when the scope is cancelled, ends or opens, or when the wait for it ends. It must not run user code.
    fn no_longer_cancels(&self);
}

impl Scope {
    /// The task that waits for this scope, or for the race that it runs in.
    pub(crate) fn owner(&self) -> Option<TaskRef> {
        match &*self.group.borrow() {
            Some(group) => group.owner(),
            None => self.owner.borrow().as_ref().map(|owner| owner.task().clone()),
        }
    }

    /// Sets the timer or the handle that can cancel the scope.
    pub(crate) fn set_canceller(&self, canceller: Canceller) {
        self.canceller.set(Some(canceller));
    }

    /// Ends the timer or the handle of [`set_canceller`](Scope::set_canceller). This is called when the scope is cancelled, when it ends
    /// or opens, and when the wait for it ends. Only the first call has an effect.
    #[inline]
    pub(crate) fn end_canceller(&self) {
        match self.canceller.take() {
            None => {}
            Some(Canceller::Timer(timer)) => drop(self.scheduler.cancel_timer(timer)),
            Some(Canceller::Handle(handle)) => handle.no_longer_cancels(),
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
