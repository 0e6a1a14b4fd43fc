//! Scopes: which tasks belong together when some are cancelled.
//!
//! Every task belongs to one scope; scopes form a tree. Cancelling one cancels what is in it and below, except below a
//! shield. An error goes up to the nearest scope that is a failure domain, and cancels that.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

use super::Scheduler;
use super::State;
use super::task::{TaskRef, Waiter};
use crate::error::{Cancelled, Error, Grouping};

/// What a scope is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScopeKind {
    /// Errors stop here; it ends when all in it have: a run, an `isolate`.
    Domain(Grouping),
    /// Errors pass through; it ends when its first task has, and what is left goes on in the parent: a `timeout`, a runner
    /// of a `race`.
    Subtree,
    /// As a subtree, and cancelling what is above does not reach into it.
    Shield,
}

pub(crate) struct Scope {
    scheduler: Rc<Scheduler>,
    kind: ScopeKind,
    parent: RefCell<Option<Rc<Scope>>>,
    /// The nearest scope above at which errors stop, unless this is one. It stays the same when the parent ends.
    domain: Option<Rc<Scope>>,
    tasks: RefCell<Vec<TaskRef>>,
    subscopes: RefCell<Vec<Rc<Scope>>>,
    /// Its place among the subscopes of its parent.
    index: Cell<usize>,
    /// Why it was cancelled, if it was.
    cancelled: OnceCell<Cancelled>,
    failure: OnceCell<Error>,
    /// The domain that its errors went to when it was found to have nobody to tell: it will not be responsible again.
    responsible: RefCell<Option<Rc<Scope>>>,
    others: RefCell<Vec<Error>>,
    /// Who waits for it to end.
    owner: RefCell<Option<Waiter>>,
    group: RefCell<Option<Rc<Group>>>,
    ended: Cell<bool>,
}

/// Scopes of which the first to end well is the winner, and the others are cancelled.
#[derive(Default)]
pub(crate) struct Group {
    scopes: RefCell<Vec<Rc<Scope>>>,
    running: Cell<usize>,
    winner: Cell<Option<usize>>,
    owner: RefCell<Option<Waiter>>,
}

impl Scope {
    pub(crate) fn root(scheduler: Rc<Scheduler>, grouping: Grouping) -> Rc<Scope> {
        Scope::new(scheduler, ScopeKind::Domain(grouping), None)
    }

    /// A scope below that of `owner`, who waits for it to end.
    pub(crate) fn below(owner: &TaskRef, kind: ScopeKind) -> Option<Rc<Scope>> {
        Scope::inside(owner.scope()?, kind, Some(Waiter::new(owner)))
    }

    fn inside(parent: Rc<Scope>, kind: ScopeKind, owner: Option<Waiter>) -> Option<Rc<Scope>> {
        let scope = match parent.scheduler.spare_scope.take() {
            Some(mut spare) => {
                Rc::get_mut(&mut spare).expect("nobody else has it").renew(kind, &parent);
                spare
            }
            None => Scope::new(parent.scheduler.clone(), kind, Some(&parent)),
        };
        scope.owner.replace(owner);
        parent.adopt(&scope);
        // A shield may be put up while its surroundings are being cancelled.
        if kind != ScopeKind::Shield
            && let Some(why) = parent.cancelled()
        {
            scope.cancelled.get_or_init(|| why);
        }
        scope.parent.replace(Some(parent));
        Some(scope)
    }

    /// The parent is to be told by the caller.
    fn new(scheduler: Rc<Scheduler>, kind: ScopeKind, parent: Option<&Rc<Scope>>) -> Rc<Scope> {
        let domain = parent.filter(|_| !matches!(kind, ScopeKind::Domain(_))).map(Scope::domain);
        Rc::new(Scope {
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
            others: RefCell::default(),
            owner: RefCell::default(),
            group: RefCell::default(),
            ended: Cell::new(false),
        })
    }

    /// Makes a new scope of one that was [recycled](Scope::recycle). The parent is to be told by the caller.
    fn renew(&mut self, kind: ScopeKind, parent: &Rc<Scope>) {
        self.kind = kind;
        self.domain = (!matches!(kind, ScopeKind::Domain(_))).then(|| parent.domain());
        self.ended.set(false);
    }

