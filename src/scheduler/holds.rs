//! Holds: cancellations that are put off, so that children end before the tasks that started them.
//!
//! A task that waits behind a shield outlives its cancellation. Until it has ended, it holds the tasks that wait for it: they
//! see their own cancellation only after its end. It holds each task that waits for its handle. It also holds the owners of the
//! scopes around it. There may be thousands of such scopes, and each of them may contain a task that holds. So tasks that hold
//! the same owners share one [`Hold`].

use std::rc::Rc;

use super::scope::hold::Hold;
use super::{Scheduler, Scope, State, TaskRef};
use crate::iterations;

impl Scheduler {
    /// Called because `task` outlives its cancellation. Until `task` has ended, the cancellation of the tasks that wait for it is
    /// put off.
    pub(super) fn hold_waiters(&self, task: &TaskRef) {
        if task.cold(|cold| cold.holds_any()).unwrap_or(false) {
            return;
        }
        let mut waiting = task.waiting_tasks();
        // A waiting task that started after `task` has seen its cancellation already. There is such a task only in a cycle, or if
        // `task` is a shared coroutine.
        waiting.retain(|other| other.id.get() < task.id.get());
        let owners = task.scope().map(|scope| self.hold_owners(&scope)).filter(|hold| hold.holds_any);
        if waiting.is_empty() && owners.is_none() {
            return;
        }
        waiting.iter().for_each(put_off);
        task.cold_mut(|cold| {
            cold.holds = waiting;
            cold.shared_hold = owners;
        });
    }

    /// The hold of the owners of `scope` and of the scopes around it.
    fn hold_owners(&self, scope: &Rc<Scope>) -> Rc<Hold> {
        let changes = self.hold_changes.0.get();
        let mut scopes = Vec::new();
        let mut next = Some(scope.clone());
        let mut hold = None;
        while let Some(scope) = next {
            iterations::count();
            hold = scope.hold.0.borrow().upgrade().filter(|hold| hold.changes == changes);
            if hold.is_some() {
                break;
            }
            next = scope.parent();
            scopes.push(scope);
        }
        for scope in scopes.iter().rev() {
            let owner = scope.owner().filter(|owner| !owner.is_ended());
            owner.iter().for_each(put_off);
            let holds_any = owner.is_some() || hold.as_ref().is_some_and(|around: &Rc<Hold>| around.holds_any);
            let new = Rc::new(Hold { owner, around: hold, holds_any, changes });
            scope.hold.0.replace(Rc::downgrade(&new));
            hold = Some(new);
        }
        hold.expect("`scope` had a hold, or was given one in the loop")
    }

    /// Takes out the tasks that `task` has held, because it ends. The caller passes them to [`release`](Scheduler::release), and
    /// then drops them.
    pub(super) fn take_held(task: &TaskRef) -> Vec<TaskRef> {
        let taken = task.cold(|cold| (std::mem::take(&mut cold.holds), cold.shared_hold.take()));
        let Some((mut held, mut owners)) = taken else { return Vec::new() };
        while let Some(mut hold) = owners.and_then(Rc::into_inner) {
            iterations::count();
            held.extend(hold.owner.take());
            owners = hold.around.take();
        }
        held
    }

    /// Cancels each task of `held` that no other task holds.
    pub(super) fn release(&self, held: &[TaskRef]) {
        for task in held {
            iterations::count();
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

fn put_off(task: &TaskRef) {
    iterations::count();
    task.cold_mut(|cold| cold.held_by += 1);
}
