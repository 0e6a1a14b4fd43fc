//! The statements of a coroutine, up to its next wait.

use super::Simulator;
use super::state::{Awaited, Deadline, TaskId, TimedLeaf, TimerAction, Work};
use crate::model::program::{Leaf, Limit, Part, Statement, Wait};

impl<'a> Simulator<'a> {
    /// Does the statements of `task` from where it is up to its next wait or its end.
    pub(super) fn go_on(&mut self, task: TaskId) {
        let body = match self.tasks[task].work {
            Work::Body(body) => body,
            internal => return self.go_on_internal(task, internal),
        };
        while let Some(statement) = body.statements.get(self.tasks[task].at) {
            match statement {
                Statement::Wait { wait, .. } => {
                    let (parts, is_shield) = match wait {
                        Wait::One(part) => (vec![(self.awaited_of(task, part), false)], false),
                        Wait::All(all) => {
                            (all.iter().map(|(part, catches)| (self.awaited_of(task, part), *catches)).collect(), false)
                        }
                        Wait::Shield(inner) => (vec![(Awaited::Shield(Work::Body(inner)), false)], true),
                        Wait::ShieldLeaf(inner) => {
                            (vec![(Awaited::Shield(Work::Leaf(self.timed_leaf(*inner))), false)], true)
                        }
                    };
                    return self.wait(task, parts, is_shield);
                }
                Statement::RaceLeaves { semaphore, event, limit, .. } => {
                    let sleep = self.timed_leaf(Leaf::Sleep(*limit)).into();
                    let leaves = [Awaited::Acquire(*semaphore, false), Awaited::Event(*event), sleep];
                    return self.race_leaves(task, leaves.into_iter().map(|leaf| (leaf, false)).collect());
                }
                Statement::RaceNext { event, limit, .. } => {
                    if let Some(stream) = self.front_stream(task) {
                        self.streams[stream].holders += 1;
                        let sleep = self.timed_leaf(Leaf::Sleep(*limit)).into();
                        let leaves = [Awaited::Next(stream), Awaited::Event(*event), sleep];
                        return self.race_leaves(task, leaves.into_iter().map(|leaf| (leaf, false)).collect());
                    }
                }
                Statement::Open(inner) => {
                    let stream = self.open_stream(inner);
                    self.tasks[task].streams.push_back(stream);
                }
                Statement::Close => {
                    let own = self.tasks[task].streams.pop_front();
                    if let Some(stream) = own.or_else(|| self.left_streams.pop_front()) {
                        self.drop_holder(stream);
                    }
                }
                Statement::Leave => {
                    let left = self.tasks[task].streams.pop_front();
                    self.left_streams.extend(left);
                }
                Statement::Hold(semaphore) => {
                    return self.wait(task, vec![(Awaited::Acquire(*semaphore, false), false)], false);
                }
                Statement::Spawn(inner) => return self.wait(task, vec![(Awaited::Spawn(inner), false)], false),
                Statement::SpawnShared(shared) => {
                    return self.wait(task, vec![(Awaited::SpawnShared(*shared), false)], false);
                }
                Statement::Swallow(times) => {
                    self.tasks[task].repeats = *times;
                    return self.wait(task, vec![(Awaited::Turn, true)], false);
                }
                Statement::Release => {
                    if let Some(semaphore) = self.tasks[task].permits.pop_front() {
                        self.release(semaphore);
                    }
                }
                Statement::Set(event) => {
                    self.is_set[*event] = true;
                    for waiter in std::mem::take(&mut self.event_waiters[*event]) {
                        if let Awaited::EventTimeout(_, _, is_seen) = &mut self.part(waiter).awaited {
                            *is_seen = true;
                        }
                        self.timers
                            .retain(|timer| !matches!(timer.action, TimerAction::Settle(other) if other == waiter));
                        self.settle(waiter);
                    }
                }
                Statement::Clear(event) => self.is_set[*event] = false,
                Statement::Raise => {
                    let failure = self.failure(format!("e{}.{}", body.id, self.tasks[task].at));
                    return self.fail(task, "raises", failure);
                }
                Statement::RaiseCaught => {
                    if let Some(failure) = self.tasks[task].caught.take() {
                        return self.fail(task, "raises", failure);
                    }
                }
                Statement::Panic => return self.panic(task),
                Statement::Abort => self.abort(),
                Statement::Stop => self.is_stop_requested = true,
                Statement::Return => return self.complete(task),
            }
            self.tasks[task].at += 1;
        }
        self.tasks[task].at = body.statements.len().saturating_sub(1);
        self.complete(task);
    }

    /// What a part of a wait is.
    fn awaited_of(&mut self, task: TaskId, part: &'a Part) -> Awaited<'a> {
        match part {
            Part::Turn => Awaited::Turn,
            Part::Run(body) => Awaited::Start(Work::Body(body)),
            Part::Shared(shared) => Awaited::Shared(*shared),
            Part::Join => self.tasks[task].handles.pop_front().map_or(Awaited::Turn, Awaited::Task),
            Part::Leaf(leaf) => self.timed_leaf(*leaf).into(),
            Part::Acquire(semaphore) => Awaited::Acquire(*semaphore, false),
            Part::Timeout(body, limit) => Awaited::Timeout(Work::Body(body), self.deadline(*limit)),
            Part::TimeoutLeaf(leaf, limit) => {
                let leaf = self.timed_leaf(*leaf);
                Awaited::Timeout(Work::Leaf(leaf), self.deadline(*limit))
            }
            Part::Race(bodies) => Awaited::Race(bodies),
            Part::Abortable(body) => {
                self.abortables.push(None);
                Awaited::Abortable(body, self.abortables.len() - 1)
            }
            Part::Contain(body) => Awaited::Contain(body),
            Part::Isolate(body, grouping) => Awaited::Isolate(body, *grouping),
            Part::Shield(body) => Awaited::Shield(Work::Body(body)),
            Part::Finally(bodies) => Awaited::Start(Work::Finally(bodies)),
            Part::Bracket(bodies) => Awaited::Start(Work::Bracket(bodies)),
            Part::Next => match self.front_stream(task) {
                Some(stream) => {
                    self.streams[stream].holders += 1;
                    Awaited::Next(stream)
                }
                None => Awaited::Turn,
            },
            Part::Emit => self.tasks[task].emits.map_or(Awaited::Turn, Awaited::Emit),
        }
    }

    fn timed_leaf(&mut self, leaf: Leaf) -> TimedLeaf {
        match leaf {
            Leaf::Event(event) => TimedLeaf::Event(event),
            Leaf::EventTimeout(event, limit) => TimedLeaf::EventTimeout(event, self.deadline(limit)),
            Leaf::Sleep(limit) => TimedLeaf::Sleep(self.deadline(limit)),
        }
    }

    fn deadline(&self, limit: Limit) -> Deadline {
        match limit {
            Limit::Zero => Some(self.now),
            Limit::Ticks(ticks) => Some(self.now + ticks as u64),
            Limit::Never => None,
        }
    }
}
