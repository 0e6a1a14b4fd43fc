//! Deadlocks: whether nothing can go on any more, which coroutines are stuck, where, and on what.
//!
//! A run that owns its thread is stuck when nothing is ready, no timer is set, and nothing outside holds a handle that could wake
//! it. A hosted run may still be helped by its host, so there only a cycle of coroutines that wait for each other is an error.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::Location;
use std::rc::Rc;

use super::{BlockedOn, Scheduler, Scope, State, TaskRef, wait_graph};
use crate::error::{Cancelled, Deadlock, Error, Reason, Stuck};
use crate::panic::catch;
use crate::trace::Frame;

impl Scheduler {
    /// Stops the loop if nothing is ready and nothing can change that.
    pub(crate) fn stop_if_stuck(self: &Rc<Scheduler>) -> bool {
        let is_stuck = !self.may_time_help() && !self.may_be_woken();
        if is_stuck {
            self.stop_stuck(Report::new(&self.root(), self.location), || {
                let mut tasks = self.root().all_tasks();
                // The tasks that wait for them are cancelled when they have ended.
                tasks.retain(|task| !task.has(State::CANCEL_DEFERRED));
                tasks
            });
        }
        is_stuck
    }

    /// Stops the loop if nothing is ready and coroutines wait for each other in a cycle, which no host can resolve.
    ///
    /// A cycle is closed by a task that begins to wait for one that was started before. So the search starts from those that have
    /// done that since the last search, and looks at no others.
    pub(crate) fn stop_if_cyclic(self: &Rc<Scheduler>) -> bool {
        if self.joined.borrow().is_empty() || self.may_time_help() || self.may_be_woken() {
            return false;
        }
        let joined = self.joined.take();
        if !joined.values().any(waits_for_itself) {
            return false;
        }
        let report = Report::new(&self.root(), self.location);
        let cycle = report.cycle.clone();
        if cycle.is_empty() {
            return false;
        }
        // A cycle behind a shield is still there when everything else has been cancelled.
        self.joined.borrow_mut().extend(joined);
        self.stop_stuck(report, || cycle.clone());
        true
    }

    /// `doomed` are the tasks to be dropped if the loop was stopping already.
    fn stop_stuck(self: &Rc<Scheduler>, report: Report, doomed: impl Fn() -> Vec<TaskRef>) {
        let root = self.root();
        let (name, location) = report.blamed;
        let error = Error::at(Box::new(report.deadlock), location);
        if root.set_failure(error.clone()) {
            return self.cancel(&root, &Cancelled::new(Reason::Failed { name, location }));
        }
        // They wait behind shields for what can never happen.
        root.add_other(error);
        let mut doomed = doomed();
        doomed.sort_unstable_by_key(|task| std::cmp::Reverse(task.id.get()));
        for task in doomed {
            task.set(State::CANCELLED);
            let what = "waited behind a shield for what can no longer come";
            if let Err(payload) = catch(|| self.drop_stuck(task, what)) {
                self.end_panicked(payload);
            }
        }
    }
}

/// Whether `task` waits, through others, for itself. If a race is on the way, that may still end otherwise.
fn waits_for_itself(task: &TaskRef) -> bool {
    let mut seen = BTreeSet::new();
    let mut next = wait_graph::dependents(task);
    while let Some(other) = next.pop() {
        if other.is(task) {
            return true;
        }
        if seen.insert(other.id.get()) {
            next.extend(wait_graph::dependents(&other));
        }
    }
    false
}

/// What is to be said about a deadlock.
struct Report {
    deadlock: Deadlock,
    /// The name and place of the coroutine that the error is attributed to.
    blamed: (String, &'static Location<'static>),
    cycle: Vec<TaskRef>,
}

impl Report {
    fn new(root: &Rc<Scope>, run_at: &'static Location<'static>) -> Report {
        let tasks = root.all_tasks();
        let waits = Waits::new(&tasks);
        let cycle = waits.find_cycle();
        let is_visible = |task: &&TaskRef| !task.is_internal();
        let mut stuck: Vec<Stuck> = tasks
            .iter()
            .filter(is_visible)
            .map(|task| Stuck::new(Frame::new(task.name(), task.location.get()), waits.in_words(task)))
            .collect();
        if stuck.is_empty()
            && let Some(main) = tasks.first()
        {
            // There is no coroutine but the one that the library made for what it was to run.
            stuck.push(Stuck::new(Frame::new("run".into(), run_at), waits.in_words(main)));
        }
        let blamed = cycle.iter().chain(tasks.iter().rev()).find(is_visible);
        let blamed = blamed.map_or(("run".into(), run_at), |task| (task.name().into_owned(), task.location.get()));
        let names = cycle.iter().filter(is_visible).map(|task| task.name().into_owned()).collect();
        Report { deadlock: Deadlock::new(stuck, names), blamed, cycle }
    }
}

