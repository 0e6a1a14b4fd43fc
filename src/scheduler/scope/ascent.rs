//! Walks up the tree of scopes. There are three kinds: walks to the scope to which the tasks of an open scope belong, walks to
//! the scope in which shared coroutines run, and walks that find out whether a scope ends only after another scope.
//!
//! Scopes may be nested thousands deep, and each task may have to walk up. So a long walk leaves [`Shortcuts`] in the scopes
//! that it passed. If one walk may pass a scope, each later walk may pass it, too, because an open scope stays open, and scopes
//! move only up. So a shortcut is valid while its target is in the tree.

use std::collections::BTreeSet;
use std::rc::{Rc, Weak};

use smallvec::SmallVec;

use super::Scope;
use crate::iterations;

/// A walk that passes no more scopes than this leaves no shortcuts.
const SHORT: usize = 8;

/// The results of earlier walks up from a scope. The references are weak, so that no chain of scopes keeps itself alive.
#[derive(Default)]
pub(in crate::scheduler) struct Shortcuts {
    nearest_closed: Weak<Scope>,
    /// The nearest scope above that is a domain, a shield, or the scope of a shared coroutine.
    home: Weak<Scope>,
    /// The domain up to which a failure has cancelled the shields. The weak reference keeps the address of the domain from being
    /// reused.
    shields_cancelled_to: Weak<Scope>,
}

impl Scope {
    /// The scope to which the tasks of this scope belong: this one, or, if it is open, the nearest one above that is not open.
    pub(in crate::scheduler) fn nearest_closed(self: &Rc<Scope>) -> Rc<Scope> {
        self.ascend(Scope::is_open, |shortcuts| &mut shortcuts.nearest_closed)
    }

    /// The scope for shared coroutines that are started in this one: the nearest domain or shield.
    pub(in crate::scheduler) fn scope_for_shared(self: &Rc<Scope>) -> Rc<Scope> {
        let mut home = self.clone();
        loop {
            // A shortcut must not lead past the scope of a shared coroutine, because that scope may move out of a shield.
            home = home.ascend(|scope| !scope.is_home() && !scope.is_shared(), |shortcuts| &mut shortcuts.home);
            match home.parent() {
                Some(parent) if !home.is_home() => home = parent,
                _ => return home,
            }
        }
    }

    fn is_home(&self) -> bool {
        self.is_domain() || self.is_shield()
    }

    /// Goes up from this scope to the first scope for which `passes` is false, or to the root. Once `passes` is true for a
    /// scope, it must stay true for that scope.
    fn ascend(
        self: &Rc<Scope>,
        passes: impl Fn(&Scope) -> bool,
        shortcut: impl Fn(&mut Shortcuts) -> &mut Weak<Scope>,
    ) -> Rc<Scope> {
        let mut passed = SmallVec::<[Rc<Scope>; SHORT]>::new();
        let mut scope = self.clone();
        while passes(&scope) {
            iterations::count();
            let known = scope.shortcuts().and_then(|mut shortcuts| shortcut(&mut shortcuts).upgrade());
            // A scope that is gone has passed its content on to its parent.
            let Some(above) = known.filter(|known| !known.is_gone()).or_else(|| scope.parent()) else { break };
            passed.push(std::mem::replace(&mut scope, above));
        }
        if passed.len() > SHORT {
            for below in passed {
                *shortcut(&mut below.shortcuts_mut()) = Rc::downgrade(&scope);
            }
        }
        scope
    }

    /// The scopes from this one up to `domain`. The list ends before a scope that an earlier long walk to the same domain has
    /// passed.
    pub(in crate::scheduler) fn up_to_unless_passed(
        self: &Rc<Scope>,
        domain: &Rc<Scope>,
    ) -> SmallVec<[Rc<Scope>; SHORT]> {
        let mut passed = SmallVec::<[Rc<Scope>; SHORT]>::new();
        let mut next = Some(self.clone());
        while let Some(scope) = next.filter(|scope| !Rc::ptr_eq(scope, domain)) {
            iterations::count();
            if scope.shortcuts().is_some_and(|known| std::ptr::eq(known.shields_cancelled_to.as_ptr(), &**domain)) {
                break;
            }
            next = scope.parent();
            passed.push(scope);
        }
        if passed.len() > SHORT {
            for below in &passed {
                below.shortcuts_mut().shields_cancelled_to = Rc::downgrade(domain);
            }
        }
        passed
    }

    /// Makes `waiting` end only after this scope, unless this scope ends only after `waiting`.
    pub(in crate::scheduler) fn keep_open(self: &Rc<Scope>, waiting: Rc<Scope>) {
        if !self.waits_for(&waiting) {
            self.add_placeholder_in(waiting);
        }
    }

    /// Whether this scope ends only after `other`: because `other` is inside of it, or because a scope inside of it ends only
    /// after `other`.
    ///
    /// It searches upwards from `other` and downwards from this scope. Either search may be long, so the two take steps
    /// alternately, and the search that ends first gives the answer.
    fn waits_for(self: &Rc<Scope>, other: &Rc<Scope>) -> bool {
        let mut seen = BTreeSet::new();
        let mut above = vec![other.clone()];
        let mut below = Some(vec![self.clone()]);
        while let Some(scope) = above.pop() {
            iterations::count();
            if Rc::ptr_eq(self, &scope) {
                return true;
            }
            if seen.insert(Rc::as_ptr(&scope)) {
                above.extend(scope.parent());
                above.extend(scope.scopes_kept_open());
            }
            let Some(scopes) = &mut below else { continue };
            let Some(scope) = scopes.pop() else { return false };
            iterations::count();
            if Rc::ptr_eq(other, &scope) {
                return true;
            }
            scopes.extend(scope.subscopes());
            // `scope` may be a placeholder. There is no way from a placeholder to the scope that it waits for, so the search
            // downwards ends without an answer.
            if scope.is_empty() && !Rc::ptr_eq(self, &scope) {
                below = None;
            }
        }
        false
    }
}
