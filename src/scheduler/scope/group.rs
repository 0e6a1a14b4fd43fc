//! Groups: the scopes of a race, of which one wins. It relies on [`Scope`].

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::{Scope, ScopeKind};
use crate::iterations;
use crate::scheduler::task::TaskRef;
use crate::scheduler::wait::Waiter;

/// The scopes of a race. The first that completes wins, and the others are cancelled.
#[derive(Default)]
pub(crate) struct Group {
    scopes: RefCell<Vec<Rc<Scope>>>,
    running: Cell<usize>,
    winner: Cell<Option<usize>>,
    owner: RefCell<Option<Waiter>>,
}

impl Group {
    /// Makes `count` scopes below the scope of `owner`. The owner waits until each of them has ended or is open.
    pub(crate) fn below(owner: &TaskRef, count: usize) -> Option<Rc<Group>> {
        let parent = owner.scope()?;
        let group = Rc::new(Group::default());
        for _ in 0..count {
            let scope = Scope::inside(parent.clone(), ScopeKind::Subtree, None);
            scope.set_group(group.clone());
            group.scopes.borrow_mut().push(scope);
        }
        group.running.set(count);
        *group.owner.borrow_mut() = Some(Waiter::new(owner));
        Some(group)
    }

    /// The task that waits for the race.
    pub(in crate::scheduler) fn owner(&self) -> Option<TaskRef> {
        self.owner.borrow().as_ref().map(|owner| owner.task().clone())
    }

    pub(crate) fn scopes(&self) -> Vec<Rc<Scope>> {
        self.scopes.borrow().clone()
    }

    /// The index of the winner, once all scopes have ended.
    pub(crate) fn winner(&self) -> Option<usize> {
        self.winner.get().filter(|_| self.running.get() == 0)
    }

    /// Records the end of `scope`. Returns the losers if it wins, last started first, and the owner if it was the last to end.
    pub(in crate::scheduler) fn record_end(
        &self,
        scope: &Rc<Scope>,
        completed: bool,
    ) -> (Vec<Rc<Scope>>, Option<Waiter>) {
        self.running.set(self.running.get() - 1);
        let mut losers = Vec::new();
        if completed && self.winner.get().is_none() {
            losers = self.scopes.take();
            self.winner.set(losers.iter().position(|other| Rc::ptr_eq(other, scope)));
            losers.retain(|other| {
                iterations::count();
                !other.is_over()
            });
            losers.reverse();
        }
        let owner = if self.running.get() == 0 { self.owner.take() } else { None };
        scope.note_change();
        (losers, owner)
    }

    /// Notes that the owner gives up. Returns the scopes that still run.
    pub(crate) fn disown(&self) -> Vec<Rc<Scope>> {
        self.scopes.borrow().iter().for_each(|scope| scope.note_change());
        let owner = self.owner.take();
        if let Some(owner) = owner {
            owner.give_up();
        }
        self.scopes.take().into_iter().filter(|scope| !scope.is_over()).collect()
    }
}
