//! Holds: cancellations that are put off, so that children end before the tasks that started them.
//!
//! A task that waits behind a shield outlives its cancellation. Until it has ended, it holds the tasks that wait for it: they see
//! their own cancellation after that. It holds those that wait for its handle one by one. The owners of the scopes around it may be
//! thousands, so they are held by their scopes: each scope counts what holds in it and right below it, and its owner is held while
//! that is not zero.

use std::cell::{Cell, RefCell};
use std::mem::{swap, take};
use std::rc::Rc;

use super::{Scheduler, Scope, State, TaskRef};
use crate::work;

/// What holds in a scope, and what is held for that.
#[derive(Default)]
pub(super) struct Holds {
    /// How many tasks in the scope hold, and how many scopes right below it have a count.
    count: Cell<usize>,
    /// The owner of the scope, and those of the scopes whose place it took.
    owners: RefCell<Vec<TaskRef>>,
}

impl Scheduler {
    /// Puts off the cancellation of the tasks that wait for `task`, which outlives its own, until it has ended.
    pub(super) fn hold_waiters(&self, task: &TaskRef) {
        if task.has(State::HOLDS_WAITERS) {
            return;
        }
        let mut waiting = task.waiting_tasks();
        // A task that started later has had its turn. It waits for this one in a cycle, or for a shared coroutine.
        waiting.retain(|other| other.id.get() < task.id.get());
        waiting.iter().for_each(hold);
        task.set(State::HOLDS_WAITERS);
        task.cold_mut(|cold| cold.holds = waiting);
        if let Some(scope) = task.scope() {
            scope.begin_hold();
        }
    }

    /// `task` ends, which is in `scope`. Returns what it has held, to be passed to [`release`](Scheduler::release) and then dropped.
    pub(super) fn take_held(task: &TaskRef, scope: &Rc<Scope>) -> Vec<TaskRef> {
        if !task.has(State::HOLDS_WAITERS) {
            return Vec::new();
        }
        let mut held = task.cold(|cold| take(&mut cold.holds)).unwrap_or_default();
        held.append(&mut scope.end_hold());
        held
    }

    /// Cancels those of `held` that nothing else holds.
    pub(super) fn release(&self, held: &[TaskRef]) {
        for task in held {
            work::count();
            let is_free = task.cold_mut(|cold| {
                cold.held_by -= 1;
                cold.held_by == 0
            });
            if is_free && task.has(State::CANCEL_DEFERRED) && !task.is_ended() {
                task.unset(State::CANCEL_DEFERRED);
                self.cancel_later(task.clone());
            }
        }
    }
}

fn hold(task: &TaskRef) {
    work::count();
    task.cold_mut(|cold| cold.held_by += 1);
}

impl Scope {
    /// One more task in here holds, or a scope right below.
    pub(super) fn begin_hold(self: &Rc<Scope>) {
        let mut next = Some(self.clone());
        while let Some(scope) = next {
            work::count();
            let count = scope.holds.count.get();
            scope.holds.count.set(count + 1);
            if count > 0 {
                return;
            }
            if let Some(owner) = scope.owner().filter(|owner| !owner.is_ended()) {
                hold(&owner);
                scope.holds.owners.borrow_mut().push(owner);
            }
            next = scope.parent();
        }
    }

    /// One task in here holds no longer, or a scope right below. Returns what was held for it, innermost first.
    pub(super) fn end_hold(self: &Rc<Scope>) -> Vec<TaskRef> {
        let mut held = Vec::new();
        let mut next = Some(self.clone());
        while let Some(scope) = next {
            work::count();
            let count = scope.holds.count.get() - 1;
            scope.holds.count.set(count);
            if count > 0 {
                break;
            }
            held.append(&mut scope.holds.owners.borrow_mut());
            next = scope.parent();
        }
        held
    }

    /// Whether something in here, or below, holds.
    pub(super) fn has_holds(&self) -> bool {
        self.holds.count.get() > 0
    }

    /// This scope takes the place of `other`, in which it was alone.
    pub(super) fn take_over_holds(&self, other: &Scope) {
        let (mut own, mut others) = (self.holds.owners.borrow_mut(), other.holds.owners.borrow_mut());
        if own.len() < others.len() {
            // Many scopes may be taken over, one after the other.
            swap(&mut *own, &mut *others);
        }
        own.append(&mut others);
    }
}
