//! Scopes: which tasks are cancelled together. A tree, as data.
//!
//! Each task belongs to one scope. A cancelled scope cancels what is in it and below it, except below a shield. An error goes up
//! to the nearest scope that is a domain. How scopes end is in [`end`](super::end), how they are cancelled in
//! [`cancel`](super::cancel).

use std::cell::{Cell, OnceCell, RefCell, RefMut};
use std::collections::BTreeSet;
use std::rc::Rc;

use super::ascent::Shortcuts;
use super::group::Group;
use super::holds::SharedHold;
use super::seldom::Seldom;
use super::task::TaskRef;
use super::task::state::State;
use super::wait::Waiter;
use super::{Scheduler, TimerKey, new_in_place};
use crate::capacity::{KEPT_CAPACITY, give_memory_back};
use crate::error::{Cancelled, Error, Grouping};
use crate::panic::FirstPanic;
use crate::work;

/// What a scope is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScopeKind {
    /// Errors stop here. It ends when all in it have ended: a run, an `isolate`.
    Domain(Grouping),
    /// A domain in which a panic is an error, too.
    Contained(Grouping),
    /// Errors pass through. It is over when its first task has completed, and what is left belongs to the parent: a `timeout`, a
    /// runner of a `race`.
    Subtree,
    /// A subtree that ends when all in it have ended: an `abortable`, what a `finally` waits for.
    Whole,
    /// A subtree for a shared coroutine, right below a domain or a shield: its first waiter does not decide about it alone.
    Shared,
    /// A subtree that a cancellation from above does not enter.
    Shield,
}

impl ScopeKind {
    fn is_domain(self) -> bool {
        matches!(self, ScopeKind::Domain(_) | ScopeKind::Contained(_))
    }
}

// Whether a list is to give memory back is checked whenever its length is a multiple of this, which takes no longer than to check whether
// it is empty.
const _: () = assert!(KEPT_CAPACITY.is_power_of_two());

/// What else has to end with a scope. The wait for the scope may go on, as a part of a gather, and without this it would look as if
/// a timer or a handle could still do something.
pub(crate) enum AtEnd {
    CancelTimer(TimerKey),
    Notify(Rc<dyn OnScopeEnd>),
}

/// What has to know that a scope has ended, and is not its owner.
pub(crate) trait OnScopeEnd {
    /// No code of a user's may run in here.
    fn scope_ended(&self);
}

/// How far a scope has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    /// Its first task has completed, and its owner goes on. What is left in it belongs to the parent, as if it had moved there. It does
    /// not move, as it would again and again if many such scopes are nested.
    Open,
    /// It is empty, and has left its parent.
    Gone,
}

pub(crate) struct Scope {
    scheduler: Rc<Scheduler>,
    kind: ScopeKind,
    parent: RefCell<Option<Rc<Scope>>>,
    /// The nearest domain above, unless this is a domain. It stays the same when this scope moves.
    domain: Option<Rc<Scope>>,
    tasks: RefCell<Vec<TaskRef>>,
    subscopes: RefCell<Vec<Rc<Scope>>>,
    /// Its index among the subscopes of its parent.
    index: Cell<usize>,
    /// Set when the scope is cancelled.
    cancelled: OnceCell<Cancelled>,
    failure: OnceCell<Error>,
    /// Cached ancestor domain that receives errors once this one is cancelled.
    responsible: RefCell<Option<Rc<Scope>>>,
    seldom: Seldom<SeldomUsed>,
    /// Settled when the scope ends.
    owner: RefCell<Option<Waiter>>,
    group: RefCell<Option<Rc<Group>>>,
    at_end: Cell<Option<AtEnd>>,
    pub(super) hold: SharedHold,
    /// Empty scopes below tasks that gave up on this one. They end when it ends, so that those tasks' scopes wait for that.
    placeholders: RefCell<Vec<Rc<Scope>>>,
    stage: Cell<Stage>,
    /// It was not cancelled with what is around it: its own time was up, or its work was aborted.
    cancelled_by_itself: Cell<bool>,
    /// A handle exists that can abort it.
    is_abortable: Cell<bool>,
}

/// What few scopes have.
#[derive(Default)]
struct SeldomUsed {
    /// The errors that came up after the failure of a domain.
    others: Vec<Error>,
    /// The identities of these errors.
    known: BTreeSet<usize>,
    shortcuts: Shortcuts,
}

impl Scope {
    pub(super) fn root(scheduler: Rc<Scheduler>, grouping: Grouping) -> Rc<Scope> {
        let root = Scope::new(scheduler, ScopeKind::Domain(grouping), None);
        // To make room now costs half as much as to make it for the first task.
        root.tasks.borrow_mut().reserve_exact(4);
        root
    }