    /// This scope has ended. If nobody else needs it, and nothing has happened in it, the next one is made of it.
    pub(crate) fn recycle(mut self: Rc<Scope>) {
        let Some(scope) = Rc::get_mut(&mut self) else { return };
        let is_plain = scope.kind == ScopeKind::Subtree
            && scope.cancelled.get().is_none()
            && scope.failure.get().is_none()
            && scope.group.get_mut().is_none();
        if is_plain {
            scope.domain = None;
            let scheduler = scope.scheduler.clone();
            scheduler.keep_spare(self);
        }
    }

    pub(crate) fn scheduler(&self) -> &Rc<Scheduler> {
        &self.scheduler
    }

    pub(crate) fn parent(&self) -> Option<Rc<Scope>> {
        self.parent.borrow().clone()
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.ended.get()
    }

    pub(crate) fn is_shield(&self) -> bool {
        self.kind == ScopeKind::Shield
    }

    pub(crate) fn is_domain(&self) -> bool {
        matches!(self.kind, ScopeKind::Domain(_))
    }

    pub(crate) fn grouping(&self) -> Grouping {
        match self.kind {
            ScopeKind::Domain(grouping) => grouping,
            _ => Grouping::Never,
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.tasks.borrow().is_empty() && self.subscopes.borrow().is_empty()
    }

    pub(crate) fn cancelled(&self) -> Option<Cancelled> {
        self.cancelled.get().cloned()
    }

    #[inline]
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.get().is_some()
    }

    pub(crate) fn failure(&self) -> Option<Error> {
        self.failure.get().cloned()
    }

    /// The first error is the failure; false if there is one already.
    pub(crate) fn set_failure(&self, error: Error) -> bool {
        self.failure.set(error).is_ok()
    }

    pub(crate) fn add_other(&self, error: Error) {
        if self.grouping() == Grouping::Never {
            return;
        }
        let mut others = self.others.borrow_mut();
        // One that waits behind a shield is not cancelled, and raises what it waited for: which has been told.
        let is_told = error.is_raised_again() && others.iter().any(|told| told.is_same_as(&error));
        if !is_told {
            others.push(error);
        }
    }

    pub(crate) fn take_others(&self) -> Vec<Error> {
        self.others.take()
    }

    /// The nearest scope, this or above, at which errors stop.
    pub(crate) fn domain(self: &Rc<Scope>) -> Rc<Scope> {
        self.domain.as_ref().unwrap_or(self).clone()
    }

    /// The domain that an error raised in here is an error of: a domain that is itself being cancelled from outside has
    /// nobody to tell.
    pub(crate) fn responsible_domain(self: &Rc<Scope>) -> Rc<Scope> {
        let mut domain = self.domain();
        let mut passed = Vec::new();
        while domain.failure.get().is_none()
            && domain.cancelled.get().is_some()
            && let Some(above) = domain.above()
        {
            passed.push(std::mem::replace(&mut domain, above));
        }
        // Domains may be nested thousands deep, and are asked one after the other.
        for passed in passed {
            *passed.responsible.borrow_mut() = Some(domain.clone());
        }
        domain
    }

    /// The next domain that may be responsible in place of this one.
    fn above(&self) -> Option<Rc<Scope>> {
        let known = self.responsible.borrow().clone();
        known.or_else(|| self.parent().map(|parent| parent.domain()))
    }

    /// The task that waits for this scope, or for the race that it runs in.
    pub(crate) fn owner(&self) -> Option<TaskRef> {
        match &*self.group.borrow() {
            Some(group) => group.owner.borrow().as_ref().map(|owner| owner.task().clone()),
            None => self.owner.borrow().as_ref().map(|owner| owner.task().clone()),
        }
    }

    /// The task is to be told its scope by the caller.
    #[inline(always)]
    pub(crate) fn add_task(&self, task: &TaskRef) {
        let mut tasks = self.tasks.borrow_mut();
        assert!(u32::MAX as usize > tasks.len(), "fewer than 2^32 tasks in one scope");
        task.index.set(tasks.len() as u32);
        tasks.push(task.clone());
    }

