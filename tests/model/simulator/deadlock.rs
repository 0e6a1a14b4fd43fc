//! Deadlocks: nothing is ready, no timer runs, and nothing outside can help. A cycle of waiting tasks is a deadlock in every way of driving
//! the loop. There is one exception: if an abort handle can end the cycle, the caller that steps the loop may still use this handle.

use super::state::{Scope, ScopeKind, TaskId};
use super::{ROOT, Simulator};

impl Simulator<'_> {
    /// Nothing can go on. Stops the loop. If the run has failed already, drops the tasks that are stuck behind shields.
    pub(super) fn deadlock(&mut self) {
        let cycle = if self.is_cyclic() { "cycle " } else { "" };
        let stuck: Vec<TaskId> = (0..self.tasks.len()).filter(|&task| !self.tasks[task].has_ended).collect();
        let names: Vec<_> =
            stuck.iter().filter(|&&task| !self.is_internal(task)).map(|&task| self.name(task)).collect();
        let failure = self.failure(format!("deadlock({cycle}{})", names.join(" ")));
        if self.scopes[ROOT].failure.is_none() {
            let blamed = stuck.iter().rfind(|&&task| !self.is_internal(task));
            let blamed = blamed.map_or("run".into(), |&task| self.name(task));
            self.observed.is_blame_open = !cycle.is_empty();
            return self.stop(failure, &format!("failed {blamed}"));
        }
        // Each remaining task waits behind a shield, or for a task behind a shield. In the second case, it is cancelled when that task has
        // ended.
        self.add_other(ROOT, failure);
        let free: Vec<_> = stuck.into_iter().rev().filter(|&task| !self.tasks[task].is_deferred).collect();
        for task in self.without_those_that_clean_up(free) {
            self.tasks[task].is_cancelled = true;
            self.drop_stuck(task, "is stuck");
        }
    }

    /// Leaves out the tasks that wait for the work of a `finally`, and all that wait for those: they go on when that
    /// work has been dropped. If this leaves out all tasks, only those that wait for the work of a `finally` are left
    /// out.
    fn without_those_that_clean_up(&self, stuck: Vec<TaskId>) -> Vec<TaskId> {
        let is_running = |scope: &&Scope| scope.kind == ScopeKind::Guarded && !scope.has_ended;
        let cleaning: Vec<_> =
            self.scopes.iter().filter(is_running).filter_map(|scope| scope.owner).map(|owner| owner.0).collect();
        let mut waiting = cleaning.clone();
        let mut index = 0;
        while let Some(&task) = waiting.get(index) {
            let mut next = self.waiting_tasks(task);
            let mut around = Some(self.tasks[task].scope);
            while let Some(scope) = around {
                next.extend(self.scopes[scope].owner.map(|owner| owner.0));
                around = self.scopes[scope].parent;
            }
            next.retain(|task| !waiting.contains(task));
            waiting.extend(next);
            index += 1;
        }
        let without =
            |spared: &[TaskId]| stuck.iter().copied().filter(|task| !spared.contains(task)).collect::<Vec<_>>();
        let rests = [without(&waiting), without(&cleaning)];
        rests.into_iter().find(|rest| !rest.is_empty()).unwrap_or(stuck)
    }

    /// Whether some tasks wait for each other in a cycle, and none of them can continue.
    fn is_cyclic(&self) -> bool {
        self.is_cyclic_without(|_| false)
    }

    /// As [`is_cyclic`](Simulator::is_cyclic), if nothing aborts a task.
    pub(super) fn is_cyclic_for_good(&self) -> bool {
        self.is_cyclic_without(|task| self.sees_abort(task))
    }

    /// Whether `task` would be cancelled if an abort handle was called that has not been called yet.
    fn sees_abort(&self, task: TaskId) -> bool {
        if self.tasks[task].wait.as_ref().is_some_and(|wait| wait.is_shield) {
            return false;
        }
        let handles = &self.abortables[self.aborted..];
        let mut scope = Some(self.tasks[task].scope);
        while let Some(inner) = scope
            && self.scopes[inner].kind != ScopeKind::Shield
            && self.scopes[inner].cancelled.is_none()
        {
            if handles.contains(&Some(inner)) {
                return true;
            }
            scope = self.scopes[inner].parent;
        }
        false
    }

    /// The tasks for which `is_free` is true can go on, whatever they wait for.
    fn is_cyclic_without(&self, is_free: impl Fn(TaskId) -> bool) -> bool {
        let waits: Vec<_> = (0..self.tasks.len()).map(|task| self.waits_for(task)).collect();
        // At first, every task that waits for others counts as stuck. The tasks that can go on are taken out, until no task can go on.
        let mut is_stuck: Vec<bool> =
            waits.iter().enumerate().map(|(task, waits)| !waits.is_empty() && !is_free(task)).collect();
        loop {
            let stays_stuck = |task: TaskId| {
                let is_blocked_by = |(on, race): &(TaskId, Option<usize>)| match race {
                    None => is_stuck[*on],
                    // It continues when any of the runners does.
                    Some(_) => waits[task].iter().filter(|other| other.1 == *race).all(|(on, _)| is_stuck[*on]),
                };
                is_stuck[task] && waits[task].iter().any(is_blocked_by)
            };
            let still_stuck: Vec<bool> = (0..self.tasks.len()).map(stays_stuck).collect();
            if still_stuck == is_stuck {
                return is_stuck.contains(&true);
            }
            is_stuck = still_stuck;
        }
    }

    /// The tasks that `task` waits for, each with the race of which it is a runner, if `task` waits for that race.
    fn waits_for(&self, task: TaskId) -> Vec<(TaskId, Option<usize>)> {
        let mut waits = Vec::new();
        for (on, other) in self.tasks.iter().enumerate().filter(|(_, other)| !other.has_ended) {
            let Scope { owner, race, .. } = self.scopes[other.scope];
            if other.waiters.iter().any(|waiter| waiter.0 == task) {
                waits.push((on, None));
            }
            let waits_for_scope = other.is_root || self.is_whole(other.scope);
            if waits_for_scope && owner.is_some_and(|owner| owner.0 == task) {
                waits.push((on, race.filter(|_| other.is_root)));
            }
        }
        waits
    }

    /// The tasks that wait for `task` itself.
    pub(super) fn waiting_tasks(&self, task: TaskId) -> Vec<TaskId> {
        self.tasks[task].waiters.iter().map(|waiter| waiter.0).collect()
    }
}
