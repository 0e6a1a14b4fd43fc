//! Scopes: which tasks are cancelled together. This folder has the data of scopes, which form a tree.
//!
//! Each task belongs to one scope. The cancellation of a scope cancels all tasks in and below the scope, except below a shield.
//! An error goes up to the nearest scope that is a domain. [`end`](super::end) ends scopes, and [`cancel`](super::cancel)
//! cancels them.
//!
//! This file has the kinds of scopes, their state, and the functions that make them. [`tree`] has the place of a scope in the
//! tree, [`errors`] has the errors of a scope, and [`owner`] has the task or the race that waits for it. [`ascent`] walks up
//! the tree, [`group`] has the scopes of a race, and [`hold`] has the cancellations that tasks of a scope put off.

mod ascent;
mod errors;
pub(super) mod group;
pub(super) mod hold;
mod owner;
mod tree;

use std::cell::{Cell, OnceCell, RefCell, RefMut};
use std::collections::BTreeSet;
use std::rc::Rc;

use self::ascent::Shortcuts;
use self::group::Group;
use self::hold::SharedHold;
pub(crate) use self::owner::{CancelHandle, Canceller};
use super::Scheduler;
use super::in_place::new_in_place;
use super::lazy_box::LazyBox;
use super::task::TaskRef;
use super::task::state::State;
use super::wait::Waiter;
use crate::error::{Cancelled, Error, Grouping};

/// The purpose of a scope.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScopeKind {
    /// Errors stop at this scope. It ends when everything in it has ended. Examples: a run, an `isolate`.
    Domain(Grouping),
    /// A domain in which a panic is an error, too.
    Contained(Grouping),
    /// Errors pass through this scope. It is over when its first task has completed. The remaining tasks then belong to the
    /// parent. Examples: a `timeout`, a runner of a `race`.
    Subtree,
    /// A subtree that ends when everything in it has ended. Examples: an `abortable`, the work of a `finally`.
    Whole,
    /// A subtree for a shared coroutine, directly below a domain or a shield. It is not cancelled together with the scope of
    /// the first task that waits for it, because other tasks may wait for it, too.
    Shared,
    /// A subtree that a cancellation from above does not enter.
    Shield,
}

impl ScopeKind {
    fn is_domain(self) -> bool {
        matches!(self, ScopeKind::Domain(_) | ScopeKind::Contained(_))
    }
}

/// Whether a scope is running, open or gone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    /// Its first task has completed, and its owner goes on. The remaining tasks belong to the parent. They are not moved there,
    /// because in nested scopes they would be moved again and again.
    Open,
    /// It is empty, and has left its parent.
    Gone,
}

pub(crate) struct Scope {
    scheduler: Rc<Scheduler>,
    kind: ScopeKind,
    parent: RefCell<Option<Rc<Scope>>>,
    /// The nearest domain above. `None` if this scope is a domain. It stays the same when this scope moves.
    domain: Option<Rc<Scope>>,
    tasks: RefCell<Vec<TaskRef>>,
    subscopes: RefCell<Vec<Rc<Scope>>>,
    /// Its index among the subscopes of its parent.
    index: Cell<usize>,
    /// Set when the scope is cancelled.
    cancelled: OnceCell<Cancelled>,
    failure: OnceCell<Error>,
    /// For a domain: the domain above that receives the errors of this domain after its cancellation. While this domain is in the
    /// tree, this is a cache. When a failed domain has ended, it has no parent any more, and this field refers to the domain that
    /// was around it.
    responsible: RefCell<Option<Rc<Scope>>>,
    cold: LazyBox<Cold>,
    /// Settled when the scope ends or opens.
    owner: RefCell<Option<Waiter>>,
    group: RefCell<Option<Rc<Group>>>,
    /// Empty once the scope is cancelled.
    canceller: Cell<Option<Canceller>>,
    pub(super) hold: SharedHold,
    /// Empty scopes. Each is in the scope of a task that gave up its wait for this scope. They end when this scope ends, so the
    /// scopes of those tasks cannot end earlier than this scope.
    placeholders: RefCell<Vec<Rc<Scope>>>,
    stage: Cell<Stage>,
    /// Whether this scope was cancelled alone, and not with a scope above, because its time was up or its work was aborted.
    cancelled_by_itself: Cell<bool>,
    /// Whether a handle exists that can abort the work of this scope.
    is_abortable: Cell<bool>,
}

