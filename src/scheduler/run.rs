//! Running: rounds, turns, and what happens between two rounds.
//!
//! Cancellations come first: while tasks wait to see theirs, no other task has a turn. Otherwise the run queue is taken in
//! rounds. Between two rounds the loop looks at the inbox and at the clock.

use std::rc::Rc;
use std::time::Instant;

use super::inbox::SlotKey;
use super::inbox::{Inbox, WakeSlot};
use super::task::Turn;
use super::task::drop::with_own_depth;
use super::task::swallowed::MAX_SWALLOWED;
use super::timers::{self, Timer};
use super::{Header, Scheduler, State, TaskRef, WakeTarget};
use crate::capacity::KEPT_CAPACITY;
use crate::error::{Cancelled, Error, Reason};
use crate::panic::catch;
use crate::work;

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The whole budget was used.
    Ran,
    /// Nothing is ready.
    Idle,
    /// Every task has ended.
    Done,
}

impl Scheduler {
    /// Takes at most `budget` steps, and subtracts from it how many it took. A panic of user code does not leave this function:
    /// it stops the loop, and is kept for [`take_panic`](Scheduler::take_panic).
    pub(crate) fn run(self: &Rc<Scheduler>, budget: &mut usize) -> Progress {
        let _running = Running::new(self);
        with_own_depth(|| {
            loop {
                let steps = || if self.is_observed() { self.observed_steps(budget) } else { self.steps(budget) };
                match catch(steps) {
                    Ok(progress) => return progress,
                    Err(payload) => self.end_panicked(payload),
                }
            }
        })
    }

