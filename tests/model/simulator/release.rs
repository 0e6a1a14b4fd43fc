//! What others wait for goes on when a timeout or a race gives up.

use super::Simulator;
use super::state::{ScopeId, ScopeKind, TaskId};

impl Simulator<'_> {
    /// `scope` gives up, but what somebody outside waits for goes on above it, with what that waits for.
    pub(super) fn release_what_others_wait_for(&mut self, scope: ScopeId) {
        let parent = self.scopes[scope].parent.expect("the root has no limit");
        if self.scopes[scope].cancelled.is_some() || self.scopes[parent].cancelled.is_some() {
            return;
        }
        let race = self.scopes[scope].race;
        let together = |simulator: &Self, other: ScopeId| {
            other == scope
                || (race.is_some() && simulator.scopes[other].race == race && !simulator.scopes[other].has_ended)
        };
        let is_inside = |simulator: &Self, task: TaskId| {
            let mut scope = Some(simulator.tasks[task].scope);
            while let Some(inner) = scope {
                if together(simulator, inner) {
                    return true;
                }
                scope = simulator.scopes[inner].parent;
            }
            false
        };
        // A domain keeps what is its own, a shield what is behind it, and one that had given up before what is left in it.
        let mut scopes = vec![scope];
        let mut index = 0;
        while let Some(&inner) = scopes.get(index) {
            let gives_up = |below: &ScopeId| {
                let below = &self.scopes[*below];
                matches!(below.kind, ScopeKind::Timeout | ScopeKind::Runner) && below.cancelled.is_none()
            };
            scopes.extend(self.scopes_in(inner).into_iter().filter(gives_up));
            index += 1;
        }
        let mut own: Vec<_> = scopes.iter().flat_map(|&scope| self.tasks_in(scope)).collect();
        own.sort();
        let mut wanted = own.clone();
        wanted.retain(|&task| self.waiting_tasks(task).iter().any(|&by| !is_inside(self, by)));
        let Some(&first) = wanted.iter().min() else { return };
        // They go on, with those that they wait for, and with the scopes that they wait for and all that is in these.
        let mut kept: Vec<TaskId> = Vec::new();
        let mut kept_scopes: Vec<ScopeId> = Vec::new();
        let mut background = own.clone();
        background.retain(|&task| task > first && self.waiting_tasks(task).is_empty() && !self.tasks[task].is_root);
        while !wanted.is_empty() {
            while let Some(task) = wanted.pop() {
                if kept.contains(&task) {
                    continue;
                }
                kept.push(task);
                wanted.extend(own.iter().filter(|&&other| self.waiting_tasks(other).contains(&task)));
                let is_owned = |&below: &ScopeId| self.scopes[below].owner.is_some_and(|owner| owner.0 == task);
                let owned: Vec<_> = scopes.iter().flat_map(|&scope| self.scopes_in(scope)).filter(is_owned).collect();
                for below in owned {
                    kept_scopes.push(below);
                    let is_in = |&task: &TaskId| self.is_below(self.tasks[task].scope, below);
                    wanted.extend((0..self.tasks.len()).filter(is_in).filter(|&task| !self.tasks[task].has_ended));
                }
            }
            // Nobody has noted who started what runs in the background: it may be theirs.
            wanted.append(&mut background);
        }
        let is_kept = |scope: ScopeId| kept_scopes.iter().any(|&kept| self.is_below(scope, kept));
        let moved: Vec<_> =
            own.into_iter().filter(|task| kept.contains(task) && !is_kept(self.tasks[*task].scope)).collect();
        let carried: Vec<_> = kept_scopes
            .iter()
            .copied()
            .filter(|&scope| !is_kept(self.scopes[scope].parent.expect("it is below")))
            .collect();
        for scope in carried {
            self.scopes[scope].parent = Some(parent);
        }
        for task in moved {
            self.tasks[task].scope = parent;
        }
    }

    fn is_below(&self, scope: ScopeId, above: ScopeId) -> bool {
        let mut scope = Some(scope);
        while let Some(inner) = scope {
            if inner == above {
                return true;
            }
            scope = self.scopes[inner].parent;
        }
        false
    }
}
