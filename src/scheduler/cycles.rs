//! Cycles in a hosted loop: tasks that wait for each other, which no host can resolve.
//!
//! A host may still set an event while nothing is ready. So a hosted loop looks only for cycles, each time that it becomes
//! idle. Two events can close a cycle. First, a task begins to wait for a task that was started earlier. Second, a scope opens.
//! Its tasks then belong to a scope above, and the owner of that scope waits for all of them. Both events are noted, and the
//! search starts from the tasks that they concern.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::rc::Rc;

use super::deadlock::Report;
use super::{BlockedOn, Quorum, Scheduler, Scope, State, TaskRef, wait_graph};
use crate::iterations;

/// Where the next search for a cycle starts.
#[derive(Default)]
pub(super) struct Joins {
    /// Tasks, by id. Each cycle that was closed since the last search goes through one of them.
    unsearched: BTreeMap<u64, Joined>,
    /// Like `unsearched`, for cycles that a search has found but not reported, because a handle of an abortable may still end
    /// them.
    spared: BTreeMap<u64, Joined>,
}

struct Joined {
    task: TaskRef,
    /// True if another task has begun to wait for this one. False if this one has begun to wait at a quorum.
    is_target: bool,
}

impl Joined {
    /// Whether the noted wait may still exist, so that a cycle may go through it.
    fn is_current(&self) -> bool {
        self.is_target || self.task.blocked_on().contains(BlockedOn::COMPLETION)
    }
}

impl Joins {
    fn add(&mut self, task: &TaskRef, is_target: bool) {
        let joined = self.unsearched.entry(task.id.get());
        joined.or_insert_with(|| Joined { task: task.clone(), is_target: false }).is_target |= is_target;
    }
}

impl Scheduler {
    /// Notes that a task waits for `target`, which was started earlier: only such a wait can close a cycle.
    pub(crate) fn note_join(&self, target: &TaskRef) {
        self.note_joined(target, true);
    }

    /// Notes that `waiting` waits for tasks of a quorum, which were started earlier.
    pub(crate) fn note_join_of_quorum(&self, waiting: &TaskRef) {
        self.note_joined(waiting, false);
    }

    /// Notes that `scope` has opened: its tasks now belong to a scope above, and the owner of that scope now waits for them, too.
    pub(super) fn note_join_of_owner(&self, scope: &Rc<Scope>) {
        if self.is_hosted.get()
            && let Some(owner) = scope.nearest_closed().owner()
        {
            self.note_joined(&owner, true);
        }
    }

    fn note_joined(&self, task: &TaskRef, is_target: bool) {
        if self.is_hosted.get() {
            task.set(State::JOIN_NOTED);
            self.joins.borrow_mut().add(task, is_target);
        }
    }

    /// Removes `task`, which has ended. No cycle goes through an ended task.
    pub(super) fn forget_join(&self, task: &TaskRef) {
        let mut joins = self.joins.borrow_mut();
        joins.unsearched.remove(&task.id.get());
        joins.spared.remove(&task.id.get());
    }

    /// Whether there is a task from which a search for a cycle has to start.
    pub(super) fn has_joined(&self) -> bool {
        self.joins.borrow_if_used().is_some_and(|joins| !joins.unsearched.is_empty())
    }

    /// Called when the last handle of an abortable was dropped, or when the work of an abortable is cancelled. The next search looks
    /// again at the cycles that a handle might have ended. Returns whether there are any.
    pub(super) fn look_at_spared_cycles(&self) -> bool {
        let is_any = self.joins.borrow_if_used().is_some_and(|joins| !joins.spared.is_empty());
        if is_any {
            let mut joins = self.joins.borrow_mut();
            for joined in mem::take(&mut joins.spared).into_values() {
                joins.add(&joined.task, joined.is_target);
            }
        }
        is_any
    }

