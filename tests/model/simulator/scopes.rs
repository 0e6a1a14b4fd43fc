//! The tree of scopes, and how scopes end.

use super::Simulator;
use super::state::{Scope, ScopeId, ScopeKind, TaskId, Waiter};

impl Simulator<'_> {
    pub(super) fn add_scope(&mut self, kind: ScopeKind, parent: Option<ScopeId>, owner: Option<Waiter>) -> ScopeId {
        let cancelled = parent.and_then(|parent| self.scopes[parent].cancelled.clone());
        self.scopes.push(Scope::new(kind, parent, owner));
        let scope = self.scopes.len() - 1;
        // A shield may begin while the scope around it is being cancelled.
        self.scopes[scope].cancelled = cancelled.filter(|_| kind != ScopeKind::Shield);
        scope
    }

    pub(super) fn is_domain(&self, scope: ScopeId) -> bool {
        matches!(self.scopes[scope].kind, ScopeKind::Domain(_))
    }

    /// Whether `scope` ends when all tasks in it have ended, and not with its first task.
    pub(super) fn is_whole(&self, scope: ScopeId) -> bool {
        self.is_domain(scope) || matches!(self.scopes[scope].kind, ScopeKind::Abortable | ScopeKind::Guarded)
    }

    /// The tasks of `scope` that have not ended.
    pub(super) fn tasks_in(&self, scope: ScopeId) -> Vec<TaskId> {
        (0..self.tasks.len()).filter(|&task| self.tasks[task].scope == scope && !self.tasks[task].has_ended).collect()
    }

    pub(super) fn scopes_in(&self, scope: ScopeId) -> Vec<ScopeId> {
        let is_in = |other: &ScopeId| self.scopes[*other].parent == Some(scope) && !self.scopes[*other].has_ended;
        (0..self.scopes.len()).filter(is_in).collect()
    }

    /// Where shared coroutines run that start in `scope`: in the nearest domain, or in a shield that is nearer.
    pub(super) fn scope_for_shared(&self, scope: ScopeId) -> ScopeId {
        match self.scopes[scope].parent {
            Some(parent) if !self.is_domain(scope) && self.scopes[scope].kind != ScopeKind::Shield => {
                self.scope_for_shared(parent)
            }
            _ => scope,
        }
    }

    /// Moves the shared coroutines that run in this shield to where they would run without it. Returns their scopes.
    pub(super) fn move_shared_out(&mut self, shield: ScopeId) -> Vec<ScopeId> {
        let home = self.scope_for_shared(self.scopes[shield].parent.expect("a shield is in another scope"));
        let mut shared = self.scopes_in(shield);
        shared.retain(|&below| self.scopes[below].kind == ScopeKind::Shared);
        for &below in &shared {
            self.scopes[below].parent = Some(home);
        }
        shared
    }

    /// Whether `scope` ends only after `other`: because `other` is inside of `scope`, or because something inside of
    /// `scope` waits for `other`.
    pub(super) fn ends_after(&self, scope: ScopeId, other: ScopeId) -> bool {
        let mut seen = Vec::new();
        let mut next = vec![other];
        while let Some(inner) = next.pop() {
            if inner == scope {
                return true;
            }
            if !seen.contains(&inner) {
                seen.push(inner);
                next.extend(self.scopes[inner].parent);
                next.extend(self.scopes[inner].placeholders.iter().filter_map(|&held| self.scopes[held].parent));
            }
        }
        false
    }

    /// The domain that receives an error raised in `scope`: the nearest that is not itself cancelled from outside.
    pub(super) fn responsible_domain(&self, scope: ScopeId) -> ScopeId {
        let Scope { parent, failure, cancelled, .. } = &self.scopes[scope];
        let is_it = self.is_domain(scope) && (failure.is_some() || cancelled.is_none());
        match parent {
            Some(parent) if !is_it => self.responsible_domain(*parent),
            _ => scope,
        }
    }

    /// The nearest domain in which a panic is an error.
    pub(super) fn containing_domain(&self, scope: ScopeId) -> Option<ScopeId> {
        if self.scopes[scope].contains_panics {
            Some(scope)
        } else {
            self.containing_domain(self.scopes[scope].parent?)
        }
    }

    /// The nearest domain: `scope` or one above.
    pub(super) fn domain(&self, scope: ScopeId) -> ScopeId {
        match self.scopes[scope].parent {
            Some(parent) if !self.is_domain(scope) => self.domain(parent),
            _ => scope,
        }
    }

    /// The first task of `scope` has completed: its background tasks continue in the parent.
    pub(super) fn end_root(&mut self, scope: ScopeId) {
        if self.is_whole(scope) || self.scopes[scope].has_ended || self.scopes[scope].cancelled.is_some() {
            return;
        }
        let parent = self.scopes[scope].parent.expect("the root is a domain");
        let (tasks, scopes) = (self.tasks_in(scope), self.scopes_in(scope));
        for &task in &tasks {
            self.tasks[task].is_root = false;
            self.tasks[task].scope = parent;
        }
        for &below in &scopes {
            let is_shared = self.scopes[below].kind == ScopeKind::Shared;
            self.scopes[below].parent = Some(if is_shared { self.scope_for_shared(parent) } else { parent });
        }
        self.end_scope(scope, true);
        // Until now, a shield protected this scope.
        if let Some(why) = self.scopes[parent].cancelled.clone() {
            self.cancel_content(tasks, scopes, &why);
        }
        // A parent without an owner may have waited only for this scope.
        self.end_empty_scopes(parent);
    }

    /// Ends `scope` if it is empty, then its parent if the parent is empty, and so on.
    pub(super) fn end_empty_scopes(&mut self, scope: ScopeId) {
        if self.scopes[scope].has_ended || !self.tasks_in(scope).is_empty() || !self.scopes_in(scope).is_empty() {
            return;
        }
        self.end_scope(scope, false);
        if let Some(parent) = self.scopes[scope].parent {
            self.end_empty_scopes(parent);
        }
    }

    /// Ends `scope`, and settles its owner, unless the owner waits for the other runners of a race.
    fn end_scope(&mut self, scope: ScopeId, completed: bool) {
        self.scopes[scope].has_ended = true;
        for placeholder in std::mem::take(&mut self.scopes[scope].placeholders) {
            self.end_empty_scopes(placeholder);
        }
        let owner = self.scopes[scope].owner;
        if owner.is_none() {
            self.report_untaken(scope);
        }
        if self.scopes[scope].race.is_some() {
            let race: Vec<_> =
                (0..self.scopes.len()).filter(|&other| self.scopes[other].race == self.scopes[scope].race).collect();
            if completed && race.iter().all(|&other| !self.scopes[other].has_won) {
                self.scopes[scope].has_won = true;
                for &loser in race.iter().rev() {
                    if !self.scopes[loser].has_ended {
                        self.cancel(loser, "raced");
                    }
                }
            }
            if race.iter().any(|&other| !self.scopes[other].has_ended) {
                return;
            }
        }
        if let Some(owner) = owner {
            self.settle(owner);
        }
    }
}
