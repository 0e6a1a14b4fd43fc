//! Quorums: tasks that wait until some number of other tasks have ended, no matter which of them.
//!
//! [`as_completed`](crate::as_completed) keeps the tasks that wait. It registers its quorums here only for the search for
//! deadlocks.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::{Rc, Weak};

use super::{Scheduler, TaskRef};

/// The data of a quorum that the search for deadlocks reads.
pub(crate) trait Quorum {
    /// The tasks of the quorum that have not ended.
    fn running(&self) -> Vec<TaskRef>;

    /// The tasks that wait, each with the number of running tasks that have to end before it goes on.
    fn waiting(&self) -> Vec<(TaskRef, usize)>;
}

/// The quorums of a loop, by the ids of their tasks.
#[derive(Default)]
pub(super) struct Quorums {
    /// The key is the last id of a range of tasks. The value has the first id of the range, and the quorum.
    by_last_id: BTreeMap<u64, (u64, Weak<dyn Quorum>)>,
    /// When there are this many ranges, the ranges of quorums that no longer exist are removed.
    prune_at: usize,
}

impl Quorums {
    fn add(&mut self, first: u64, last: u64, quorum: Weak<dyn Quorum>) {
        if self.by_last_id.len() >= self.prune_at {
            self.by_last_id.retain(|_, (_, quorum)| quorum.strong_count() != 0);
            self.prune_at = 2 * self.by_last_id.len() + 8;
        }
        self.by_last_id.insert(last, (first, quorum));
    }

    fn of(&self, id: u64) -> Option<Rc<dyn Quorum>> {
        let (_, (first, quorum)) = self.by_last_id.range(id..).next()?;
        if *first <= id { quorum.upgrade() } else { None }
    }

    fn all(&self) -> Vec<Rc<dyn Quorum>> {
        let mut seen = BTreeSet::new();
        let all = self.by_last_id.values().filter_map(|(_, quorum)| quorum.upgrade());
        all.filter(|quorum| seen.insert(Rc::as_ptr(quorum).addr())).collect()
    }
}

impl Scheduler {
    /// Notes that the tasks with the ids `first` to `last` belong to `quorum`.
    pub(crate) fn note_quorum(&self, first: u64, last: u64, quorum: Weak<dyn Quorum>) {
        self.quorums.borrow_mut().add(first, last, quorum);
    }

    /// Called because the task with the id `last` has ended. If `last` is the last id of a range, or its only id, removes the
    /// range.
    pub(crate) fn forget_quorum(&self, last: u64) {
        self.quorums.borrow_mut().by_last_id.remove(&last);
    }

    pub(super) fn quorum_of(&self, task: &TaskRef) -> Option<Rc<dyn Quorum>> {
        self.quorums.borrow_if_used()?.of(task.id.get())
    }

    pub(super) fn quorums(&self) -> Vec<Rc<dyn Quorum>> {
        self.quorums.borrow_if_used().map_or_else(Vec::new, |quorums| quorums.all())
    }
}
