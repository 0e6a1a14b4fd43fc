//! Which tasks wait for which. Traces, the order of cancellation and the search for deadlocks use this graph. It relies on the
//! waiters of tasks and on the owners of scopes.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::Location;
use std::rc::Rc;

use super::{State, TaskRef};
use crate::iterations;
use crate::trace::Frame;

/// The tasks that wait for `task`: its waiters, and, if it is the first task of its scope, the owner of that scope.
fn direct_dependents(task: &TaskRef) -> Vec<TaskRef> {
    let mut waiting = task.waiting_tasks();
    if task.has(State::SCOPE_ROOT)
        && let Some(scope) = task.scope()
        && !scope.is_domain()
    {
        waiting.extend(scope.owner());
    }
    waiting
}

/// The tasks that cannot go on before `task` has ended: those that wait for it, and the owner of its scope, if the owner waits
/// for all tasks in the scope.
pub(super) fn dependents(task: &TaskRef) -> Vec<TaskRef> {
    let mut waiting = direct_dependents(task);
    waiting.extend(owner_that_waits_for_all(task));
    waiting
}

/// The owner of the scope of `task`, if the owner waits for all tasks in the scope, and is not a direct dependent.
pub(super) fn owner_that_waits_for_all(task: &TaskRef) -> Option<TaskRef> {
    let scope = task.scope()?.nearest_closed();
    let waits_for_all = scope.is_whole() && (scope.is_domain() || !task.has(State::SCOPE_ROOT));
    if waits_for_all { scope.owner() } else { None }
}

/// Whether a coroutine in the scope of `task` waits for it.
pub(super) fn has_waiter_in_its_scope(task: &TaskRef) -> bool {
    let Some(scope) = task.scope() else { return false };
    let is_in_it =
        |waiting: TaskRef| !waiting.is_internal() && waiting.scope().is_some_and(|other| Rc::ptr_eq(&other, &scope));
    task.waiting_tasks().into_iter().any(is_in_it)
}

/// Groups tasks by the owner that waits for them indirectly. Going up from the scope of a task, this finds the nearest scope that
/// is [whole](super::Scope::is_whole): it ends only when all tasks in it have ended. The owner of that scope waits for the task.
/// A task that is directly in a whole scope is not listed. The key is the id of the owner.
pub(super) fn by_owner_around(tasks: &[TaskRef]) -> BTreeMap<u64, Vec<TaskRef>> {
    let mut by_owner = BTreeMap::<u64, Vec<TaskRef>>::new();
    let mut known = BTreeMap::<usize, Option<TaskRef>>::new();
    for task in tasks {
        let mut passed = Vec::new();
        let mut next = task.scope().filter(|scope| !scope.is_whole());
        let mut owner = None;
        while let Some(scope) = next {
            iterations::count();
            let address = Rc::as_ptr(&scope).addr();
            if scope.is_whole() {
                owner = scope.owner();
                break;
            }
            if let Some(of_scope) = known.get(&address) {
                owner.clone_from(of_scope);
                break;
            }
            passed.push(address);
            next = scope.parent();
        }
        known.extend(passed.into_iter().map(|address| (address, owner.clone())));
        if let Some(owner) = owner {
            by_owner.entry(owner.id.get()).or_default().push(task.clone());
        }
    }
    by_owner
}

/// `tasks`, and all tasks that wait for them, directly or through other tasks. A task that waits for a scope waits for all
/// tasks in it and below.
pub(super) fn all_dependents(tasks: Vec<TaskRef>) -> Vec<TaskRef> {
    let mut all = Vec::new();
    let mut seen = BTreeSet::new();
    let mut seen_scopes = BTreeSet::new();
    let mut next = tasks;
    while let Some(task) = next.pop() {
        iterations::count();
        if !seen.insert(task.id.get()) {
            continue;
        }
        next.extend(task.waiting_tasks());
        let mut around = task.scope();
        while let Some(scope) = around
            && seen_scopes.insert(Rc::as_ptr(&scope))
        {
            iterations::count();
            next.extend(scope.owner());
            around = scope.parent();
        }
        all.push(task);
    }
    all
}

/// The frames of a trace, outermost first. The last one is `task`, which failed at `location`. The one before it is the coroutine
/// that waits for `task`, and so on. A trace ends at a task for which no task or several tasks wait, at the edge of the domain,
/// and after `max` frames.
pub(super) fn trace(task: &TaskRef, location: &'static Location<'static>, max: usize) -> Vec<Frame> {
    trace_with_contexts(task, location, max).0
}

/// As [`trace`]. Also returns the contexts that these coroutines add to errors, innermost first.
pub(super) fn trace_with_contexts(
    task: &TaskRef,
    location: &'static Location<'static>,
    max: usize,
) -> (Vec<Frame>, Vec<Rc<str>>) {
    let mut frames = Vec::new();
    let mut contexts = Vec::new();
    let mut seen = BTreeSet::new();
    let mut next = Some((task.clone(), location));
    while let Some((task, location)) = next {
        iterations::count();
        if frames.len() == max || !seen.insert(task.id.get()) {
            break;
        }
        task.cold(|cold| contexts.extend(cold.contexts.iter().cloned()));
        let name = task.name();
        if !name.is_empty() {
            frames.push(Frame::new(name, location));
        }
        next = match <[TaskRef; 1]>::try_from(direct_dependents(&task)) {
            Ok([waiting]) if is_in_same_domain(&task, &waiting) => {
                let location = waiting.location.get();
                Some((waiting, location))
            }
            _ => None,
        };
    }
    frames.reverse();
    (frames, contexts)
}

fn is_in_same_domain(one: &TaskRef, other: &TaskRef) -> bool {
    match (one.scope(), other.scope()) {
        (Some(one), Some(other)) => Rc::ptr_eq(&one, &other) || Rc::ptr_eq(&one.domain(), &other.domain()),
        _ => false,
    }
}

/// If `task` is the first task of a runner of a race: a number that identifies the race.
pub(super) fn race_of(task: &TaskRef) -> Option<u64> {
    let group = task.scope().filter(|_| task.has(State::SCOPE_ROOT))?.group()?;
    Some(Rc::as_ptr(&group).addr() as u64)
}

/// The name of `task`, and the line at which it continues. For an internal task, these are the name and the line of the
/// coroutine that waits for it.
pub(super) fn place_of(task: &TaskRef) -> Frame {
    let trace = trace(task, task.location.get(), 1);
    trace.last().cloned().unwrap_or_else(|| Frame::new("run".into(), task.location.get()))
}