    /// A scope below that of `owner`, which waits for the scope to end.
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
        // A shield may be set up while its surroundings are being cancelled.
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
            seldom: Seldom::default(),
            owner: RefCell::default(),
            group: RefCell::default(),
            at_end: Cell::default(),
            hold: SharedHold::default(),
            placeholders: RefCell::default(),
            stage: Cell::new(Stage::Running),
            cancelled_by_itself: Cell::new(false),
            is_abortable: Cell::new(false),
        })
    }

    /// Makes a new scope of a [recycled](Scope::recycle) one. It is not yet among the subscopes of its parent.
    fn renew(&mut self, kind: ScopeKind, parent: &Rc<Scope>) {
        self.kind = kind;
        self.domain = (!kind.is_domain()).then(|| parent.domain());
        self.stage.set(Stage::Running);
    }

    /// Keeps this scope, which has ended, to make the next one of it, if nothing else refers to it.
    pub(crate) fn recycle(mut self: Rc<Scope>) {
        let Some(scope) = Rc::get_mut(&mut self) else { return };
        // Only a domain has a failure, or errors after it.
        let is_plain = scope.kind == ScopeKind::Subtree
            && scope.cancelled.get().is_none()
            && !scope.seldom.is_used()
            && scope.group.get_mut().is_none();
        if is_plain {
            scope.domain = None;
            let scheduler = scope.scheduler.clone();
            scheduler.keep_spare(self);
        }
    }

    // What it is.

    pub(crate) fn scheduler(&self) -> &Rc<Scheduler> {
        &self.scheduler
    }

    pub(super) fn parent(&self) -> Option<Rc<Scope>> {
        self.parent.borrow().clone()
    }

    /// Whether its owner need not wait for it any more.
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

    /// Whether a task is directly in it.
    #[inline]
    pub(super) fn has_tasks(&self) -> bool {
        !self.tasks.borrow().is_empty()
    }

    /// Whether it was cancelled because its own time was up, or its work was aborted, and not with what is around it.
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

    /// Whether a shared coroutine runs in it. What that has left behind when it completed belongs to the parent.
    pub(super) fn is_shared(&self) -> bool {
        self.kind == ScopeKind::Shared && !self.is_open()
    }

    /// What walks up from here have found, if any has left something here.
    pub(super) fn shortcuts(&self) -> Option<RefMut<'_, Shortcuts>> {
        self.seldom.borrow_mut_if_used().map(|seldom| RefMut::map(seldom, |seldom| &mut seldom.shortcuts))
    }

    pub(super) fn shortcuts_mut(&self) -> RefMut<'_, Shortcuts> {
        RefMut::map(self.seldom.borrow_mut(), |seldom| &mut seldom.shortcuts)
    }

    /// Whether it ends only when all in it have ended, and not with its first task.
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
        self.cancelled.get().cloned()
    }

    #[inline]
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.get().is_some()
    }

    /// Marks it as cancelled. False if it was before.
    pub(super) fn set_cancelled(&self, reason: &Cancelled) -> bool {
        let is_new = self.cancelled.set(reason.clone()).is_ok();
        if is_new && self.is_abortable.replace(false) {
            // The host, if it sleeps, is woken for the cancellation.
            self.scheduler.look_at_spared_cycles();
        }
        is_new
    }

    /// Whether its first task is queued.
    pub(super) fn is_root_queued(&self) -> bool {
        self.tasks.borrow().iter().any(|task| task.has(State::SCOPE_ROOT) && task.has(State::QUEUED))
    }

    /// The task that waits for this scope, or for the race that it runs in.
    pub(crate) fn owner(&self) -> Option<TaskRef> {
        match &*self.group.borrow() {
            Some(group) => group.owner(),
            None => self.owner.borrow().as_ref().map(|owner| owner.task().clone()),
        }
    }

    /// Has this end with the scope.
    pub(crate) fn set_at_end(&self, at_end: AtEnd) {
        self.at_end.set(Some(at_end));
    }

    /// Ends what has to end with the scope or with the wait for it, if it has not ended yet.
    #[inline]
    pub(crate) fn do_at_end(&self) {
        match self.at_end.take() {
            None => {}
            Some(AtEnd::CancelTimer(timer)) => drop(self.scheduler.cancel_timer(timer)),
            Some(AtEnd::Notify(notified)) => notified.scope_ended(),
        }
    }

    /// Makes `owner` wait until this scope, which has no owner, has ended.
    pub(crate) fn set_owner(&self, owner: Waiter) {
        self.note_change();
        let before = self.owner.replace(Some(owner));
        debug_assert!(before.is_none(), "a scope has one owner");
    }

    pub(super) fn take_owner(&self) -> Option<Waiter> {
        self.note_change();
        self.owner.take()
    }

    /// Notes that the owner of this scope changes, or its parent.
    pub(super) fn note_change(&self) {
        if self.hold.is_used() {
            self.scheduler.hold_changes.count();
        }
    }

    /// The owner gives up. Returns whether the scope still runs.
    pub(crate) fn disown(&self) -> bool {
        if let Some(owner) = self.take_owner() {
            owner.give_up();
        }
        if self.is_over() {
            self.report_untaken();
        }
        !self.is_over()
    }

    pub(super) fn set_group(&self, group: Rc<Group>) {
        *self.group.borrow_mut() = Some(group);
    }

    /// Takes out the race that it runs in. The group refers to its scopes, so this also breaks the circle.
    pub(super) fn take_group(&self) -> Option<Rc<Group>> {
        self.group.take()
    }

    /// The race that it runs in.
    pub(super) fn group(&self) -> Option<Rc<Group>> {
        self.group.borrow().clone()
    }

    // Errors.

    pub(crate) fn failure(&self) -> Option<Error> {
        self.failure.get().cloned()
    }

    /// Makes `error` the failure. False if there is one already.
    pub(super) fn set_failure(&self, error: Error) -> bool {
        self.failure.set(error).is_ok()
    }

    /// Adds an error that came up after the failure.
    pub(super) fn add_other(&self, error: Error) {
        if self.grouping() == Grouping::Never {
            return;
        }
        let mut seldom = self.seldom.borrow_mut();
        // A task behind a shield is not cancelled, and may raise an error again that another task has raised. An isolate whose owner
        // gave up may do so too, and its error may arrive first.
        if seldom.known.insert(error.identity()) {
            seldom.others.push(error);
        }
    }

    /// Adds errors that came up in here, in a loop on another thread, for example.
    pub(crate) fn add_others(self: &Rc<Scope>, errors: &[Error]) {
        let domain = self.responsible_domain();
        errors.iter().for_each(|error| domain.add_other(error.clone()));
    }

    pub(crate) fn take_others(&self) -> Vec<Error> {
        self.seldom.borrow_mut_if_used().map_or_else(Vec::new, |mut seldom| {
            seldom.known.clear();
            std::mem::take(&mut seldom.others)
        })
    }

    /// The nearest domain: this scope or one above.
    pub(super) fn domain(self: &Rc<Scope>) -> Rc<Scope> {
        self.domain.as_ref().unwrap_or(self).clone()
    }

    /// The nearest domain in which a panic is an error.
    pub(super) fn containing_domain(self: &Rc<Scope>) -> Option<Rc<Scope>> {
        let mut domain = self.domain();
        while !matches!(domain.kind, ScopeKind::Contained(_)) {
            domain = domain.parent()?.domain();
        }
        Some(domain)
    }

    /// The domain that receives an error raised in here: the nearest that is not itself cancelled from outside.
    pub(super) fn responsible_domain(self: &Rc<Scope>) -> Rc<Scope> {
        let mut domain = self.domain();
        let mut passed = Vec::new();
        while domain.failure.get().is_none()
            && domain.cancelled.get().is_some()
            && let Some(above) = domain.next_responsible()
        {
            work::count();
            passed.push(std::mem::replace(&mut domain, above));
        }
        // Domains may be nested thousands deep, and each may look for its responsible domain: the result is cached.
        for passed in passed {
            *passed.responsible.borrow_mut() = Some(domain.clone());
        }
        domain
    }

    /// Stores the domain around this failed domain: a failure that no task takes is reported there.
    pub(super) fn keep_surroundings(&self, parent: &Rc<Scope>) {
        *self.responsible.borrow_mut() = Some(parent.domain());
        if self.owner.borrow().is_none() {
            self.report_untaken();
        }
    }

    /// No task takes the failure of this domain. If the responsible domain above has failed too and keeps all errors, it gets this one.
    pub(crate) fn report_untaken(&self) {
        let above = self.next_responsible().map(|above| above.responsible_domain());
        if let (Some(failure), Some(above)) = (self.failure(), above.filter(|above| above.keeps_all_errors())) {
            // It may be what that domain failed with, raised again there.
            if !above.failure.get().is_some_and(|known| known.is_same_as(&failure)) {
                above.add_other(failure);
            }
            self.take_others().into_iter().for_each(|other| above.add_other(other));
        }
    }

    fn keeps_all_errors(&self) -> bool {
        self.failure.get().is_some() && self.grouping() == Grouping::Always
    }

    fn next_responsible(&self) -> Option<Rc<Scope>> {
        let cached = self.responsible.borrow().clone();
        cached.or_else(|| self.parent().map(|parent| parent.domain()))
    }

    // The tree.

    /// Adds `task`. The caller stores the scope in the task.
    #[inline(always)]
    pub(super) fn add_task(&self, task: &TaskRef) {
        let mut tasks = self.tasks.borrow_mut();
        assert!(u32::MAX as usize > tasks.len(), "fewer than 2^32 tasks in one scope");
        task.index.set(tasks.len() as u32);
        tasks.push(task.clone());
    }

    /// Removes `task`, and returns the reference that the scope held.
    #[inline(always)]
    pub(super) fn remove_task(&self, task: &TaskRef) -> TaskRef {
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

    fn adopt(&self, scope: &Rc<Scope>) {
        let mut subscopes = self.subscopes.borrow_mut();
        scope.index.set(subscopes.len());
        subscopes.push(scope.clone());
    }

    /// Removes it from its parent, which is returned.
    pub(super) fn leave_parent(&self) -> Option<Rc<Scope>> {
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

    /// Moves the shared coroutines that run in this shield to where they would run without it, so that they go on for those who
    /// wait for them outside. Returns that place, and the scopes that moved.
    pub(super) fn move_shared_out(&self) -> Option<(Rc<Scope>, Vec<Rc<Scope>>)> {
        if !self.is_shield() {
            return None;
        }
        let home = self.parent()?.home_of_shared();
        let (shared, others) = self.subscopes.take().into_iter().partition::<Vec<_>, _>(|below| below.is_shared());
        for below in others {
            work::count();
            self.adopt(&below);
        }
        for below in &shared {
            work::count();
            home.adopt(below);
            *below.parent.borrow_mut() = Some(home.clone());
            below.note_change();
        }
        Some((home, shared))
    }

    pub(super) fn tasks(&self) -> Vec<TaskRef> {
        self.tasks.borrow().clone()
    }

    /// The tasks that belong to this scope: those in it, and in open scopes in it.
    pub(super) fn own_tasks(&self) -> Vec<TaskRef> {
        let mut tasks = self.tasks();
        let mut open: Vec<_> = self.subscopes();
        while let Some(scope) = open.pop() {
            work::count();
            if scope.is_open() {
                tasks.extend(scope.tasks());
                open.extend(scope.subscopes());
            }
        }
        tasks
    }

    pub(super) fn subscopes(&self) -> Vec<Rc<Scope>> {
        self.subscopes.borrow().clone()
    }

    /// This scope and all below.
    pub(super) fn all_scopes(self: &Rc<Scope>) -> Vec<Rc<Scope>> {
        let mut scopes = vec![self.clone()];
        let mut index = 0;
        while let Some(scope) = scopes.get(index) {
            work::count();
            let below = scope.subscopes();
            scopes.extend(below);
            index += 1;
        }
        scopes
    }

    /// All tasks in this scope and below, in the order in which they started.
    pub(super) fn all_tasks(self: &Rc<Scope>) -> Vec<TaskRef> {
        let mut tasks = Vec::new();
        for scope in self.all_scopes() {
            tasks.extend(scope.tasks.borrow().iter().cloned().inspect(|_| work::count()));
        }
        tasks.sort_unstable_by_key(|task| task.id.get());
        tasks
    }

    /// Makes the scope `waiting` end only after this one.
    pub(super) fn add_placeholder_in(&self, waiting: Rc<Scope>) {
        self.placeholders.borrow_mut().push(Scope::inside(waiting, ScopeKind::Subtree, None));
    }

    /// The scopes that end only after this one, because of its placeholders.
    pub(super) fn held_open(&self) -> Vec<Rc<Scope>> {
        self.placeholders.borrow().iter().filter_map(|placeholder| placeholder.parent()).collect()
    }

    #[inline]
    pub(super) fn has_placeholders(&self) -> bool {
        !self.placeholders.borrow().is_empty()
    }

    /// The scopes that were to wait for the end of this one.
    pub(super) fn take_placeholders(&self) -> Vec<Rc<Scope>> {
        self.placeholders.take()
    }

    /// The root goes on: its host starts something, after everything had ended.
    pub(super) fn reopen(&self) {
        self.stage.set(Stage::Running);
    }

    pub(super) fn set_gone(&self) {
        self.stage.set(Stage::Gone);
    }

    /// The first task has completed, and others are left.
    pub(super) fn set_open(&self) {
        self.stage.set(Stage::Open);
    }

    /// If all that is left in this open scope is one scope, that takes its place. So no more open scopes are nested than tasks are in
    /// them.
    pub(super) fn collapse(&self) {
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

/// Errors are the user's, and so are their destructors. Each runs, and the first panic goes on.
impl Drop for Scope {
    fn drop(&mut self) {
        if self.failure.get().is_none() && self.seldom.borrow_if_used().is_none_or(|seldom| seldom.others.is_empty()) {
            return;
        }
        let mut panicked = FirstPanic::default();
        for error in self.failure.take().into_iter().chain(self.take_others()) {
            panicked.run(|| drop(error));
        }
        panicked.resume();
    }
}