    fn steps(self: &Rc<Scheduler>, budget: &mut usize) -> Progress {
        'steps: while *budget > 0 {
            if self.is_cancelling.get() {
                if let Some(task) = self.next_to_cancel() {
                    *budget -= 1;
                    self.cancelling_turn(task);
                }
                continue;
            }
            let task = 'ready: {
                if let Some(task) = self.run_queue.pop() {
                    break 'ready task;
                }
                if let Some(task) = self.only_ready() {
                    break 'ready task;
                }
                if !self.begin_round()
                    && !self.is_cancelling.get()
                    && !self.is_locally_woken()
                    && let Some(progress) = self.idle()
                {
                    return progress;
                }
                continue 'steps;
            };
            *budget -= 1;
            self.ready_turn(task);
        }
        Progress::Ran
    }

    // Between rounds.

    /// Begins a round of the one task that is ready, and takes it, if there is no news to look at first. `None` if the round begins in
    /// the usual way.
    #[inline(always)]
    fn only_ready(&self) -> Option<TaskRef> {
        if self.may_have_news() { None } else { self.run_queue.take_only() }
    }

    /// Looks at the inbox and the clock, and begins a round. False if nothing is ready.
    #[inline(always)]
    pub(super) fn begin_round(self: &Rc<Scheduler>) -> bool {
        if self.may_have_news() {
            self.look_around();
        }
        self.run_queue.begin_round()
    }

    /// Whether to look at the clock and the inbox.
    #[inline(always)]
    pub(super) fn may_have_news(&self) -> bool {
        self.clock.has_deadline() || self.is_signalled()
    }

    #[inline(never)]
    fn look_around(self: &Rc<Scheduler>) {
        self.look_outside();
        self.look_at_clock();
    }

    #[inline(always)]
    pub(super) fn look_outside(self: &Rc<Scheduler>) {
        if let Some(inbox) = self.inbox.get() {
            if inbox.local.is_signalled() {
                self.serve_local_wakes(inbox);
            }
            if inbox.has_delivery() {
                self.empty_inbox(inbox);
            }
        }
    }

    #[inline(always)]
    pub(super) fn look_at_clock(self: &Rc<Scheduler>) {
        if let Some(now) = self.clock.time_if_due() {
            self.fire_timers(now);
        }
    }

    #[inline]
    fn serve_local_wakes(&self, inbox: &Inbox) {
        let woken = inbox.local.take();
        for &key in &woken {
            self.wake(key, WakeSlot::acknowledge_locally);
        }
        inbox.local.keep(woken);
    }

    #[inline(never)]
    fn empty_inbox(self: &Rc<Scheduler>, inbox: &Inbox) {
        let mut delivery = self.delivery.take().unwrap_or_default();
        inbox.take(&mut delivery);
        if !delivery.woken.is_empty() || delivery.stop.is_some() {
            self.note_outside();
        }
        for wake_slot in delivery.woken.drain(..) {
            self.wake(wake_slot.key, WakeSlot::acknowledge);
        }
        if let Some(reason) = delivery.stop.take() {
            self.abandon(reason);
        }
        delivery.shrink();
        self.delivery.set(Some(delivery));
    }

    /// Wakes the task, or calls the function, of the slot with this key, if the slot still exists.
    #[inline]
    fn wake(&self, key: SlotKey, acknowledge: impl FnOnce(&WakeSlot)) {
        let wake_slots = self.wake_slots.borrow();
        let Some((wake_slot, target)) = wake_slots.get(key.index).filter(|(there, _)| there.key == key) else { return };
        acknowledge(wake_slot);
        match target {
            WakeTarget::Task(task) => task.wake_on(self),
            WakeTarget::Call(call) => {
                let call = call.clone();
                drop(wake_slots);
                call();
            }
        }
    }

    /// Whether user code that ran between two rounds has woken a task of this loop.
    pub(super) fn is_locally_woken(&self) -> bool {
        self.inbox.get().is_some_and(|inbox| inbox.is_signalled())
    }

    #[inline(never)]
    fn fire_timers(self: &Rc<Scheduler>, now: Instant) {
        let count = self.timers.borrow().as_ref().map_or(0, |timers| timers.count(now));
        loop {
            let Some(mut due) = self.timers.borrow_mut().as_mut().map(|timers| timers.take_due(count)) else {
                break;
            };
            due.iter().for_each(|_| work::count());
            let may_be_more = due.len() == timers::AT_ONCE;
            for timer in due.drain(..) {
                match timer {
                    Timer::Settle(waiter) => waiter.settle_on(self),
                    Timer::Expire(scope) => self.expired.borrow_mut().push((scope, 0)),
                }
            }
            if let Some(timers) = self.timers.borrow_mut().as_mut() {
                timers.keep(due);
            }
            if !may_be_more {
                break;
            }
        }
        if !self.expired.borrow().is_empty() {
            self.cancel_expired();
        }
        let is_undecided = !self.expired.borrow().is_empty();
        let next = if is_undecided { Some(now) } else { self.deadline() };
        match next {
            Some(next) => self.clock.set_deadline(next, next.saturating_duration_since(now)),
            None => self.clock.clear_deadline(),
        }
    }

    /// Cancels the scopes whose time is up, unless their work may complete in the same round: then the work wins.
    fn cancel_expired(self: &Rc<Scheduler>) {
        let reason = Cancelled::new(Reason::TimedOut);
        // By reference: dropping a scope may panic, so the scopes are dropped when all of them have been looked at.
        for (scope, rounds) in &self.expired.take() {
            work::count();
            // One round for the tasks that are ready now. If one of them makes the work ready, one more round for the work.
            let may_complete = match rounds {
                0 => !self.run_queue.is_next_round_empty(),
                1 => scope.is_root_queued(),
                _ => false,
            };
            if scope.is_over() {
            } else if may_complete {
                self.expired.borrow_mut().push((scope.clone(), rounds + 1));
            } else {
                self.cancel_by_itself(scope, &reason);
            }
        }
    }

    // Turns.

    #[inline(always)]
    fn ready_turn(self: &Rc<Scheduler>, task: TaskRef) {
        if Scheduler::may_resume(&task) {
            // SAFETY: if `may_resume` is true, neither `ENDED` nor `RUNNING` is set.
            self.turn_with(task, |task| unsafe { task.resume(State::QUEUED | State::RESET_BY_TURN) });
        }
    }

    /// Whether a task that was queued has its turn now. If so, it has not ended, and does not run.
    #[inline(always)]
    pub(super) fn may_resume(task: &Header) -> bool {
        const UNUSUAL: State = State::SLOW.union(State::ENDED).union(State::RUNNING);
        (task.pending.get() == 0 && !task.has(UNUSUAL)) || Scheduler::is_due(task)
    }

    /// Whether a queued task would have its turn now.
    pub(super) fn is_ready(task: &Header) -> bool {
        let is_ready = task.pending.get() == 0 || task.has(State::FORCE_RESUME);
        // If its cancellation is put off, it has its turn when the tasks that hold it have ended.
        is_ready && !task.has(State::CANCEL_DEFERRED | State::ENDED | State::RUNNING)
    }

    /// As [`is_ready`](Scheduler::is_ready), for a task to which the fast path of `may_resume` does not apply. Clears
    /// `FORCE_RESUME` if the task has its turn now, and `QUEUED` if not.
    #[inline(never)]
    fn is_due(task: &Header) -> bool {
        let is_due = Scheduler::is_ready(task);
        task.unset(if is_due { State::FORCE_RESUME } else { State::QUEUED });
        is_due
    }

    /// Resumes `task` once, if it can be, and clears the bits `cleared` before.
    #[inline(always)]
    pub(super) fn turn(self: &Rc<Scheduler>, task: TaskRef, cleared: State) {
        if !task.has(State::ENDED | State::RUNNING) {
            // SAFETY: neither bit is set.
            self.turn_with(task, |task| unsafe { task.resume(cleared | State::RESET_BY_TURN) });
        }
    }

    /// Resumes `task` by `resume`.
    #[inline(always)]
    fn turn_with(self: &Rc<Scheduler>, task: TaskRef, resume: impl FnOnce(&TaskRef) -> Turn) {
        let guard = PanicGuard::new(self, task);
        let turn = resume(guard.task());
        let task = guard.defuse();
        match turn {
            Turn::Suspended if !task.has(State::SLOW | State::ENDED) => {
                let is_ready = task.pending.get() == 0;
                task.change(State::RUNNING, if is_ready { State::QUEUED } else { State::empty() });
                if is_ready {
                    self.run_queue.push(task);
                }
            }
            Turn::Suspended => self.suspend_slow(task),
            Turn::Completed => self.end_completed(task),
            Turn::Raised(error) => {
                task.unset(State::RUNNING);
                self.end(task, Some(error));
            }
        }
    }

    #[inline(never)]
    fn suspend_slow(self: &Rc<Scheduler>, task: TaskRef) {
        task.unset(State::RUNNING);
        if task.has(State::CANCELLED) && !task.has(State::SHIELDED) {
            // It was written by hand, and has suspended without waiting for anything.
            if task.is_doomed() || task.count_cancellation() {
                return self.drop_stuck(task, &format!("was cancelled {MAX_SWALLOWED} times in a row and went on"));
            }
            task.set(State::FORCE_RESUME);
        }
        if task.pending.get() == 0 || task.has(State::FORCE_RESUME) {
            Scheduler::enqueue(&task);
        }
    }

    #[inline(never)]
    pub(super) fn next_to_cancel(&self) -> Option<TaskRef> {
        loop {
            let task = self.cancelling.borrow_mut().pop_front();
            match task {
                // The task whose failure started the cancellation has ended before it sees it.
                Some(task) if task.is_ended() => {}
                Some(task) => return Some(task),
                None => {
                    self.is_cancelling.set(false);
                    // Empty: no destructor runs under the borrow.
                    self.cancelling.borrow_mut().shrink_to(KEPT_CAPACITY);
                    return None;
                }
            }
        }
    }

    /// Gives `task` the turn in which it sees its cancellation.
    #[inline(never)]
    pub(super) fn cancelling_turn(self: &Rc<Scheduler>, task: TaskRef) {
        work::count();
        if task.has(State::ENDED | State::RUNNING) {
            return;
        }
        if !task.has(State::BEGUN) {
            let location = task.location.get();
            let guard = PanicGuard::new(self, task);
            guard.task().drop_body();
            let task = guard.defuse();
            let reason = task.scope().and_then(|scope| scope.cancelled());
            let reason = reason.unwrap_or_else(|| Cancelled::new(Reason::Dropped));
            return self.end(task, Some(Error::cancelled(reason, location)));
        }
        if task.has(State::SHIELDED) {
            // It sees its cancellation at its next `yield`.
        } else if task.cold(|cold| cold.held_by > 0).unwrap_or(false) {
            task.set(State::CANCEL_DEFERRED);
        } else {
            // This turn also serves any other reason to resume it.
            self.turn(task.clone(), State::FORCE_RESUME);
        }
        if !task.is_ended() {
            self.hold_waiters(&task);
        }
    }
}

