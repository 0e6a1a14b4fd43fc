//! Deadlocks: nothing is ready, no timer runs, and nothing outside can help. A cycle of waiting tasks is one under any
//! drive.

use super::state::{Scope, ScopeId, ScopeKind, TaskId};
use super::{ROOT, Simulator};

impl Simulator<'_> {
    /// Nothing can go on: stops the loop, or, if that was tried before, drops what is stuck behind shields.
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
        // What is left waits behind shields, or for a task that does: the latter is cancelled when that one has ended.
        self.add_other(ROOT, failure);
        let free = stuck.into_iter().rev().filter(|&task| !self.tasks[task].is_deferred);
        // Those that clean up afterwards go on when what they wait for has been dropped.
        let (spared, dropped): (Vec<_>, Vec<_>) = free.partition(|&task| self.is_to_clean_up(task));
        for task in if dropped.is_empty() { spared } else { dropped } {
            self.tasks[task].is_cancelled = true;
            self.drop_stuck(task, "is stuck");
        }
    }

    /// Whether `task` waits for the work of a `finally`, or for a scope in which a task does.
    fn is_to_clean_up(&self, task: TaskId) -> bool {
        let is_in_own = |scope: ScopeId| {
            let mut around = Some(scope);
            while let Some(scope) = around {
                if self.scopes[scope].owner.is_some_and(|owner| owner.0 == task) {
                    return true;
                }
                around = self.scopes[scope].parent;
            }
            false
        };
        let is_running = |scope: &ScopeId| {
            let Scope { kind, has_ended, owner, .. } = &self.scopes[*scope];
            *kind == ScopeKind::Guarded && !has_ended && owner.is_some()
        };
        (0..self.scopes.len()).filter(is_running).any(is_in_own)
    }

    /// Whether some tasks wait for each other, and none of them can go on otherwise.
    pub(super) fn is_cyclic(&self) -> bool {
        let waits: Vec<_> = (0..self.tasks.len()).map(|task| self.waits_for(task)).collect();
        // At first, every task that waits for others counts as stuck. Those that can go on are taken out, until none
        // can.
        let mut is_stuck: Vec<bool> = waits.iter().map(|waits| !waits.is_empty()).collect();
        loop {
            let stays_stuck = |task: TaskId| {
                let is_blocked_by = |(on, race): &(TaskId, Option<usize>)| match race {
                    None => is_stuck[*on],
                    // It goes on when any of the runners does.
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