    /// Gives back what it held.
    #[inline(always)]
    pub(crate) fn remove_task(&self, task: &TaskRef) -> TaskRef {
        let mut tasks = self.tasks.borrow_mut();
        let index = task.index.get();
        let removed = tasks.swap_remove(index as usize);
        if let Some(moved) = tasks.get(index as usize) {
            moved.index.set(index);
        }
        if tasks.is_empty() && tasks.capacity() > 1024 {
            *tasks = Vec::new();
        }
        debug_assert!(removed.is(task));
        removed
    }

    fn adopt(self: &Rc<Scope>, scope: &Rc<Scope>) {
        let mut subscopes = self.subscopes.borrow_mut();
        scope.index.set(subscopes.len());
        subscopes.push(scope.clone());
    }

    fn leave_parent(&self) -> Option<Rc<Scope>> {
        let parent = self.parent.take()?;
        let mut subscopes = parent.subscopes.borrow_mut();
        subscopes.swap_remove(self.index.get());
        if let Some(moved) = subscopes.get(self.index.get()) {
            moved.index.set(self.index.get());
        }
        drop(subscopes);
        Some(parent)
    }

    /// This scope gives up, but what somebody outside of it waits for goes on, in the scope above, with what that waits for.
    pub(crate) fn release_what_others_wait_for(self: &Rc<Scope>) {
        let Some(parent) = self.parent().filter(|parent| !self.is_cancelled() && !parent.is_cancelled()) else {
            return;
        };
        let own = self.with_those_that_give_up();
        let places: BTreeSet<_> = own.iter().map(Rc::as_ptr).collect();
        let is_own = |by: &TaskRef| by.scope().is_some_and(|scope| places.contains(&Rc::as_ptr(&scope)));
        let is_only_own = |task: &TaskRef| task.waiting_tasks().iter().all(is_own);
        if own.iter().all(|scope| scope.tasks.borrow().iter().all(is_only_own)) {
            return;
        }
        let mut inside = BTreeSet::new();
        let mut scopes = self.with_its_group(&parent);
        while let Some(scope) = scopes.pop() {
            inside.insert(Rc::as_ptr(&scope));
            scopes.extend(scope.subscopes.borrow().iter().cloned());
        }

        // By the id of a task in here: those that it waits for, and the scopes that it does.
        let mut waits_for = BTreeMap::<u64, Vec<TaskRef>>::new();
        let mut owns = BTreeMap::<u64, Vec<Rc<Scope>>>::new();
        let mut wanted = Vec::new();
        let mut background = Vec::new();
        for task in own.iter().flat_map(|scope| scope.tasks.borrow().clone()) {
            let waiting = task.waiting_tasks();
            if waiting.is_empty() && !task.has(State::SCOPE_ROOT) {
                background.push(task.clone());
            }
            for by in waiting {
                if by.scope().is_none_or(|scope| !inside.contains(&Rc::as_ptr(&scope))) {
                    wanted.push(task.clone());
                } else {
                    waits_for.entry(by.id.get()).or_default().push(task.clone());
                }
            }
        }
        for below in own.iter().flat_map(|scope| scope.subscopes.borrow().clone()) {
            if let Some(owner) = below.owner() {
                owns.entry(owner.id.get()).or_default().push(below);
            }
        }
        let Some(first) = wanted.iter().map(|task| task.id.get()).min() else { return };

        let mut kept = BTreeMap::new();
        let mut kept_scopes = BTreeMap::new();
        loop {
            while let Some(task) = wanted.pop() {
                let id = task.id.get();
                if kept.insert(id, task).is_some() {
                    continue;
                }
                wanted.extend(waits_for.remove(&id).unwrap_or_default());
                for below in owns.remove(&id).unwrap_or_default() {
                    if places.contains(&Rc::as_ptr(&below)) {
                        wanted.extend(below.tasks.borrow().iter().cloned());
                    } else {
                        below.all_tasks(&mut wanted);
                    }
                    kept_scopes.insert(Rc::as_ptr(&below), below);
                }
            }
            // Nobody has noted who started what runs in the background: it may be theirs.
            background.retain(|task| task.id.get() > first);
            wanted.append(&mut background);
            if wanted.is_empty() {
                break;
            }
        }

        let is_kept = |scope: &Rc<Scope>| kept_scopes.contains_key(&Rc::as_ptr(scope));
        for task in kept.into_values() {
            // What is in a scope that is kept goes with it.
            if let Some(scope) = task.scope().filter(|scope| places.contains(&Rc::as_ptr(scope)) && !is_kept(scope)) {
                let held = scope.remove_task(&task);
                parent.add_task(&task);
                drop((held, task.replace_scope(Some(parent.clone()))));
            }
        }
        for scope in kept_scopes.values() {
            if scope.parent().is_some_and(|above| !is_kept(&above)) {
                drop(scope.leave_parent());
                parent.adopt(scope);
                *scope.parent.borrow_mut() = Some(parent.clone());
            }
        }
    }

