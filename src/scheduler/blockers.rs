//! What blocks each task at one moment: the other tasks and the quorums for which it waits. The report of a deadlock finds a cycle
//! of blocked tasks here. This report and dumps get from here what each task waits for.
//!
//! It relies on [`wait_graph`] for the single waits.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::awaited::{Awaited, HELD};
use super::{BlockedOn, Quorum, State, TaskRef, wait_graph};
use crate::iterations;

/// Which tasks wait for which, by the ids of the tasks that wait.
pub(super) struct Waits {
    edges: BTreeMap<u64, Vec<Edge>>,
    quorums: Vec<QuorumSnapshot>,
    /// By the id of a task: the indices of the quorums at which it waits, each with the number of tasks that have to end.
    at_quorums: BTreeMap<u64, BTreeMap<usize, usize>>,
    /// The key is the id of the owner of a scope that ends only when all tasks in it have ended. The value has tasks in scopes
    /// below that scope: the owner waits for their end, too. An example is the coroutine of a stream that was first read in an
    /// `isolate`. Only the words of a report need these tasks.
    around: BTreeMap<u64, Vec<TaskRef>>,
    /// The ids of the tasks that wait until nothing is ready. No bit of their state says so, because all bits are in use.
    in_settled: BTreeSet<u64>,
}

struct Edge {
    waiting: TaskRef,
    on: TaskRef,
    /// The race in which `on` is a runner, if there is one: `waiting` waits for any runner of the race, and not for all of
    /// them.
    race: Option<u64>,
    /// Whether `waiting` waits only for the scope of `on`, while another task of that scope waits for `on` itself. If so, the
    /// words need not name `on`.
    is_indirect: bool,
}

struct QuorumSnapshot {
    running: Vec<TaskRef>,
    waiting: Vec<(TaskRef, usize)>,
}

/// The state of the search for a cycle.
struct Search {
    /// The tasks that may be stuck.
    stuck: BTreeSet<u64>,
    /// How many running tasks of each quorum are not stuck.
    free: Vec<usize>,
}

impl Waits {
    pub(super) fn new(tasks: &[TaskRef], quorums: &[Rc<dyn Quorum>], in_settled: BTreeSet<u64>) -> Waits {
        let mut waits = Waits {
            edges: BTreeMap::new(),
            quorums: Vec::new(),
            at_quorums: BTreeMap::new(),
            around: wait_graph::by_owner_around(tasks),
            in_settled,
        };
        for task in tasks {
            let has_waiter_inside = wait_graph::has_waiter_in_its_scope(task);
            let owner = wait_graph::owner_that_waits_for_all(task);
            for waiting in wait_graph::dependents(task) {
                let race = wait_graph::race_of(task);
                let is_indirect = has_waiter_inside && owner.as_ref().is_some_and(|owner| owner.is(&waiting));
                let edge = Edge { waiting: waiting.clone(), on: task.clone(), race, is_indirect };
                waits.edges.entry(waiting.id.get()).or_default().push(edge);
            }
        }
        for (index, quorum) in quorums.iter().enumerate() {
            let quorum = QuorumSnapshot { running: quorum.running(), waiting: quorum.waiting() };
            for (waiting, count) in &quorum.waiting {
                let needed = waits.at_quorums.entry(waiting.id.get()).or_default().entry(index).or_default();
                *needed = (*needed).max(*count);
            }
            waits.quorums.push(quorum);
        }
        waits
    }

    fn of(&self, task: &TaskRef) -> &[Edge] {
        self.edges.get(&task.id.get()).map_or(&[], Vec::as_slice)
    }

    /// A cycle of tasks that cannot go on. Each waits for the next one, can go on in no other way, and is not in `free`.
    pub(super) fn find_cycle(&self, free: &BTreeSet<u64>) -> Vec<TaskRef> {
        let search = self.search(free);
        let mut path = Vec::new();
        let mut place = BTreeMap::new();
        let mut next = search.stuck.first().copied();
        while let Some(id) = next {
            if let Some(&from) = place.get(&id) {
                return path.split_off(from);
            }
            let Some((waiting, on)) = self.blocker(id, &search) else { break };
            place.insert(id, path.len());
            path.push(waiting.clone());
            next = Some(on.id.get());
        }
        Vec::new()
    }

