//! Deadlocks: nothing is ready, no timer runs, and nothing outside can help. A cycle of waiting tasks is one under any drive.

use super::state::{Task, TaskId};
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
        for task in stuck.into_iter().rev().filter(|&task| !self.tasks[task].is_deferred).collect::<Vec<_>>() {
            self.tasks[task].is_cancelled = true;
            self.drop_stuck(task, "is stuck");
        }
    }

    /// Whether a task waits, through others, for itself.
    pub(super) fn is_cyclic(&self) -> bool {
        let mut reached: Vec<Vec<TaskId>> = (0..self.tasks.len()).map(|task| self.dependents(task)).collect();
        for _ in 0..self.tasks.len() {
            for task in 0..self.tasks.len() {
                for next in reached[task].clone() {
                    for further in reached[next].clone() {
                        if !reached[task].contains(&further) {
                            reached[task].push(further);
                        }
                    }
                }
            }
        }
        (0..self.tasks.len()).any(|task| reached[task].contains(&task))
    }

    /// The tasks that cannot go on before `task` has ended.
    fn dependents(&self, task: TaskId) -> Vec<TaskId> {
        let Task { scope, is_root, has_ended, .. } = self.tasks[task];
        let mut waiting = self.waiting_tasks(task);
        if !has_ended && (is_root || self.is_domain(scope)) {
            waiting.extend(self.scopes[scope].owner.map(|owner| owner.0));
        }
        waiting
    }

    /// The tasks that wait for `task` itself.
    pub(super) fn waiting_tasks(&self, task: TaskId) -> Vec<TaskId> {
        self.tasks[task].waiters.iter().map(|waiter| waiter.0).collect()
    }
}
