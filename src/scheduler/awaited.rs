//! What a coroutine waits for, in words. Reports of deadlocks and dumps use these words.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use super::blockers::{Edge, Waits};
use super::{BlockedOn, State, TaskRef};
use crate::iterations;

/// The holders of semaphores and locks, in words. The key is the id of a task that waits for a semaphore or a lock, and the bit
/// of [`BlockedOn`] for semaphores or for locks.
pub(super) type Holders = HashMap<(u64, u16), Rc<str>>;

/// The kinds of things that have holders.
const HELD: BlockedOn = BlockedOn::SEMAPHORE.union(BlockedOn::LOCK);

/// What a coroutine waits for. If it waits for an internal task, this lists what the internal task waits for instead.
pub(super) struct Awaited<'a> {
    pub(super) task: &'a TaskRef,
    /// The coroutines that it waits for.
    pub(super) named: Vec<&'a TaskRef>,
    pub(super) blocked_on: BlockedOn,
    /// The tasks that are blocked on a semaphore or a lock: this one, or internal tasks that it waits for.
    pub(super) blocked_on_held: Vec<&'a TaskRef>,
    /// Whether it waits until nothing is ready.
    pub(super) is_in_settled: bool,
    /// Whether the task goes on as soon as one of these things is over.
    pub(super) is_race: bool,
}

impl Awaited<'_> {
    /// What the task waits for, in words. `holders` has the holders of semaphores and locks.
    pub(super) fn in_words(&self, holders: &Holders) -> String {
        const MAX_NAMES: usize = 5;
        let separator = if self.is_race { " or " } else { " and " };
        let mut words = String::new();
        let mut add = |parts: [&str; 3]| {
            if !words.is_empty() {
                words.push_str(separator);
            }
            words.extend(parts);
        };
        for task in self.named.iter().take(MAX_NAMES) {
            add(["`", &task.name(), "`"]);
        }
        if self.named.len() > MAX_NAMES {
            add([&(self.named.len() - MAX_NAMES).to_string(), " more", ""]);
        }
        let held_by =
            |bit: BlockedOn| self.blocked_on_held.iter().find_map(|task| holders.get(&(task.id.get(), bit.bits())));
        for (bit, word) in [
            (BlockedOn::EVENT, "an event"),
            (BlockedOn::SEMAPHORE, "a semaphore"),
            (BlockedOn::LOCK, "a lock"),
            (BlockedOn::BARRIER, "a barrier"),
            (BlockedOn::CHANNEL, "a channel"),
            (BlockedOn::FUTURE, "a future"),
            (BlockedOn::TIMER, "a timer"),
            (BlockedOn::COMPLETION, "what `as_completed` gives next"),
            (BlockedOn::STREAM_READER, "a reader of its stream"),
            (BlockedOn::STREAM_VALUE, "a value of a stream"),
        ] {
            if self.blocked_on.contains(bit) {
                match held_by(bit) {
                    Some(held_by) => add([word, " ", held_by]),
                    None => add([word, "", ""]),
                }
            }
        }
        if self.is_in_settled {
            add(["the moment when nothing else is ready", "", ""]);
        }
        if words.is_empty() {
            words.push_str(if self.task.has(State::BEGUN) {
                "nothing that the loop knows of"
            } else {
                "its first turn"
            });
        }
        words
    }
}

impl Waits {
    /// What `task` waits for.
    pub(super) fn awaited<'a>(&'a self, task: &'a TaskRef) -> Awaited<'a> {
        let mut awaited = Awaited {
            task,
            named: Vec::new(),
            blocked_on: BlockedOn::empty(),
            blocked_on_held: Vec::new(),
            is_in_settled: false,
            is_race: false,
        };
        let mut seen = BTreeSet::new();
        let mut next = vec![task];
        let mut indirect = Vec::new();
        let mut around = Vec::new();
        while let Some(task) = next.pop() {
            awaited.blocked_on |= task.blocked_on();
            awaited.is_in_settled |= self.in_settled.contains(&task.id.get());
            around.extend(self.around.get(&task.id.get()).into_iter().flatten());
            if task.blocked_on().intersects(HELD) {
                awaited.blocked_on_held.push(task);
            }
            for Edge { on, is_indirect, .. } in self.of(task.id.get()) {
                if !seen.insert(on.id.get()) {
                    continue;
                }
                if on.is_internal() {
                    next.push(on);
                } else if *is_indirect {
                    indirect.push(on);
                } else {
                    awaited.named.push(on);
                }
            }
        }
        if awaited.named.is_empty() {
            awaited.named = indirect;
        }
        let has_words = |awaited: &Awaited<'_>| !awaited.blocked_on.is_empty() || awaited.is_in_settled;
        if awaited.named.is_empty() && !has_words(&awaited) {
            let (internal, named) = around.into_iter().partition::<Vec<_>, _>(|task| task.is_internal());
            awaited.named = named;
            internal.into_iter().for_each(|task| awaited.blocked_on |= task.blocked_on());
        }
        awaited.is_race = self.is_race(awaited.task);
        awaited
    }

    /// Whether `task` waits only for a race, directly or through internal tasks. Such a task goes on when one of the things is over.
    fn is_race(&self, task: &TaskRef) -> bool {
        let mut task = task;
        let mut passed = BTreeSet::new();
        while passed.insert(task.id.get()) {
            iterations::count();
            if task.has(State::RACING) {
                return true;
            }
            let edges = self.direct(task);
            match edges[..] {
                [Edge { on, race: None, .. }] if on.is_internal() && self.own_words(task) == 0 => task = on,
                _ => return self.race_of_all(task, &edges).is_some() && self.are_alternatives(&edges),
            }
        }
        false
    }

    /// The race in which all tasks for which `task` waits are runners. `None` if it waits for anything else.
    fn race_of_all(&self, task: &TaskRef, edges: &[&Edge]) -> Option<u64> {
        let race = edges.first()?.race?;
        (self.own_words(task) == 0 && edges.iter().all(|edge| edge.race == Some(race))).then_some(race)
    }

    /// Whether each of these runners of a race waits for one thing, or for a race. If a runner waits for several things, a report
    /// cannot name all things in one list with "or".
    fn are_alternatives(&self, runners: &[&Edge]) -> bool {
        let mut seen = BTreeSet::new();
        let mut to_check: Vec<&TaskRef> = runners.iter().map(|edge| &edge.on).collect();
        while let Some(runner) = to_check.pop() {
            iterations::count();
            if !runner.is_internal() || runner.has(State::RACING) || !seen.insert(runner.id.get()) {
                continue;
            }
            let edges = self.direct(runner);
            if self.own_words(runner) + edges.len() > 1 && self.race_of_all(runner, &edges).is_none() {
                return false;
            }
            to_check.extend(edges.iter().map(|edge| &edge.on));
        }
        true
    }

    /// The waits of `task` that a report names.
    fn direct(&self, task: &TaskRef) -> Vec<&Edge> {
        let edges = self.of(task.id.get());
        let direct: Vec<_> = edges.iter().filter(|edge| !edge.is_indirect).collect();
        if direct.is_empty() { edges.iter().collect() } else { direct }
    }

    /// The number of things other than tasks that a report names for `task`.
    fn own_words(&self, task: &TaskRef) -> usize {
        let in_settled = self.in_settled.contains(&task.id.get());
        task.blocked_on().bits().count_ones() as usize + usize::from(in_settled)
    }
}
