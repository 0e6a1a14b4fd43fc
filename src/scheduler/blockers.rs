//! What blocks each task at one moment: the other tasks and the quorums for which it waits. The deadlock report uses this to find a
//! cycle of blocked tasks. Dumps and the report use it to name what each task waits for ([`awaited`](super::awaited)).
//!
//! It relies on [`wait_graph`], which says which tasks wait for one task.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::{Quorum, State, TaskRef, wait_graph};
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
    pub(super) around: BTreeMap<u64, Vec<TaskRef>>,
    /// The ids of the tasks that wait until nothing is ready. No bit of their state says so, because all bits are in use.
    pub(super) in_settled: BTreeSet<u64>,
}

pub(super) struct Edge {
    waiting: TaskRef,
    pub(super) on: TaskRef,
    /// The race in which `on` is a runner, if there is one: `waiting` waits for any runner of the race, and not for all of
    /// them.
    pub(super) race: Option<u64>,
    /// Whether `waiting` waits only for the scope of `on`, while another task of that scope waits for `on` itself. If so, the
    /// words need not name `on`.
    pub(super) is_indirect: bool,
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

    /// The waits of the task with this id for other tasks.
    pub(super) fn of(&self, id: u64) -> &[Edge] {
        self.edges.get(&id).map_or(&[], Vec::as_slice)
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
        let edges = self.of(id);
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
}