/// While it lives, the scheduler runs: wake-ups from its own thread go straight to it.
struct Running<'a> {
    scheduler: &'a Scheduler,
}

impl Running<'_> {
    fn new(scheduler: &Scheduler) -> Running<'_> {
        scheduler.is_running.set(true);
        if let Some(inbox) = scheduler.inbox.get() {
            // SAFETY: the `Running` that is returned borrows the scheduler, and calls `end_run` when it is dropped.
            // `Scheduler::run` does not forget it.
            unsafe { inbox.begin_run(scheduler) };
        }
        Running { scheduler }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.scheduler.is_running.set(false);
        if let Some(inbox) = self.scheduler.inbox.get() {
            inbox.end_run();
        }
    }
}

/// Holds a task while code of its coroutine runs. If that panics, the task goes to `panicking`.
pub(super) struct PanicGuard<'a> {
    scheduler: &'a Scheduler,
    task: Option<TaskRef>,
}

impl PanicGuard<'_> {
    #[inline]
    pub(super) fn new(scheduler: &Scheduler, task: TaskRef) -> PanicGuard<'_> {
        PanicGuard { scheduler, task: Some(task) }
    }

    #[inline]
    pub(super) fn task(&self) -> &TaskRef {
        self.task.as_ref().expect("the task is there until `defuse`")
    }

    #[inline]
    pub(super) fn defuse(mut self) -> TaskRef {
        self.task.take().expect("the task is there until `defuse`")
    }
}

impl Drop for PanicGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            *self.scheduler.panicking.borrow_mut() = Some(task);
        }
    }
}
