//! The tree of scopes: which tasks and scopes are in a scope, and how they enter, leave and move.
//!
//! Each task and each scope stores its index in the list that it is in. So it can leave the list in constant time.

use std::rc::Rc;

use super::{Scope, ScopeKind, Stage};
use crate::capacity::{KEPT_CAPACITY, give_memory_back};
use crate::iterations;
use crate::scheduler::task::TaskRef;

// A list may give memory back whenever its length is a multiple of `KEPT_CAPACITY`. With a power of two, this check takes no
// longer than a check for an empty list.
const _: () = assert!(KEPT_CAPACITY.is_power_of_two());

impl Scope {
    /// Adds `task`. The caller stores the scope in the task.
    #[inline(always)]
    pub(in crate::scheduler) fn add_task(&self, task: &TaskRef) {
        let mut tasks = self.tasks.borrow_mut();
        assert!(u32::MAX as usize > tasks.len(), "fewer than 2^32 tasks in one scope");
        task.index.set(tasks.len() as u32);
        tasks.push(task.clone());
    }

    /// Removes `task`, and returns the reference that the scope held.
    #[inline(always)]
    pub(in crate::scheduler) fn remove_task(&self, task: &TaskRef) -> TaskRef {
        let mut tasks = self.tasks.borrow_mut();
        let index = task.index.get();
        let removed = tasks.swap_remove(index as usize);
        if let Some(moved) = tasks.get(index as usize) {
            moved.index.set(index);
        }
        if tasks.len().is_multiple_of(KEPT_CAPACITY) && tasks.capacity() > KEPT_CAPACITY {
            give_memory_back(&mut *tasks);
        }
        debug_assert!(removed.is(task), "a task is at its index in its scope");
        removed
    }

    pub(super) fn adopt(&self, scope: &Rc<Scope>) {
        let mut subscopes = self.subscopes.borrow_mut();
        scope.index.set(subscopes.len());
        subscopes.push(scope.clone());
    }

    /// Removes this scope from its parent, and returns the parent.
    pub(in crate::scheduler) fn leave_parent(&self) -> Option<Rc<Scope>> {
        let parent = self.parent.take()?;
        let mut subscopes = parent.subscopes.borrow_mut();
        subscopes.swap_remove(self.index.get());
        if let Some(moved) = subscopes.get(self.index.get()) {
            moved.index.set(self.index.get());
        }
        if subscopes.len().is_multiple_of(KEPT_CAPACITY) && subscopes.capacity() > KEPT_CAPACITY {
            give_memory_back(&mut *subscopes);
        }
        drop(subscopes);
        Some(parent)
    }

    /// Moves the scopes of shared coroutines out of this shield, to the scope in which they would run without the shield. So
    /// these coroutines continue, because tasks outside of the shield may wait for them. Returns that scope, and the scopes
    /// that moved.
    pub(in crate::scheduler) fn move_shared_out(&self) -> Option<(Rc<Scope>, Vec<Rc<Scope>>)> {
        if !self.is_shield() {
            return None;
        }
        let home = self.parent()?.scope_for_shared();
        let (shared, others) = self.subscopes.take().into_iter().partition::<Vec<_>, _>(|below| below.is_shared());
        for below in others {
            iterations::count();
            self.adopt(&below);
        }
        for below in &shared {
            iterations::count();
            home.adopt(below);
            *below.parent.borrow_mut() = Some(home.clone());
            below.note_change();
        }
        Some((home, shared))
    }

    pub(in crate::scheduler) fn tasks(&self) -> Vec<TaskRef> {
        self.tasks.borrow().clone()
    }

    /// The tasks that belong to this scope: those directly in it, and those in open scopes below.
    pub(in crate::scheduler) fn own_tasks(&self) -> Vec<TaskRef> {
        let mut tasks = self.tasks();
        let mut open: Vec<_> = self.subscopes();
        while let Some(scope) = open.pop() {
            iterations::count();
            if scope.is_open() {
                tasks.extend(scope.tasks());
                open.extend(scope.subscopes());
            }
        }
        tasks
    }

    pub(in crate::scheduler) fn subscopes(&self) -> Vec<Rc<Scope>> {
        self.subscopes.borrow().clone()
    }

    /// This scope and all below.
    pub(in crate::scheduler) fn all_scopes(self: &Rc<Scope>) -> Vec<Rc<Scope>> {
        let mut scopes = vec![self.clone()];
        let mut index = 0;
        while let Some(scope) = scopes.get(index) {
            iterations::count();
            let below = scope.subscopes();
            scopes.extend(below);
            index += 1;
        }
        scopes
    }

    /// All tasks in this scope and below, in the order in which they started.
    pub(in crate::scheduler) fn all_tasks(self: &Rc<Scope>) -> Vec<TaskRef> {
        let mut tasks = Vec::new();
        for scope in self.all_scopes() {
            tasks.extend(scope.tasks.borrow().iter().cloned().inspect(|_| iterations::count()));
        }
        tasks.sort_unstable_by_key(|task| task.id.get());
        tasks
    }

    /// Makes the scope `waiting` end only after this one.
    pub(in crate::scheduler) fn add_placeholder_in(&self, waiting: Rc<Scope>) {
        self.placeholders.borrow_mut().push(Scope::inside(waiting, ScopeKind::Subtree, None));
    }

    /// The scopes that end only after this one, because of its placeholders.
    pub(in crate::scheduler) fn scopes_kept_open(&self) -> Vec<Rc<Scope>> {
        self.placeholders.borrow().iter().filter_map(|placeholder| placeholder.parent()).collect()
    }

    #[inline]
    pub(in crate::scheduler) fn has_placeholders(&self) -> bool {
        !self.placeholders.borrow().is_empty()
    }

    /// Takes out the placeholders, because this scope has ended. The scopes around the placeholders may now end, too.
    pub(in crate::scheduler) fn take_placeholders(&self) -> Vec<Rc<Scope>> {
        self.placeholders.take()
    }

    /// Called when a host starts a task. If everything had ended before, the root is running again.
    pub(in crate::scheduler) fn reopen(&self) {
        self.stage.set(Stage::Running);
    }

    pub(in crate::scheduler) fn set_gone(&self) {
        self.stage.set(Stage::Gone);
    }

    /// Notes that the first task has completed while other tasks are left.
    pub(in crate::scheduler) fn set_open(&self) {
        self.stage.set(Stage::Open);
    }

    /// If this open scope contains only one scope and no task, that scope takes its place. So there are never more nested
    /// scopes than tasks in them.
    pub(in crate::scheduler) fn collapse(&self) {
        if !self.is_open() || self.has_tasks() || self.subscopes.borrow().len() != 1 {
            return;
        }
        let Some(parent) = self.leave_parent() else { return };
        self.set_gone();
        for below in self.subscopes.take() {
            parent.adopt(&below);
            *below.parent.borrow_mut() = Some(parent.clone());
            below.note_change();
        }
    }
}
