//! Tells who is stuck, where, and on what.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::Location;
use std::rc::Rc;

use super::scope::Scope;
use super::task::TaskRef;
use super::{BlockedOn, State};
use crate::error::{Deadlock, Stuck};
use crate::trace::Frame;

pub(super) struct Report {
    pub(super) deadlock: Deadlock,
    /// The name and place of the coroutine to be blamed.
    pub(super) blamed: (String, &'static Location<'static>),
    pub(super) cycle: Vec<TaskRef>,
}

pub(super) fn report(root: &Rc<Scope>, run_at: &'static Location<'static>) -> Report {
    let tasks = tasks_below(root);
    let waits = waits(&tasks);
    let cycle = find_cycle(&tasks, &waits);
    let mut stuck: Vec<Stuck> = tasks
        .iter()
        .filter(|task| !task.is_internal())
        .map(|task| {
            let frame = Frame::new(task.name(), task.location.get());
            Stuck::new(frame, in_words(task, &waits))
        })
        .collect();
    if stuck.is_empty()
        && let Some(main) = tasks.first()
    {
        // There is no coroutine but the one that the library made for what it was told to run.
        stuck.push(Stuck::new(Frame::new("run".into(), run_at), in_words(main, &waits)));
    }
    let blamed = cycle.iter().chain(tasks.iter().rev()).find(|task| !task.is_internal());
    let blamed = blamed.map_or(("run".into(), run_at), |task| (task.name().into_owned(), task.location.get()));
    let names = cycle.iter().filter(|task| !task.is_internal()).map(|task| task.name().into_owned()).collect();
    Report { deadlock: Deadlock::new(stuck, names), blamed, cycle }
}

/// All tasks in `scope` and below, first started first.
pub(super) fn tasks_below(scope: &Rc<Scope>) -> Vec<TaskRef> {
    let mut tasks = Vec::new();
    scope.all_tasks(&mut tasks);
    tasks.sort_unstable_by_key(|task| task.id.get());
    tasks
}

/// By the id of a task: the tasks that it waits on.
fn waits(tasks: &[TaskRef]) -> BTreeMap<u64, Vec<TaskRef>> {
    let mut waits = BTreeMap::<u64, Vec<TaskRef>>::new();
    for task in tasks {
        let mut waiting = task.waiting_tasks();
        if let Some(scope) = task.scope()
            && (task.has(State::SCOPE_ROOT) || scope.is_domain())
        {
            // Whoever waits for a scope waits for its first task, and if it is a domain, for all that is in it.
            waiting.extend(scope.owner());
        }
        for other in waiting {
            waits.entry(other.id.get()).or_default().push(task.clone());
        }
    }
    waits
}

fn find_cycle(tasks: &[TaskRef], waits: &BTreeMap<u64, Vec<TaskRef>>) -> Vec<TaskRef> {
    // Depth first, with a stack of its own: a chain may be long.
    let mut done = BTreeSet::new();
    for start in tasks {
        let mut path: Vec<(TaskRef, usize)> = vec![(start.clone(), 0)];
        let mut on_path = BTreeMap::from([(start.id.get(), 0)]);
        while let Some((task, next)) = path.last_mut() {
            let id = task.id.get();
            let next_one = if done.contains(&id) { None } else { waits.get(&id).and_then(|on| on.get(*next)).cloned() };
            *next += 1;
            match next_one {
                None => {
                    done.insert(id);
                    on_path.remove(&id);
                    path.pop();
                }
                Some(other) => {
                    let other_number = other.id.get();
                    if let Some(&from) = on_path.get(&other_number) {
                        return path[from..].iter().map(|(task, _)| task.clone()).collect();
                    }
                    on_path.insert(other_number, path.len());
                    path.push((other, 0));
                }
            }
        }
    }
    Vec::new()
}

/// What `task` waits on; if that is a task which the library made to carry a wait, what that one waits on.
fn in_words(task: &TaskRef, waits: &BTreeMap<u64, Vec<TaskRef>>) -> String {
    const MOST: usize = 5;
    let mut blocked_on = BlockedOn::empty();
    let mut named = Vec::new();
    let mut seen = BTreeSet::new();
    let mut next = vec![task];
    while let Some(task) = next.pop() {
        blocked_on |= task.waits_on.get();
        for other in waits.get(&task.id.get()).into_iter().flatten() {
            if !seen.insert(other.id.get()) {
            } else if other.is_internal() {
                next.push(other);
            } else {
                named.push(other);
            }
        }
    }
    let mut words: Vec<String> = named.iter().take(MOST).map(|task| format!("`{}`", task.name())).collect();
    if named.len() > MOST {
        words.push(format!("{} more", named.len() - MOST));
    }
    for (bit, word) in [
        (BlockedOn::EVENT, "an event"),
        (BlockedOn::SEMAPHORE, "a semaphore"),
        (BlockedOn::LOCK, "a lock"),
        (BlockedOn::BARRIER, "a barrier"),
        (BlockedOn::CHANNEL, "a channel"),
        (BlockedOn::FUTURE, "a future"),
        (BlockedOn::TIMER, "a timer"),
        (BlockedOn::COMPLETION, "what `as_completed` gives next"),
    ] {
        if blocked_on.contains(bit) {
            words.push(word.to_string());
        }
    }
    if words.is_empty() {
        words.push(if task.has(State::BEGUN) { "nothing that it told of" } else { "its first turn" }.to_string());
    }
    words.join(" and ")
}
