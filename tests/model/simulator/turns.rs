//! Turns: which tasks are due, and what a task sees when it is resumed.

use super::Simulator;
use super::state::{ActiveWait, Awaited, Failure, Scope, ScopeId, ScopeKind, Task, TaskId, WaitPart, Waiter, Work};
use crate::model::program::{Statement, Wait};

/// A task that catches its cancellation this number of times in a row is dropped.
const MAX_SWALLOWED: usize = 100;

impl<'a> Simulator<'a> {
    /// Starts a task. It has its first turn in the next round.
    pub(super) fn start(&mut self, work: Work<'a>, scope: ScopeId, is_root: bool) -> TaskId {
        let task = self.tasks.len();
        self.tasks.push(Task::new(work, scope, is_root));
        if self.scopes[scope].cancelled.is_some() {
            // It never begins.
            self.tasks[task].is_cancelled = true;
            self.cancelling.push_back(task);
        } else {
            self.enqueue(task);
        }
        task
    }

    pub(super) fn enqueue(&mut self, task: TaskId) {
        let Task { is_queued, has_ended, .. } = self.tasks[task];
        // A task that runs is checked when it waits.
        if !is_queued && !has_ended && self.running != Some(task) {
            self.tasks[task].is_queued = true;
            self.next_round.push_back(task);
        }
    }

    pub(super) fn ready_turn(&mut self, task: TaskId) {
        self.tasks[task].is_queued = false;
        if self.has_turn(task) {
            self.turn(task);
        }
    }

    /// Whether a queued task would have its turn now.
    fn has_turn(&self, task: TaskId) -> bool {
        !self.tasks[task].has_ended && !self.tasks[task].is_deferred && self.is_due(task)
    }

    /// Whether it can go on: its wait is over, or raises an error.
    fn is_due(&self, task: TaskId) -> bool {
        self.error_to_raise(task).is_some() || self.is_ready(task)
    }

    /// Whether a queued task counts in the order of its round. A task is also resumed when a part has failed and the error of this part is
    /// caught. The task does not go on then, but its turn counts.
    pub(super) fn is_counted(&self, task: TaskId) -> bool {
        let Task { has_ended, is_deferred, wait, .. } = &self.tasks[task];
        let has_failed = wait.iter().flat_map(|wait| &wait.parts).any(|part| self.error_of_part(part).is_some());
        !has_ended && !is_deferred && (has_failed || self.is_due(task))
    }

    /// Whether all parts of its wait are ready.
    pub(super) fn is_ready(&self, task: TaskId) -> bool {
        self.tasks[task].wait.as_ref().is_none_or(|wait| match wait.is_race {
            true => wait.parts.iter().any(|part| part.is_ready),
            false => wait.parts.iter().all(|part| part.is_ready),
        })
    }

    /// The error of a part of the wait of `task`, if the error of that part is not caught. The error of a stream counts only
    /// when nothing else is pending.
    fn error_to_raise(&self, task: TaskId) -> Option<Failure> {
        let parts = || self.tasks[task].wait.iter().flat_map(|wait| wait.parts.iter().enumerate());
        let parts = || parts().filter(|(_, part)| !part.catches);
        let of_task = parts().find_map(|(_, part)| self.error_of_part(part));
        let of_stream = || parts().find_map(|(index, part)| self.error_of_next((task, index), part));
        of_task.or_else(|| if self.is_ready(task) { of_stream() } else { None })
    }

    fn error_of_next(&self, waiter: Waiter, part: &WaitPart<'a>) -> Option<Failure> {
        match part.awaited {
            Awaited::Next(stream) => self.error_of_stream(waiter, stream),
            _ => None,
        }
    }

    pub(super) fn error_of_part(&self, part: &WaitPart<'a>) -> Option<Failure> {
        match part.awaited {
            Awaited::Task(other) => self.tasks[other].error.clone(),
            Awaited::Scope(scope, root)
                if matches!(self.scopes[scope].kind, ScopeKind::Shield | ScopeKind::Guarded) && part.is_ready =>
            {
                self.tasks[root].error.clone()
            }
            _ => None,
        }
    }