/// State that few scopes have.
#[derive(Default)]
struct Cold {
    /// The errors that came up after the failure of a domain.
    others: Vec<Error>,
    /// The identities of these errors.
    known: BTreeSet<usize>,
    shortcuts: Shortcuts,
}

impl Scope {
    pub(super) fn root(scheduler: Rc<Scheduler>, grouping: Grouping) -> Rc<Scope> {
        let root = Scope::new(scheduler, ScopeKind::Domain(grouping), None);
        // Allocating now costs half as much as allocating for the first task.
        root.tasks.borrow_mut().reserve_exact(4);
        root
    }

    /// Makes a scope below the scope of `owner`. The owner waits until the new scope has ended or is open.
    pub(crate) fn below(owner: &TaskRef, kind: ScopeKind) -> Option<Rc<Scope>> {
        Some(Scope::inside(owner.scope()?, kind, Some(Waiter::new(owner))))
    }

    pub(super) fn inside(parent: Rc<Scope>, kind: ScopeKind, owner: Option<Waiter>) -> Rc<Scope> {
        let scope = match parent.scheduler.spare_scope.take() {
            Some(mut spare) => {
                Rc::get_mut(&mut spare).expect("a spare scope has no other reference").renew(kind, &parent);
                spare
            }
            None => Scope::new(parent.scheduler.clone(), kind, Some(&parent)),
        };
        scope.owner.replace(owner);
        parent.adopt(&scope);
        // A shield may begin in a scope that is cancelled.
        if kind != ScopeKind::Shield
            && let Some(reason) = parent.cancelled()
        {
            scope.cancelled.get_or_init(|| reason);
        }
        scope.parent.replace(Some(parent));
        scope
    }

    /// A scope that is not yet among the subscopes of its parent.
    fn new(scheduler: Rc<Scheduler>, kind: ScopeKind, parent: Option<&Rc<Scope>>) -> Rc<Scope> {
        let domain = parent.filter(|_| !kind.is_domain()).map(Scope::domain);
        new_in_place(|| Scope {
            scheduler,
            kind,
            domain,
            parent: RefCell::default(),
            tasks: RefCell::default(),
            subscopes: RefCell::default(),
            index: Cell::new(0),
            cancelled: OnceCell::new(),
            failure: OnceCell::new(),
            responsible: RefCell::default(),
            cold: LazyBox::default(),
            owner: RefCell::default(),
            group: RefCell::default(),
            canceller: Cell::default(),
            hold: SharedHold::default(),
            placeholders: RefCell::default(),
            stage: Cell::new(Stage::Running),
            cancelled_by_itself: Cell::new(false),
            is_abortable: Cell::new(false),
        })
    }

    /// Turns a [recycled](Scope::recycle) scope into a new one. The new scope is not yet among the subscopes of its parent.
    fn renew(&mut self, kind: ScopeKind, parent: &Rc<Scope>) {
        self.kind = kind;
        self.domain = (!kind.is_domain()).then(|| parent.domain());
        self.stage.set(Stage::Running);
    }

    /// Called when this scope has ended. Keeps its memory for the next scope, if nothing else refers to this scope.
    pub(crate) fn recycle(mut self: Rc<Scope>) {
        let Some(scope) = Rc::get_mut(&mut self) else { return };
        // The failure need not be checked, because only a domain has one.
        let is_plain = scope.kind == ScopeKind::Subtree
            && scope.cancelled.get().is_none()
            && !scope.cold.is_used()
            && scope.group.get_mut().is_none();
        if is_plain {
            scope.domain = None;
            let scheduler = scope.scheduler.clone();
            scheduler.keep_spare(self);
        }
    }

    // State.

    pub(crate) fn scheduler(&self) -> &Rc<Scheduler> {
        &self.scheduler
    }

