//! Internal tasks: each has one wait, or several, one after the other.

use super::Simulator;
use super::state::{Awaited, Failure, TaskId, Work};

impl<'a> Simulator<'a> {
    /// Begins the next wait of an internal task.
    pub(super) fn go_on_internal(&mut self, task: TaskId, work: Work<'a>) {
        let (awaited, is_shield) = match (work, self.tasks[task].stage) {
            (Work::Leaf(leaf), _) => (leaf.into(), false),
            (Work::Carry(body), _) => (Awaited::Start(Work::Body(body)), false),
            (Work::Finally([work, _]), 0) => (Awaited::Guarded(Work::Body(work)), true),
            (Work::Finally([_, cleanup]), _) => (Awaited::Shield(Work::Body(cleanup)), true),
            (Work::Bracket([open, ..]), 0) => (Awaited::Shield(Work::Body(open)), true),
            (Work::Bracket([_, work, _]), 1) => (Awaited::Guarded(Work::Carry(work)), true),
            (Work::Bracket([.., close]), _) => (Awaited::Shield(Work::Body(close)), true),
            (Work::Body(_), _) => unreachable!("a body is not internal"),
        };
        self.wait(task, vec![(awaited, false)], is_shield);
    }

    /// A wait of an internal task is over. `inner` is the task that it waited for, if it was one in a scope of its own.
    pub(super) fn internal_wait_is_over(&mut self, task: TaskId, inner: Option<TaskId>, gave: Result<String, Failure>) {
        let work = self.tasks[task].work;
        let stage = self.tasks[task].stage;
        self.tasks[task].stage += 1;
        let result = match (work, stage) {
            (Work::Finally(_), 0) if inner.is_some_and(|inner| self.tasks[inner].has_begun) => {
                self.tasks[task].result = Some(gave);
                return self.go_on_internal(task, work);
            }
            (Work::Bracket(_), 0) if gave.is_ok() => return self.go_on_internal(task, work),
            (Work::Bracket(_), 1) => {
                self.tasks[task].result = Some(gave);
                return self.go_on_internal(task, work);
            }
            (Work::Finally(_) | Work::Bracket(_), 1..) => {
                let result = self.tasks[task].result.take().expect("the work is over");
                result.and_then(|output| gave.map(|_| output))
            }
            _ => gave,
        };
        match result {
            Ok(output) => {
                self.tasks[task].output = output;
                self.complete(task);
            }
            Err(failure) => self.fail(task, "", failure),
        }
    }
}