    /// Resumes a task whose wait is over, or in which its cancellation is raised.
    pub(super) fn turn(&mut self, task: TaskId) {
        self.running = Some(task);
        if !self.tasks[task].has_begun {
            self.tasks[task].has_begun = true;
            if let Work::Body(body) = self.tasks[task].work {
                self.observed.log.push(format!("c{} begins", body.id));
            }
            return self.go_on(task);
        }
        let is_shield = self.tasks[task].wait.as_ref().is_some_and(|wait| wait.is_shield);
        let is_cancelled = self.tasks[task].is_cancelled;
        let mut failed = self.error_to_raise(task);
        if is_cancelled && is_shield {
            self.tasks[task].swallowed = 0;
        }
        if is_cancelled && (!is_shield || failed.is_some()) && !self.keeps_arrived(task) {
            match self.raise_cancelled(task) {
                Some(cancelled) => failed = Some(cancelled),
                None => return,
            }
        }
        match failed {
            Some(failure) => {
                let awaited = self.tasks[task].wait.as_ref().and_then(|wait| wait.parts.first());
                let inner = awaited.and_then(|part| match part.awaited {
                    Awaited::Scope(_, inner) => Some(inner),
                    _ => None,
                });
                self.give_up(task);
                self.raised(task, inner, failure);
            }
            None => self.finish_wait(task),
        }
    }

    /// Whether the wait of `task` was over when a timeout, an abort or a race cancelled `task`. Then the task gets the value that has
    /// arrived. But a loser of a race gives permits and values of streams back, if it has got no other values.
    fn keeps_arrived(&self, task: TaskId) -> bool {
        let Some(wait) = &self.tasks[task].wait else { return false };
        let has_completed = |task: TaskId| self.tasks[task].has_ended && self.tasks[task].error.is_none();
        let decisive = if wait.is_race { wait.parts.iter().find(|part| part.is_ready) } else { None };
        let deciding = decisive.map_or(&wait.parts[..], std::slice::from_ref);
        let given_back = |part: &WaitPart| matches!(part.awaited, Awaited::Acquire(..) | Awaited::Next(_));
        let kept = |part: &WaitPart| match part.awaited {
            Awaited::Task(_) | Awaited::Runners(_) => true,
            Awaited::Scope(scope, _) => self.scopes[scope].kind != ScopeKind::Shield,
            _ => false,
        };
        let carries_value = deciding.iter().any(|part| given_back(part) || kept(part));
        let gives_back = !deciding.iter().any(kept);
        let have_values = wait.parts.iter().enumerate().all(|(index, part)| match &part.awaited {
            Awaited::Next(_) => self.error_of_next((task, index), part).is_none(),
            Awaited::Task(other) => has_completed(*other),
            Awaited::Scope(scope, root) => {
                let Scope { has_expired, failure, .. } = &self.scopes[*scope];
                has_completed(*root) || *has_expired || (self.is_domain(*scope) && failure.is_some())
            }
            Awaited::Runners(runners) => runners.iter().any(|(scope, _)| self.scopes[*scope].has_won),
            _ => true,
        });
        !wait.is_shield
            && carries_value
            && have_values
            && self.is_ready(task)
            && match self.scopes[self.tasks[task].scope].cancelled.as_deref() {
                Some("timed out" | "aborted") => true,
                Some("raced") => !gives_back,
                _ => false,
            }
    }

    /// The cancellation to raise in `task`. `None` if it has caught too many in a row: then it was dropped.
    pub(super) fn raise_cancelled(&mut self, task: TaskId) -> Option<Failure> {
        self.tasks[task].has_seen_cancellation = true;
        self.tasks[task].swallowed += 1;
        if self.tasks[task].swallowed > MAX_SWALLOWED {
            self.running = None;
            self.drop_stuck(task, "swallows");
            return None;
        }
        let why = self.scopes[self.tasks[task].scope].cancelled.clone().expect("its scope was cancelled");
        Some(self.cancellation(&why))
    }

    /// Drops a task that does not end by itself, and reports that as an error.
    pub(super) fn drop_stuck(&mut self, task: TaskId, what: &str) {
        let failure = match self.is_internal(task) {
            true => self.cancellation("dropped"),
            false => self.failure(format!("{} {what}", self.name(task))),
        };
        if self.tasks[task].has_begun {
            self.drop_body(task, "stops");
        } else {
            self.drop_emitter(task);
        }
        self.end(task, Some(failure));
    }

