//! Waits: how each kind begins, when a part is ready, and what happens when a wait is given up.

use super::Simulator;
use super::state::{
    ActiveWait, Awaited, Deadline, ScopeId, ScopeKind, Task, TaskId, Timer, TimerAction, WaitPart, Waiter, Work,
};
use crate::model::program::Grouping;

impl<'a> Simulator<'a> {
    /// The running `task` begins to wait for all of `parts`.
    pub(super) fn wait(&mut self, task: TaskId, parts: Vec<(Awaited<'a>, bool)>, is_shield: bool) {
        self.begin_wait(task, parts, is_shield, false);
    }

    /// The running `task` begins to wait for the first of `parts`.
    pub(super) fn race_leaves(&mut self, task: TaskId, parts: Vec<(Awaited<'a>, bool)>) {
        self.begin_wait(task, parts, false, true);
    }

    fn begin_wait(&mut self, task: TaskId, parts: Vec<(Awaited<'a>, bool)>, is_shield: bool, is_race: bool) {
        if self.tasks[task].is_cancelled && !is_shield {
            // The waits are dropped without having begun.
            for (awaited, _) in parts {
                if let Awaited::Next(stream) = awaited {
                    self.drop_holder(stream);
                }
            }
            if let Some(cancelled) = self.raise_cancelled(task) {
                self.raised(task, None, cancelled);
            }
            return;
        }
        let part = |(awaited, catches)| WaitPart { awaited, catches, is_ready: false };
        let parts: Vec<_> = parts.into_iter().map(part).collect();
        let count = parts.len();
        self.tasks[task].wait = Some(ActiveWait { parts, is_shield, is_race });
        for part in 0..count {
            self.begin((task, part));
            if is_race && self.is_ready(task) {
                // The leaves after it never begin.
                break;
            }
        }
        self.running = None;
        let parts = &self.tasks[task].wait.as_ref().expect("the task waits").parts;
        let has_failed = parts.iter().any(|part| self.error_of_part(part).is_some());
        if has_failed || self.is_ready(task) {
            self.enqueue(task);
        }
    }

    /// Begins to wait for one part.
    fn begin(&mut self, waiter: Waiter) {
        let (task, _) = waiter;
        let scope = self.tasks[task].scope;
        match std::mem::replace(&mut self.part(waiter).awaited, Awaited::Turn) {
            Awaited::Turn => self.part(waiter).is_ready = true,
            Awaited::Start(work) => {
                let other = self.start(work, scope, false);
                self.join(waiter, other);
            }
            Awaited::Shared(shared) => {
                let other = self.start_shared(shared, scope);
                self.join(waiter, other);
            }
            Awaited::Task(other) => self.join(waiter, other),
            Awaited::Spawn(body) => {
                let other = self.start(Work::Body(body), scope, false);
                *self.part(waiter) =
                    WaitPart { awaited: Awaited::Spawned(Some(other)), catches: false, is_ready: true };
            }
            Awaited::SpawnShared(shared) => {
                let other = self.start_shared(shared, scope);
                self.spawned.push(other);
                *self.part(waiter) = WaitPart { awaited: Awaited::Spawned(None), catches: false, is_ready: true };
            }
            Awaited::Sleep(deadline) => {
                self.part(waiter).awaited = Awaited::Sleep(deadline);
                self.set_timer(deadline, TimerAction::Settle(waiter));
            }
            Awaited::Event(event) => {
                self.part(waiter).awaited = Awaited::Event(event);
                self.wait_for_event(waiter, event, None);
            }
            Awaited::EventTimeout(event, deadline, _) => {
                self.part(waiter).awaited = Awaited::EventTimeout(event, deadline, self.is_set[event]);
                self.wait_for_event(waiter, event, deadline);
            }
            Awaited::Acquire(semaphore, _) => {
                let is_free = self.free[semaphore] > 0;
                self.part(waiter).awaited = Awaited::Acquire(semaphore, is_free);
                self.part(waiter).is_ready = is_free;
                if is_free {
                    self.free[semaphore] -= 1;
                } else {
                    self.permit_waiters[semaphore].push(waiter);
                }
            }
            Awaited::Timeout(work, deadline) => {
                let inner = self.add_scope(ScopeKind::Timeout, Some(scope), Some(waiter));
                self.set_timer(deadline, TimerAction::Expire(inner));
                self.start_scope(waiter, inner, work);
            }
            Awaited::Abortable(body, handle) => {
                let inner = self.add_scope(ScopeKind::Abortable, Some(scope), Some(waiter));
                self.abortables[handle] = Some(inner);
                self.start_scope(waiter, inner, Work::Body(body));
            }
            Awaited::Contain(body) => {
                let inner = self.add_scope(ScopeKind::Domain(Grouping::Auto), Some(scope), Some(waiter));
                self.scopes[inner].contains_panics = true;
                self.start_scope(waiter, inner, Work::Body(body));
            }
            Awaited::Isolate(body, grouping) => {
                let inner = self.add_scope(ScopeKind::Domain(grouping), Some(scope), Some(waiter));
                self.start_scope(waiter, inner, Work::Body(body));
            }
            Awaited::Shield(work) => {
                let inner = self.add_scope(ScopeKind::Shield, Some(scope), Some(waiter));
                self.start_scope(waiter, inner, work);
            }
            Awaited::Guarded(work) => {
                let inner = self.add_scope(ScopeKind::Guarded, Some(scope), Some(waiter));
                self.start_scope(waiter, inner, work);
            }
            Awaited::Next(stream) => {
                self.part(waiter).awaited = Awaited::Next(stream);
                self.read(waiter, stream);
            }
            Awaited::Emit(stream) => self.emit(waiter, stream),
            Awaited::Race(bodies) => {
                let mut runners = Vec::new();
                self.races += 1;
                for body in bodies {
                    let inner = self.add_scope(ScopeKind::Runner, Some(scope), Some(waiter));
                    self.scopes[inner].race = Some(self.races);
                    runners.push((inner, self.start(Work::Body(body), inner, true)));
                }
                self.part(waiter).awaited = Awaited::Runners(runners);
            }
            Awaited::Spawned(_)
            | Awaited::Scope(..)
            | Awaited::Runners(_)
            | Awaited::Offered(..)
            | Awaited::Read(_) => unreachable!("it has begun"),
        }
    }

    fn start_shared(&mut self, shared: usize, scope: ScopeId) -> TaskId {
        match self.shared[shared] {
            Some(task) => task,
            None => {
                let body = &self.program.expect("`run` sets it").shared[shared];
                let inner = self.add_scope(ScopeKind::Shared, Some(self.scope_for_shared(scope)), None);
                let task = self.start(Work::Body(body), inner, true);
                self.shared[shared] = Some(task);
                task
            }
        }
    }

    fn start_scope(&mut self, waiter: Waiter, scope: ScopeId, work: Work<'a>) {
        let root = self.start(work, scope, true);
        self.part(waiter).awaited = Awaited::Scope(scope, root);
    }

    pub(super) fn join(&mut self, waiter: Waiter, task: TaskId) {
        self.part(waiter).awaited = Awaited::Task(task);
        if self.tasks[task].has_ended {
            self.part(waiter).is_ready = true;
        } else {
            self.tasks[task].waiters.push(waiter);
        }
    }

    fn wait_for_event(&mut self, waiter: Waiter, event: usize, deadline: Deadline) {
        if self.is_set[event] {
            self.part(waiter).is_ready = true;
        } else {
            self.event_waiters[event].push(waiter);
            self.set_timer(deadline, TimerAction::Settle(waiter));
        }
    }

    fn set_timer(&mut self, deadline: Deadline, action: TimerAction) {
        // Timers fire in the order of their deadlines, and of equal deadlines in the order in which they were set.
        if let Some(deadline) = deadline {
            self.timers.push(Timer { deadline, action });
        }
    }

    pub(super) fn part(&mut self, (task, part): Waiter) -> &mut WaitPart<'a> {
        &mut self.tasks[task].wait.as_mut().expect("the task waits").parts[part]
    }

    /// A part of the wait of a task is ready, or has failed.
    pub(super) fn settle(&mut self, waiter: Waiter) {
        let (task, _) = waiter;
        for waiters in &mut self.event_waiters {
            waiters.retain(|other| *other != waiter);
        }
        self.part(waiter).is_ready = true;
        if self.error_of_part(&self.tasks[task].wait.as_ref().expect("the task waits").parts[waiter.1]).is_some()
            || self.is_ready(task)
        {
            self.enqueue(task);
        }
    }

    /// Releases a permit, which goes to the waiter that has waited longest.
    pub(super) fn release(&mut self, semaphore: usize) {
        if self.permit_waiters[semaphore].is_empty() {
            self.free[semaphore] += 1;
        } else {
            let waiter = self.permit_waiters[semaphore].remove(0);
            self.part(waiter).awaited = Awaited::Acquire(semaphore, true);
            self.settle(waiter);
        }
    }

    /// `task` gives up its wait. No part of it stays behind.
    pub(super) fn give_up(&mut self, task: TaskId) {
        let Some(ActiveWait { parts, .. }) = self.tasks[task].wait.take() else { return };
        let is_not_it = |waiter: &Waiter| waiter.0 != task;
        self.timers.retain(|timer| !matches!(timer.action, TimerAction::Settle(waiter) if waiter.0 == task));
        self.event_waiters.iter_mut().for_each(|waiters| waiters.retain(is_not_it));
        self.permit_waiters.iter_mut().for_each(|waiters| waiters.retain(is_not_it));
        self.tasks.iter_mut().for_each(|other| other.waiters.retain(is_not_it));
        for (index, part) in parts.iter().enumerate() {
            match &part.awaited {
                Awaited::Acquire(semaphore, true) => self.release(*semaphore),
                Awaited::Next(stream) => self.leave((task, index), *stream),
                Awaited::Offered(stream) => self.withdraw((task, index), *stream),
                Awaited::Task(other) => self.give_up_shared(task, *other),
                Awaited::Scope(scope, _) => self.disown(*scope),
                Awaited::Runners(runners) => runners.iter().for_each(|(scope, _)| self.disown(*scope)),
                _ => {}
            }
        }
    }

    /// The race of `task` is over: gives up all parts but `winner`.
    pub(super) fn give_up_losers(&mut self, task: TaskId, winner: usize) {
        let is_loser = |waiter: &Waiter| waiter.0 == task && waiter.1 != winner;
        self.timers.retain(|timer| !matches!(timer.action, TimerAction::Settle(waiter) if is_loser(&waiter)));
        self.event_waiters.iter_mut().for_each(|waiters| waiters.retain(|waiter| !is_loser(waiter)));
        self.permit_waiters.iter_mut().for_each(|waiters| waiters.retain(|waiter| !is_loser(waiter)));
        let parts = &self.tasks[task].wait.as_ref().expect("the task waits").parts;
        let has_permit = |(index, part): (usize, &WaitPart<'a>)| match part.awaited {
            Awaited::Acquire(semaphore, true) if index != winner && part.is_ready => Some(semaphore),
            _ => None,
        };
        let permits: Vec<_> = parts.iter().enumerate().filter_map(has_permit).collect();
        permits.into_iter().for_each(|semaphore| self.release(semaphore));
        for index in 0..self.tasks[task].wait.as_ref().expect("the task waits").parts.len() {
            if let Awaited::Next(stream) = self.part((task, index)).awaited
                && index != winner
            {
                self.part((task, index)).awaited = Awaited::Turn;
                self.leave((task, index), stream);
            }
        }
    }

    /// `task` no longer waits for `other`. A shared coroutine is cancelled when its last waiter gives up, unless it was
    /// spawned. The scope of that waiter does not end before the shared coroutine.
    fn give_up_shared(&mut self, task: TaskId, other: TaskId) {
        let Task { scope, has_ended, .. } = self.tasks[other];
        let is_abandoned = self.shared.contains(&Some(other)) && self.tasks[other].waiters.is_empty();
        if !is_abandoned || has_ended || self.spawned.contains(&other) || self.scopes[scope].cancelled.is_some() {
            return;
        }
        let own = self.tasks[task].scope;
        if !self.ends_after(scope, own) {
            let placeholder = self.add_scope(ScopeKind::Placeholder, Some(own), None);
            self.scopes[scope].placeholders.push(placeholder);
        }
        let why = self.scopes[own].cancelled.clone().unwrap_or_else(|| "dropped".to_string());
        self.cancel(scope, &why);
    }

    /// The owner of `scope` gives up.
    fn disown(&mut self, scope: ScopeId) {
        self.scopes[scope].owner = None;
        if self.scopes[scope].has_ended {
            self.report_untaken(scope);
            return;
        }
        let is_shield = self.scopes[scope].kind == ScopeKind::Shield && self.scopes[scope].cancelled.is_none();
        let moved = if is_shield { self.move_shared_out(scope) } else { Vec::new() };
        self.cancel(scope, "dropped");
        // These shared coroutines are outside of the shield now, where a cancellation may be due.
        if let Some(&shared) = moved.first()
            && let Some(home) = self.scopes[shared].parent
            && let Some(why) = self.scopes[home].cancelled.clone()
        {
            self.cancel_content(Vec::new(), moved, &why);
        }
    }
}
