//! Turns: a task is resumed once, and then queued again, left waiting, or ended.
//!
//! It relies on [`task`](super::task) to resume the coroutine, and on [`end`](super::end) for tasks that have ended. [`run`](super::run)
//! and the observed loop choose the task.

use std::rc::Rc;

use super::task::TurnEnd;
use super::task::swallowed::MAX_SWALLOWED;
use super::{Header, Scheduler, State, TaskRef};
use crate::capacity::KEPT_CAPACITY;
use crate::error::{Cancelled, Error, Reason};
use crate::iterations;

impl Scheduler {
    #[inline(always)]
    pub(super) fn ready_turn(self: &Rc<Scheduler>, task: TaskRef) {
        if Scheduler::may_resume(&task) {
            // SAFETY: if `may_resume` is true, neither `ENDED` nor `RUNNING` is set.
            self.turn_with(task, |task| unsafe { task.resume(State::QUEUED | State::RESET_BY_TURN) });
        }
    }

    /// Whether a task that was queued has its turn now. If this returns true, the task has not ended and is not running.
    #[inline(always)]
    pub(super) fn may_resume(task: &Header) -> bool {
        const NEEDS_CHECK: State = State::SLOW.union(State::ENDED).union(State::RUNNING);
        (task.pending.get() == 0 && !task.has(NEEDS_CHECK)) || Scheduler::is_due(task)
    }

    /// Whether a queued task would have its turn now.
    pub(super) fn is_ready(task: &Header) -> bool {
        let is_ready = task.pending.get() == 0 || task.has(State::FORCE_RESUME);
        // If the cancellation of a task is put off, the task has its turn when the tasks that hold it have ended.
        is_ready && !task.has(State::CANCEL_DEFERRED | State::ENDED | State::RUNNING)
    }

    /// As [`is_ready`](Scheduler::is_ready), for a task to which the fast path of `may_resume` does not apply. Clears
    /// `FORCE_RESUME` if the task has its turn now. Otherwise clears `QUEUED`.
    #[inline(never)]
    fn is_due(task: &Header) -> bool {
        let is_due = Scheduler::is_ready(task);
        task.unset(if is_due { State::FORCE_RESUME } else { State::QUEUED });
        is_due
    }

    /// Clears the bits `cleared` and resumes `task` once, unless the task has ended or is running.
    #[inline(always)]
    pub(super) fn turn(self: &Rc<Scheduler>, task: TaskRef, cleared: State) {
        if !task.has(State::ENDED | State::RUNNING) {
            // SAFETY: neither bit is set.
            self.turn_with(task, |task| unsafe { task.resume(cleared | State::RESET_BY_TURN) });
        }
    }

    /// Calls `resume` to resume `task`. Then queues the task if it is ready, and ends it if its body has returned.
    #[inline(always)]
    fn turn_with(self: &Rc<Scheduler>, task: TaskRef, resume: impl FnOnce(&TaskRef) -> TurnEnd) {
        let guard = PanicGuard::new(self, task);
        let turn = resume(guard.task());
        let task = guard.defuse();
        match turn {
            TurnEnd::Suspended if !task.has(State::SLOW | State::ENDED) => {
                let is_ready = task.pending.get() == 0;
                task.change(State::RUNNING, if is_ready { State::QUEUED } else { State::empty() });
                if is_ready {
                    self.run_queue.push(task);
                }
            }
            TurnEnd::Suspended => self.suspend_slow(task),
            TurnEnd::Completed => self.end_completed(task),
            TurnEnd::Raised(error) => {
                task.unset(State::RUNNING);
                self.end(task, Some(error));
            }
        }
    }

    #[inline(never)]
    fn suspend_slow(self: &Rc<Scheduler>, task: TaskRef) {
        task.unset(State::RUNNING);
        if task.has(State::CANCELLED) && !task.has(State::SHIELDED) {
            // A cancelled task gets here in three cases: its coroutine was written without macros and has suspended without a
            // wait, or the task was cancelled while it polled a future, or it has swallowed too many cancellations.
            if task.has_swallowed_too_many() || task.count_cancellation() {
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
                // A task may have ended since it was queued here. An example is the task whose failure started the
                // cancellation.
                Some(task) if task.is_ended() => {}
                Some(task) => return Some(task),
                None => {
                    self.is_cancelling.set(false);
                    // The queue is empty, so no destructor runs under the borrow.
                    self.cancelling.borrow_mut().shrink_to(KEPT_CAPACITY);
                    return None;
                }
            }
        }
    }

    /// Gives `task` the turn in which it sees its cancellation.
    #[inline(never)]
    pub(super) fn cancelling_turn(self: &Rc<Scheduler>, task: TaskRef) {
        iterations::count();
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
            // The task sees its cancellation at its next `yield`.
        } else if task.cold(|cold| cold.held_by > 0).unwrap_or(false) {
            task.set(State::CANCEL_DEFERRED);
        } else {
            // This turn also serves every other reason to resume the task, so `FORCE_RESUME` is cleared.
            self.turn(task.clone(), State::FORCE_RESUME);
        }
        if !task.is_ended() {
            self.hold_waiters(&task);
        }
    }
}

/// Owns a task while code of its coroutine runs. If that code panics, the guard stores the task in `panicking`.
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
        self.task.as_ref().expect("the guard has its task until `defuse`")
    }

    #[inline]
    pub(super) fn defuse(mut self) -> TaskRef {
        self.task.take().expect("the guard has its task until `defuse`")
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