    /// Stops the loop if nothing is ready and coroutines wait for each other in a cycle, which no host can resolve.
    pub(crate) fn stop_if_cyclic(self: &Rc<Scheduler>) -> bool {
        if !self.has_joined() || self.may_time_help() || self.may_be_woken() {
            return false;
        }
        let joined = mem::take(&mut self.joins.borrow_mut().unsearched);
        let current = joined.values().filter(|joined| joined.is_current());
        if !leads_to_cycle(current.map(|joined| joined.task.clone())) {
            return false;
        }
        let abortable = self.abortable_tasks();
        let report = Report::new(self, &abortable);
        let cycle = report.cycle.clone();
        let mut joins = self.joins.borrow_mut();
        if cycle.is_empty() {
            if !abortable.is_empty() {
                joins.spared.extend(joined);
            }
            return false;
        }
        // The next search has to start from these tasks again: if the cycle is behind a shield, it still exists when everything
        // else has been cancelled.
        joins.unsearched.extend(joined);
        drop(joins);
        self.stop_stuck(report, || cycle.clone());
        true
    }

    /// The ids of the tasks that an existing handle can cancel, by aborting work.
    fn abortable_tasks(&self) -> BTreeSet<u64> {
        let mut abortable = BTreeSet::new();
        let mut scopes = vec![(self.root(), false)];
        while let Some((scope, is_inside)) = scopes.pop() {
            iterations::count();
            let sees_abort = !scope.is_shield() && !scope.is_cancelled() && (is_inside || scope.is_abortable());
            if sees_abort {
                let tasks = scope.tasks().into_iter().filter(|task| !task.has(State::SHIELDED));
                abortable.extend(tasks.map(|task| task.id.get()));
            }
            scopes.extend(scope.subscopes().into_iter().map(|below| (below, sees_abort)));
        }
        abortable
    }
}

/// A node of the graph of waits.
enum Node {
    Task(TaskRef),
    /// A task that waits at a quorum depends on each task of the quorum. Because the quorum is a node, the search visits the
    /// tasks that wait at it only once. Without this node, it would visit them once for each task of the quorum.
    Quorum(Rc<dyn Quorum>),
}

impl Node {
    /// A key that no other node has.
    fn key(&self) -> (bool, u64) {
        match self {
            Node::Task(task) => (true, task.id.get()),
            Node::Quorum(quorum) => (false, Rc::as_ptr(quorum).addr() as u64),
        }
    }

    /// The nodes that wait for this one.
    fn dependents(&self) -> Vec<Node> {
        match self {
            Node::Task(task) => {
                let quorum = task.scheduler().and_then(|scheduler| scheduler.quorum_of(task)).map(Node::Quorum);
                wait_graph::dependents(task).into_iter().map(Node::Task).chain(quorum).collect()
            }
            Node::Quorum(quorum) => quorum.waiting().into_iter().map(|(waiting, _)| Node::Task(waiting)).collect(),
        }
    }
}

/// Whether a cycle can be reached from any of `starts`, going from each node to the nodes that wait for it. Such a cycle need not
/// be a deadlock: one of its tasks may wait for any of several others.
fn leads_to_cycle(starts: impl Iterator<Item = TaskRef>) -> bool {
    // True if the node is on the path. False if the search has left the node, because the node leads to no cycle.
    let mut is_on_path = BTreeMap::new();
    // The keys of the nodes on the path, each with the dependents of its node that the search has not looked at.
    let mut path: Vec<((bool, u64), Vec<Node>)> = Vec::new();
    for start in starts {
        let mut next = Some(Node::Task(start));
        loop {
            if let Some(node) = next.take() {
                iterations::count();
                let key = node.key();
                match is_on_path.get(&key) {
                    Some(true) => return true,
                    // A start may have been reached from another one.
                    Some(false) => {}
                    None => {
                        is_on_path.insert(key, true);
                        path.push((key, node.dependents()));
                    }
                }
            }
            let Some((key, left)) = path.last_mut() else { break };
            next = left.pop();
            if next.is_none() {
                is_on_path.insert(*key, false);
                path.pop();
            }
        }
    }
    false
}