    /// At first, all tasks that wait count as stuck, except those in `free`. A task that can go on is taken out, and the tasks
    /// that wait for it are checked again.
    fn search(&self, free: &BTreeSet<u64>) -> Search {
        let waiting = self.edges.keys().chain(self.at_quorums.keys()).copied();
        let stuck: BTreeSet<u64> = waiting.filter(|id| !free.contains(id)).collect();
        let is_free = |task: &&TaskRef| !stuck.contains(&task.id.get());
        let free = self.quorums.iter().map(|quorum| quorum.running.iter().filter(is_free).count()).collect();
        let mut waiting_for = BTreeMap::<u64, Vec<u64>>::new();
        for (id, edges) in &self.edges {
            for edge in edges {
                waiting_for.entry(edge.on.id.get()).or_default().push(*id);
            }
        }
        let mut member_of = BTreeMap::<u64, usize>::new();
        let mut waiting_for_count = BTreeMap::<(usize, usize), Vec<u64>>::new();
        for (index, quorum) in self.quorums.iter().enumerate() {
            member_of.extend(quorum.running.iter().map(|task| (task.id.get(), index)));
            for (waiting, count) in &quorum.waiting {
                waiting_for_count.entry((index, *count)).or_default().push(waiting.id.get());
            }
        }
        let mut to_check: Vec<u64> = stuck.iter().copied().collect();
        let mut search = Search { stuck, free };
        while let Some(id) = to_check.pop() {
            iterations::count();
            if !search.stuck.contains(&id) || self.blocker(id, &search).is_some() {
                continue;
            }
            search.stuck.remove(&id);
            to_check.extend(waiting_for.get(&id).into_iter().flatten());
            if let Some(&index) = member_of.get(&id) {
                search.free[index] += 1;
                to_check.extend(waiting_for_count.get(&(index, search.free[index])).into_iter().flatten());
            }
        }
        search
    }

    /// The task with this id, and a task that blocks it. The blocking task is stuck, and so is each alternative to it. `None`
    /// if no task blocks this one.
    fn blocker(&self, id: u64, search: &Search) -> Option<(&TaskRef, &TaskRef)> {
        let is_stuck = |task: &TaskRef| search.stuck.contains(&task.id.get());
        let edges = self.edges.get(&id).map_or(&[][..], Vec::as_slice);
        let blocking = edges.iter().find(|edge| {
            // A race of leaves is over when any of its leaves is over. If one of the leaves does not wait for a task, the race
            // can still end, so the task is in no cycle.
            let is_race_of_leaves = edge.waiting.has(State::RACING);
            if is_race_of_leaves && edge.waiting.pending.get() as usize != edges.len() {
                return false;
            }
            let is_alternative = |other: &&Edge| is_race_of_leaves || (edge.race.is_some() && other.race == edge.race);
            is_stuck(&edge.on) && edges.iter().filter(is_alternative).all(|other| is_stuck(&other.on))
        });
        if let Some(edge) = blocking {
            return Some((&edge.waiting, &edge.on));
        }
        let (index, _) = self.at_quorums.get(&id)?.iter().find(|&(&index, &needed)| search.free[index] < needed)?;
        let quorum = &self.quorums[*index];
        let (waiting, _) = quorum.waiting.iter().find(|(waiting, _)| waiting.id.get() == id)?;
        if waiting.has(State::RACING) {
            return None;
        }
        Some((waiting, quorum.running.iter().find(|task| is_stuck(task))?))
    }

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
            for Edge { on, is_indirect, .. } in self.of(task) {
                if !seen.insert(on.id.get()) {
                } else if on.is_internal() {
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

    /// Whether `task` waits only for a race, perhaps by way of internal tasks: it goes on when any one of the things for which it
    /// waits is over.
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
        let edges = self.of(task);
        let direct: Vec<_> = edges.iter().filter(|edge| !edge.is_indirect).collect();
        if direct.is_empty() { edges.iter().collect() } else { direct }
    }

    /// How many things a report names for `task` that are not tasks.
    fn own_words(&self, task: &TaskRef) -> usize {
        let in_settled = self.in_settled.contains(&task.id.get());
        task.blocked_on().bits().count_ones() as usize + usize::from(in_settled)
    }
}