    pub(super) fn parent(&self) -> Option<Rc<Scope>> {
        self.parent.borrow().clone()
    }

    /// Whether the owner of this scope no longer waits for it.
    pub(crate) fn is_over(&self) -> bool {
        self.stage.get() != Stage::Running
    }

    #[inline]
    pub(super) fn is_gone(&self) -> bool {
        self.stage.get() == Stage::Gone
    }

    pub(super) fn is_open(&self) -> bool {
        self.stage.get() == Stage::Open
    }

    /// Whether a task is directly in this scope, and not only in a scope below.
    #[inline]
    pub(super) fn has_tasks(&self) -> bool {
        !self.tasks.borrow().is_empty()
    }

    /// Whether it was cancelled alone, and not with a scope above, because its time was up or its work was aborted.
    pub(crate) fn is_cancelled_by_itself(&self) -> bool {
        self.cancelled_by_itself.get()
    }

    pub(super) fn set_cancelled_by_itself(&self) {
        self.cancelled_by_itself.set(true);
    }

    /// Whether a handle exists that can abort it.
    pub(super) fn is_abortable(&self) -> bool {
        self.is_abortable.get()
    }

    /// Notes whether a handle exists that can abort it.
    pub(crate) fn set_abortable(&self, is_abortable: bool) {
        self.is_abortable.set(is_abortable);
        if !is_abortable && self.scheduler.look_at_spared_cycles() {
            self.scheduler.wake_sleeping_host();
        }
    }

    pub(super) fn is_shield(&self) -> bool {
        self.kind == ScopeKind::Shield && !self.is_open()
    }

    pub(super) fn is_domain(&self) -> bool {
        self.kind.is_domain()
    }

    /// Whether a shared coroutine runs in it. False when the shared coroutine has completed: the remaining tasks belong to the
    /// parent.
    pub(super) fn is_shared(&self) -> bool {
        self.kind == ScopeKind::Shared && !self.is_open()
    }

    /// The shortcuts that walks up from here have left, if there are any.
    pub(super) fn shortcuts(&self) -> Option<RefMut<'_, Shortcuts>> {
        self.cold.borrow_mut_if_used().map(|cold| RefMut::map(cold, |cold| &mut cold.shortcuts))
    }

    pub(super) fn shortcuts_mut(&self) -> RefMut<'_, Shortcuts> {
        RefMut::map(self.cold.borrow_mut(), |cold| &mut cold.shortcuts)
    }

    /// Whether it ends only when everything in it has ended, and not with its first task.
    pub(super) fn is_whole(&self) -> bool {
        self.is_domain() || self.kind == ScopeKind::Whole
    }

    pub(super) fn grouping(&self) -> Grouping {
        match self.kind {
            ScopeKind::Domain(grouping) | ScopeKind::Contained(grouping) => grouping,
            _ => Grouping::Never,
        }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.tasks.borrow().is_empty() && self.subscopes.borrow().is_empty()
    }

    /// Why it was cancelled, if it was.
    pub(crate) fn cancelled(&self) -> Option<Cancelled> {
        self.why_cancelled().cloned()
    }

    /// As [`cancelled`](Scope::cancelled), without the atomic operation of a clone.
    pub(super) fn why_cancelled(&self) -> Option<&Cancelled> {
        self.cancelled.get()
    }

    #[inline]
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.get().is_some()
    }

    /// Marks it as cancelled. Returns false if it was cancelled before.
    pub(super) fn set_cancelled(&self, reason: &Cancelled) -> bool {
        let is_new = self.cancelled.set(reason.clone()).is_ok();
        if is_new {
            self.end_canceller();
            if self.is_abortable.replace(false) {
                // The host need not be woken here, because the cancellation wakes it.
                self.scheduler.look_at_spared_cycles();
            }
        }
        is_new
    }

    /// Whether its first task is queued.
    pub(super) fn is_root_queued(&self) -> bool {
        self.tasks.borrow().iter().any(|task| task.has(State::SCOPE_ROOT) && task.has(State::QUEUED))
    }
}