    /// This, and the timeouts and races in it that had not given up before: a domain keeps what is its own, and what is behind a
    /// shield is not cancelled. What is left in one that had ends there, as it ends when that has.
    fn with_those_that_give_up(self: &Rc<Scope>) -> Vec<Rc<Scope>> {
        let mut scopes = vec![self.clone()];
        let mut next = 0;
        while let Some(scope) = scopes.get(next).cloned() {
            let gives_up = |below: &&Rc<Scope>| below.kind == ScopeKind::Subtree && !below.is_cancelled();
            scopes.extend(scope.subscopes.borrow().iter().filter(gives_up).cloned());
            next += 1;
        }
        scopes
    }

    /// This, and the others of its race that are still running: they give up together.
    fn with_its_group(self: &Rc<Scope>, parent: &Scope) -> Vec<Rc<Scope>> {
        let group = self.group.borrow();
        let Some(group) = &*group else { return vec![self.clone()] };
        let is_of_group =
            |scope: &&Rc<Scope>| scope.group.borrow().as_ref().is_some_and(|other| Rc::ptr_eq(group, other));
        parent.subscopes.borrow().iter().filter(is_of_group).cloned().collect()
    }

    /// Marks this scope and those below it, down to any shield, as cancelled, and gives the tasks in them that were not
    /// before, last started first; and the tasks that wait behind shields, with their owners.
    pub(crate) fn mark_cancelled(self: &Rc<Scope>, why: &Cancelled) -> Marked {
        let mut marked = Marked::default();
        let mut scopes = vec![self.clone()];
        while let Some(scope) = scopes.pop() {
            scope.cancelled.get_or_init(|| why.clone());
            for task in &*scope.tasks.borrow() {
                if !task.has(State::CANCELLED) {
                    task.set(State::CANCELLED);
                    marked.tasks.push(task.clone());
                }
            }
            for below in &*scope.subscopes.borrow() {
                if below.is_shield() {
                    marked.shielded.extend(below.tasks.borrow().iter().cloned());
                } else {
                    scopes.push(below.clone());
                }
            }
        }
        marked.tasks.sort_unstable_by_key(|task| std::cmp::Reverse(task.id.get()));
        marked
    }

    /// Adds all tasks in this scope and below.
    pub(crate) fn all_tasks(&self, tasks: &mut Vec<TaskRef>) {
        tasks.extend(self.tasks.borrow().iter().cloned());
        let mut scopes = self.subscopes.borrow().clone();
        while let Some(scope) = scopes.pop() {
            tasks.extend(scope.tasks.borrow().iter().cloned());
            scopes.extend(scope.subscopes.borrow().iter().cloned());
        }
    }

    /// Whether its first task is about to be resumed.
    pub(crate) fn is_about_to_go_on(&self) -> bool {
        self.tasks.borrow().iter().any(|task| task.has(State::SCOPE_ROOT) && task.has(State::QUEUED))
    }

    /// Its first task has ended well.
    pub(crate) fn root_finished(self: &Rc<Scope>) {
        if self.is_domain() || self.ended.get() || self.cancelled.get().is_some() {
            // It ends when all in it have.
            return;
        }
        let Some(parent) = self.leave_parent() else { return };
        self.ended.set(true);
        if self.is_empty() {
            self.end(true);
            // Its owner, who had forgotten it, may have ended long ago, as the last above.
            return parent.end_if_empty();
        }
        for task in self.tasks.take() {
            // It may have been the root of this scope only.
            task.unset(State::SCOPE_ROOT);
            parent.add_task(&task);
            task.replace_scope(Some(parent.clone()));
        }
        for below in self.subscopes.take() {
            parent.adopt(&below);
            *below.parent.borrow_mut() = Some(parent.clone());
        }
        self.end(true);
        // What was shielded until now has the cancellation still before it.
        if let Some(why) = parent.cancelled() {
            self.scheduler.cancel(&parent, &why);
        }
    }