/// The tasks that each task waits for, by the id of the task that waits.
struct Waits(BTreeMap<u64, Vec<Edge>>);

struct Edge {
    waiting: TaskRef,
    on: TaskRef,
    /// The race that `on` runs in: `waiting` waits for any of its runners, and not for all.
    race: Option<u64>,
}

impl Waits {
    fn new(tasks: &[TaskRef]) -> Waits {
        let mut waits = BTreeMap::<u64, Vec<Edge>>::new();
        for task in tasks {
            for waiting in wait_graph::dependents(task) {
                let race = wait_graph::race_of(task);
                let edge = Edge { waiting: waiting.clone(), on: task.clone(), race };
                waits.entry(waiting.id.get()).or_default().push(edge);
            }
        }
        Waits(waits)
    }

    fn of(&self, task: &TaskRef) -> &[Edge] {
        self.0.get(&task.id.get()).map_or(&[], Vec::as_slice)
    }

    /// A cycle of tasks none of which can go on: each waits for the next one, and has no other way on.
    fn find_cycle(&self) -> Vec<TaskRef> {
        // At first all that wait for a task are taken to be stuck. One that has a way on is taken out, and those that wait for it
        // are looked at again.
        let mut stuck: BTreeSet<u64> = self.0.keys().copied().collect();
        let mut to_check: Vec<u64> = stuck.iter().copied().collect();
        let mut waiting_for = BTreeMap::<u64, Vec<u64>>::new();
        for (id, edges) in &self.0 {
            for edge in edges {
                waiting_for.entry(edge.on.id.get()).or_default().push(*id);
            }
        }
        while let Some(id) = to_check.pop() {
            if stuck.contains(&id) && self.blocking_edge(id, &stuck).is_none() {
                stuck.remove(&id);
                to_check.extend(waiting_for.get(&id).into_iter().flatten());
            }
        }
        let mut path = Vec::new();
        let mut place = BTreeMap::new();
        let mut next = stuck.first().copied();
        while let Some(id) = next {
            if let Some(&from) = place.get(&id) {
                return path.split_off(from);
            }
            let Some(edge) = self.blocking_edge(id, &stuck) else { break };
            place.insert(id, path.len());
            path.push(edge.waiting.clone());
            next = Some(edge.on.id.get());
        }
        Vec::new()
    }

    /// An edge by which the task with this id is stuck: to a task that is stuck, and, if that runs in a race, so are the others.
    fn blocking_edge(&self, id: u64, stuck: &BTreeSet<u64>) -> Option<&Edge> {
        let edges = self.0.get(&id)?;
        edges.iter().find(|edge| {
            let is_alternative = |other: &&Edge| edge.race.is_some() && other.race == edge.race;
            stuck.contains(&edge.on.id.get())
                && edges.iter().filter(is_alternative).all(|other| stuck.contains(&other.on.id.get()))
        })
    }

    /// What `task` waits for. An internal task stands for what it waits for in turn.
    fn in_words(&self, task: &TaskRef) -> String {
        const MAX_NAMES: usize = 5;
        let mut blocked_on = BlockedOn::empty();
        let mut named = Vec::new();
        let mut seen = BTreeSet::new();
        let mut next = vec![task];
        while let Some(task) = next.pop() {
            blocked_on |= task.blocked_on();
            for Edge { on, .. } in self.of(task) {
                if !seen.insert(on.id.get()) {
                } else if on.is_internal() {
                    next.push(on);
                } else {
                    named.push(on);
                }
            }
        }
        let mut words: Vec<String> = named.iter().take(MAX_NAMES).map(|task| format!("`{}`", task.name())).collect();
        if named.len() > MAX_NAMES {
            words.push(format!("{} more", named.len() - MAX_NAMES));
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
            words.push(
                if task.has(State::BEGUN) { "nothing that the loop knows of" } else { "its first turn" }.to_string(),
            );
        }
        words.join(" and ")
    }
}
