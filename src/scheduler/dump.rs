//! Taking a dump: what each task waits for now. It relies on [`deadlock`](super::deadlock) for the waits of the tasks, and on
//! [`awaited`](super::awaited) for the words.
//!
//! Taking a dump runs no user code: it only reads and copies names and frames.

use std::collections::{BTreeMap, HashMap};
use std::rc::{Rc, Weak};

use super::awaited::Holders;
use super::blockers::Waits;
use super::{BlockedOn, Scheduler, Scope, State, TaskRef};
use crate::iterations;
use crate::reports::dump::{Dump, DumpedTask};
use crate::reports::statistics::Statistics;
use crate::trace::Frame;

/// A thing that some coroutines hold and others wait for: a semaphore or a lock.
pub(crate) trait Held {
    /// The coroutines that hold it.
    fn holders(&self) -> Vec<Frame>;

    /// The tasks that wait for it.
    fn waiting(&self) -> Vec<TaskRef>;
}

/// The semaphores and locks that tasks of a loop have waited for.
#[derive(Default)]
pub(super) struct HeldThings {
    /// The key is the address of the semaphore or the lock.
    things: BTreeMap<usize, (Weak<dyn Held>, BlockedOn)>,
    /// When the list has this many entries, the entries of semaphores and locks that no longer exist are removed.
    prune_at: usize,
}

impl HeldThings {
    fn add(&mut self, thing: Weak<dyn Held>, blocked_on: BlockedOn) {
        if self.things.len() >= self.prune_at {
            self.things.retain(|_, (thing, _)| thing.strong_count() != 0);
            self.prune_at = 2 * self.things.len() + 8;
        }
        self.things.insert(thing.as_ptr().cast::<()>().addr(), (thing, blocked_on));
    }

    fn all(&self) -> Vec<(Rc<dyn Held>, BlockedOn)> {
        self.things.values().filter_map(|(thing, blocked_on)| Some((thing.upgrade()?, *blocked_on))).collect()
    }
}

impl Scheduler {
    /// Notes that tasks of this loop may wait for `thing`, a semaphore or a lock, for dumps and for reports of deadlocks.
    #[cold]
    pub(crate) fn note_held(&self, thing: Weak<dyn Held>, blocked_on: BlockedOn) {
        self.held.borrow_mut().add(thing, blocked_on);
    }

    /// Takes a dump: what each coroutine waits for. `asking` is the task that waits for this dump, if a task does.
    pub(crate) fn take_dump(self: &Rc<Scheduler>, asking: Option<&TaskRef>) -> Dump {
        let Some(root) = self.root_if_open() else { return Dump::default() };
        let tasks = root.all_tasks();
        let places = Places::new(&tasks);
        let parents = self.visible_parents(&tasks, &places);
        let waits = Waits::new(&tasks, &self.quorums(), self.waiting_in_settled());
        let holders = self.holders_by_waiting();
        let mut dumped = Vec::with_capacity(tasks.len());
        for (task, parent) in tasks.iter().zip(parents).filter(|(task, _)| !task.is_internal()) {
            iterations::count();
            let awaited = waits.awaited(task);
            let waits_on = if asking.is_some_and(|asking| asking.is(task)) {
                "this dump".to_string()
            } else if Scheduler::is_ready(task) {
                if task.has(State::BEGUN) { "its turn".to_string() } else { "its first turn".to_string() }
            } else {
                awaited.in_words(&holders)
            };
            dumped.push(DumpedTask {
                frame: Frame::new(task.name(), task.location.get()),
                waits_on,
                parent,
                waits_for: awaited.named.iter().filter_map(|on| places.in_dump[places.of(on.id.get())?]).collect(),
            });
        }
        Dump::new(dumped, self.statistics_with(tasks.len()))
    }

    /// The figures of this run.
    pub(crate) fn statistics(&self) -> Statistics {
        self.statistics_with(self.root_if_open().map_or(0, |root| root.all_tasks().len()))
    }

    /// The figures of a run that is over. No timer counts as set.
    pub(crate) fn final_statistics(&self) -> Statistics {
        Statistics { timers: 0, ..self.statistics_with(0) }
    }

    /// Adds the steps of a call of [`run`](Scheduler::run) that has returned. Each step counts as a turn, although a step may
    /// have no turn.
    pub(crate) fn count_turns(&self, count: usize) {
        self.turns_of_call.set(0);
        self.turns.set(self.turns.get() + count as u64);
    }

    fn statistics_with(&self, tasks: usize) -> Statistics {
        Statistics {
            turns: self.turns.get() + self.turns_of_call.get() as u64,
            rounds: self.run_queue.rounds(),
            tasks,
            timers: self.timers.borrow().as_ref().map_or(0, |timers| timers.len()),
            longest_turn: self.observer.as_ref().map(|observer| observer.longest_turn()),
        }
    }

    fn root_if_open(&self) -> Option<Rc<Scope>> {
        self.root.borrow().clone()
    }