    /// The wait of `task` is over: logs the output, and goes on.
    fn finish_wait(&mut self, task: TaskId) {
        let wait = self.tasks[task].wait.as_ref().expect("the task waits");
        if wait.is_race {
            let winner = wait.parts.iter().position(|part| part.is_ready).expect("a part is ready");
            self.give_up_losers(task, winner);
            let parts = self.take_outputs(task);
            let next = match &parts[winner].awaited {
                Awaited::Read(_) => format!(" and {}", self.describe(task, &parts[winner])),
                _ => String::new(),
            };
            self.log(task, &format!("wins {winner}{next}"));
            if let Awaited::Acquire(semaphore, true) = parts[winner].awaited {
                self.release(semaphore);
            }
            return self.next(task);
        }
        let parts = self.take_outputs(task);
        let Work::Body(body) = self.tasks[task].work else {
            let (inner, output) = match (self.tasks[task].work, &parts[0].awaited) {
                (Work::Leaf(_), _) => (None, self.describe(task, &parts[0])),
                (_, Awaited::Scope(_, inner) | Awaited::Task(inner)) => {
                    (Some(*inner), self.tasks[*inner].output.clone())
                }
                _ => unreachable!("other internal tasks wait for tasks"),
            };
            return self.internal_wait_is_over(task, inner, Ok(output));
        };
        let texts: Vec<_> = parts.iter().map(|part| self.describe(task, part)).collect();
        let text = match &body.statements[self.tasks[task].at] {
            Statement::Wait { wait: Wait::All(_), .. } => format!("[{}]", texts.join(", ")),
            Statement::Swallow(_) => return self.swallowed(task),
            Statement::Hold(semaphore) => {
                self.tasks[task].permits.push_back(*semaphore);
                self.log(task, &texts[0]);
                return self.next(task);
            }
            _ => texts[0].clone(),
        };
        self.log(task, &text);
        for part in &parts {
            match part.awaited {
                Awaited::Acquire(semaphore, true) => self.release(semaphore),
                Awaited::Spawned(Some(other)) => self.tasks[task].handles.push_back(other),
                _ => {}
            }
        }
        self.next(task);
    }

    /// Takes the outputs of a wait that is over.
    fn take_outputs(&mut self, task: TaskId) -> Vec<WaitPart<'a>> {
        let mut read = Vec::new();
        for index in 0..self.tasks[task].wait.as_ref().expect("the task waits").parts.len() {
            if let Awaited::Next(stream) = self.part((task, index)).awaited {
                let value = self.take_value((task, index), stream);
                self.part((task, index)).awaited = Awaited::Read(value);
                read.push(stream);
            }
        }
        let ActiveWait { parts, .. } = self.tasks[task].wait.take().expect("the task waits");
        read.into_iter().for_each(|stream| self.drop_holder(stream));
        parts
    }

    /// `failure` is raised at the wait of `task`.
    pub(super) fn raised(&mut self, task: TaskId, inner: Option<TaskId>, failure: Failure) {
        let catches = match self.tasks[task].work {
            Work::Body(body) => match &body.statements[self.tasks[task].at] {
                Statement::Wait { catch, .. }
                | Statement::RaceLeaves { catch, .. }
                | Statement::RaceNext { catch, .. } => *catch,
                Statement::Swallow(_) => return self.swallowed(task),
                _ => false,
            },
            _ => return self.internal_wait_is_over(task, inner, Err(failure)),
        };
        if catches {
            self.log(task, &format!("catches {}", failure.text));
            self.tasks[task].caught = Some(failure);
            self.next(task);
        } else {
            self.fail(task, "stops", failure);
        }
    }

    /// `task` has had one of its turns of a `Swallow`.
    fn swallowed(&mut self, task: TaskId) {
        self.tasks[task].repeats -= 1;
        if self.tasks[task].repeats > 0 {
            return self.wait(task, vec![(Awaited::Turn, true)], false);
        }
        self.log(task, "goes on");
        self.next(task);
    }

    fn next(&mut self, task: TaskId) {
        self.tasks[task].at += 1;
        self.go_on(task);
    }
}