    /// Ends this scope if nothing is left in it, then the one above ..
    #[inline]
    pub(crate) fn end_if_empty(self: &Rc<Scope>) {
        if self.is_empty() && !self.ended.get() {
            self.end_empty();
        }
    }

    fn end_empty(self: &Rc<Scope>) {
        let mut scope = self.clone();
        // What one failed with is the user's, and so is its destructor: it runs when all have ended.
        let mut passed = Vec::new();
        while scope.is_empty() && !scope.ended.get() {
            scope.ended.set(true);
            let parent = scope.leave_parent();
            scope.end(false);
            match parent {
                Some(parent) => passed.push(std::mem::replace(&mut scope, parent)),
                None => break,
            }
        }
    }

    fn end(self: &Rc<Scope>, well: bool) {
        let group = self.group.take();
        match group {
            Some(group) => group.ended(self, well),
            None => {
                if let Some(owner) = self.owner.take() {
                    owner.settle_on(&self.scheduler);
                }
            }
        }
    }

    /// Nobody waits for it any longer; true if it is still running.
    pub(crate) fn disown(&self) -> bool {
        let owner = self.owner.take();
        if let Some(owner) = owner {
            owner.give_up();
        }
        !self.ended.get()
    }
}

/// Errors are the user's, and so are their destructors. Each runs, whatever the others do; and none panics in the middle of another
/// panic, as the one that goes on out of a run, which would end the process.
impl Drop for Scope {
    fn drop(&mut self) {
        let mut panicked = None;
        for error in self.failure.take().into_iter().chain(self.others.take()) {
            match catch_unwind(AssertUnwindSafe(|| drop(error))) {
                Ok(()) => {}
                Err(payload) if panicked.is_none() && !std::thread::panicking() => panicked = Some(payload),
                Err(payload) => std::mem::forget(payload),
            }
        }
        if let Some(payload) = panicked {
            resume_unwind(payload);
        }
    }
}

/// What [`Scope::mark_cancelled`] found.
#[derive(Default)]
pub(crate) struct Marked {
    pub(crate) tasks: Vec<TaskRef>,
    pub(crate) shielded: Vec<TaskRef>,
}

impl Group {
    /// `count` scopes below that of `owner`, who waits for one of them to end well and for the others to be gone.
    pub(crate) fn below(owner: &TaskRef, count: usize) -> Option<Rc<Group>> {
        let parent = owner.scope()?;
        let group = Rc::new(Group::default());
        for _ in 0..count {
            let scope = Scope::inside(parent.clone(), ScopeKind::Subtree, None)?;
            *scope.group.borrow_mut() = Some(group.clone());
            group.scopes.borrow_mut().push(scope);
        }
        group.running.set(count);
        *group.owner.borrow_mut() = Some(Waiter::new(owner));
        Some(group)
    }

    pub(crate) fn scopes(&self) -> Vec<Rc<Scope>> {
        self.scopes.borrow().clone()
    }

    /// The place of the winner, once all have ended.
    pub(crate) fn winner(&self) -> Option<usize> {
        self.winner.get().filter(|_| self.running.get() == 0)
    }

    fn ended(&self, scope: &Rc<Scope>, well: bool) {
        self.running.set(self.running.get() - 1);
        if well && self.winner.get().is_none() {
            let scopes = self.scopes.take();
            self.winner.set(scopes.iter().position(|other| Rc::ptr_eq(other, scope)));
            let why = Cancelled::new(crate::error::Reason::Raced);
            for loser in scopes.iter().rev().filter(|other| !other.is_ended()) {
                loser.scheduler.cancel(loser, &why);
            }
        }
        if self.running.get() == 0
            && let Some(owner) = self.owner.take()
        {
            owner.settle();
        }
    }

    /// Nobody waits for it any longer; gives those that are still running.
    pub(crate) fn disown(&self) -> Vec<Rc<Scope>> {
        let owner = self.owner.take();
        if let Some(owner) = owner {
            owner.give_up();
        }
        self.scopes.take().into_iter().filter(|scope| !scope.is_ended()).collect()
    }
}