    /// For each task that waits for a semaphore or a lock: the holders of that semaphore or lock, in words.
    pub(super) fn holders_by_waiting(&self) -> Holders {
        const MAX_NAMES: usize = 5;
        let mut by_waiting = Holders::new();
        let held = self.held.borrow_if_used().map_or_else(Vec::new, |held| held.all());
        for (thing, blocked_on) in held {
            let holders = thing.holders();
            let mut counts = BTreeMap::<&str, usize>::new();
            for holder in &holders {
                *counts.entry(holder.name()).or_default() += 1;
            }
            let mut names: Vec<String> = counts
                .iter()
                .take(MAX_NAMES)
                .map(|(name, count)| if *count == 1 { format!("`{name}`") } else { format!("{count} x `{name}`") })
                .collect();
            if counts.len() > MAX_NAMES {
                names.push(format!("{} more", counts.len() - MAX_NAMES));
            }
            if names.is_empty() {
                continue;
            }
            let words: Rc<str> = format!("held by {}", names.join(" and ")).into();
            for waiting in thing.waiting() {
                iterations::count();
                by_waiting.insert((waiting.id.get(), blocked_on.bits()), words.clone());
            }
        }
        by_waiting
    }
}

/// The index of each task among all tasks, and in the dump. Internal tasks are not dumped.
struct Places {
    by_id: HashMap<u64, usize>,
    in_dump: Vec<Option<usize>>,
}

impl Places {
    fn new(tasks: &[TaskRef]) -> Places {
        let by_id = tasks.iter().enumerate().map(|(place, task)| (task.id.get(), place)).collect();
        let mut dumped = 0..;
        let in_dump = tasks.iter().map(|task| if task.is_internal() { None } else { dumped.next() }).collect();
        Places { by_id, in_dump }
    }

    fn of(&self, id: u64) -> Option<usize> {
        self.by_id.get(&id).copied()
    }
}

impl Scheduler {
    /// For each task, the index of its parent in the dump. The parent is the task that started it. If that task is not known or
    /// has ended, the parent is a task that started earlier and waits for this one. If there is no such task, the parent is the
    /// first task or the owner of a scope around this task. `tasks` are in the order in which they started. A parent has
    /// started before its children, so there are no cycles.
    fn visible_parents(&self, tasks: &[TaskRef], places: &Places) -> Vec<Option<usize>> {
        let mut ancestry = Ancestry::new(tasks);
        let mut parents: Vec<Option<usize>> = Vec::with_capacity(tasks.len());
        for task in tasks {
            iterations::count();
            let starter = self.observer.as_ref().and_then(|observer| observer.starter_of(task.id.get()));
            // A starter that has ended is not in the dump.
            let starter = starter.and_then(|starter| places.of(starter));
            let parent = starter.or_else(|| places.of(ancestry.parent_of(task)?));
            // An internal parent is replaced by its own parent.
            parents.push(parent.and_then(|parent| places.in_dump[parent].or(parents[parent])));
        }
        parents
    }
}

/// Finds the parents of tasks whose starter is not known.
struct Ancestry {
    /// The first task of each scope, if this task has not ended. The key of a scope is its address.
    first_of_scope: HashMap<usize, TaskRef>,
    /// For scopes without a candidate: the next scope above that has one.
    above: HashMap<usize, Option<Rc<Scope>>>,
}

impl Ancestry {
    fn new(tasks: &[TaskRef]) -> Ancestry {
        let first_of_scope = tasks
            .iter()
            .filter(|task| task.has(State::SCOPE_ROOT))
            .filter_map(|task| Some((address(&task.scope()?), task.clone())))
            .collect();
        Ancestry { first_of_scope, above: HashMap::new() }
    }

    fn parent_of(&mut self, task: &TaskRef) -> Option<u64> {
        let is_before = |other: &TaskRef| other.id.get() < task.id.get();
        if let Some(waiting) = task.waiting_tasks().into_iter().find(is_before) {
            return Some(waiting.id.get());
        }
        let mut next = task.scope();
        while let Some(scope) = next.and_then(|scope| self.with_candidate(scope)) {
            iterations::count();
            if let Some(parent) = self.candidates(&scope).find(is_before) {
                return Some(parent.id.get());
            }
            next = scope.parent();
        }
        None
    }

    /// The tasks that may be the parent of a task in `scope`: the first task and the owner of the scope.
    fn candidates(&self, scope: &Rc<Scope>) -> impl Iterator<Item = TaskRef> {
        self.first_of_scope.get(&address(scope)).cloned().into_iter().chain(scope.owner())
    }

    /// `scope`, or the nearest scope above it that has candidates. Open scopes have no candidates, and may be nested thousands
    /// deep.
    fn with_candidate(&mut self, scope: Rc<Scope>) -> Option<Rc<Scope>> {
        let mut passed = Vec::new();
        let mut next = Some(scope);
        while let Some(scope) = &next
            && self.candidates(scope).next().is_none()
        {
            iterations::count();
            let from = address(scope);
            passed.push(from);
            next = match self.above.get(&from) {
                Some(known) => known.clone(),
                None => scope.parent(),
            };
        }
        self.above.extend(passed.into_iter().map(|address| (address, next.clone())));
        next
    }
}

fn address(scope: &Rc<Scope>) -> usize {
    Rc::as_ptr(scope).addr()
}
