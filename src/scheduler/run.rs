//! The main loop: rounds, and the steps between two rounds. The turns are in [`turn`](super::turn).
//!
//! Cancellations come first: while a task is queued to see its cancellation, no other task has a turn. Otherwise the tasks of
//! the run queue have their turns, in rounds. Between two rounds the loop looks at the inbox and at the clock.

use std::rc::Rc;
use std::time::Instant;

use super::inbox::{Inbox, WakeSlot};
use super::slot_table::SlotKey;
use super::task::drop::with_own_depth;
use super::timers::{self, Timer};
use super::{Scheduler, TaskRef, WakeTarget};
use crate::error::{Cancelled, Reason};
use crate::iterations;
use crate::panic::catch;

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
    /// Takes at most `budget` steps, and subtracts the number of steps that were taken from `budget`. A panic of user code does
    /// not leave this function: it stops the loop, and is kept for [`take_panic`](Scheduler::take_panic).
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
        while *budget > 0 {
            if self.is_cancelling.get() {
                if let Some(task) = self.next_to_cancel() {
                    *budget -= 1;
                    self.cancelling_turn(task);
                }
            } else if let Some(task) = self.run_queue.pop().or_else(|| self.only_ready()) {
                *budget -= 1;
                self.ready_turn(task);
            } else if !self.begin_round()
                && !self.is_cancelling.get()
                && !self.is_signalled()
                && let Some(progress) = self.idle()
            {
                return progress;
            }
        }
        Progress::Ran
    }

    // Between rounds.

    /// If exactly one task is ready, and the loop need not look at the clock or at the inbox: begins a round of that task, and
    /// takes the task. Otherwise returns `None`, and the round begins in the usual way.
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

    /// Whether the loop has to look at the clock and at the inbox.
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
        if !delivery.woken.is_empty() || !delivery.completed.is_empty() || delivery.stop.is_some() {
            self.note_outside();
        }
        for wake_slot in delivery.woken.drain(..) {
            self.wake(wake_slot.key, WakeSlot::acknowledge);
        }
        self.wake_completed(&mut delivery);
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
        let Some((wake_slot, target)) = wake_slots.get(key) else { return };
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

    #[inline(never)]
    fn fire_timers(self: &Rc<Scheduler>, now: Instant) {
        let count = self.timers.borrow().as_ref().map_or(0, |timers| timers.count(now));
        loop {
            let Some(mut due) = self.timers.borrow_mut().as_mut().map(|timers| timers.take_due(count)) else {
                break;
            };
            due.iter().for_each(|_| iterations::count());
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

    /// Cancels the scopes whose time is up. If the work of such a scope may complete in the next round or in the one after it, the
    /// scope is not cancelled yet: if the work completes, it wins.
    fn cancel_expired(self: &Rc<Scheduler>) {
        let reason = Cancelled::new(Reason::TimedOut);
        // The scopes are only borrowed here. Dropping one may panic, so they are dropped when all of them have been looked at.
        for (scope, rounds) in &self.expired.take() {
            iterations::count();
            // The scope gets one round for the tasks that are ready now. If one of these tasks has made the work of the scope
            // ready, the scope gets one more round, for that work.
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
}

/// While a value of this type exists, the scheduler is running, and wake-ups from its own thread go directly to the run queue.
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
