//! The loop: steps and rounds, the clock, and what its caller does to it.
//!
//! Between two rounds, the loop looks at requests to stop and at timers. Cancellations come before everything else.

use super::state::{Failure, TimerAction};
use super::{ROOT, Simulator, order};
use crate::model::program::Drive;

enum Progress {
    Ran,
    /// Nothing is ready.
    Idle,
    /// All tasks have ended.
    Done,
}

impl Simulator<'_> {
    /// Runs to the end. False if the loop was dropped before.
    pub(super) fn drive(&mut self, drive: Drive) -> bool {
        let mut is_stopped = false;
        loop {
            match drive {
                Drive::StopAt(line) if !is_stopped && self.observed.log.len() >= line => {
                    is_stopped = true;
                    self.is_stop_requested = true;
                }
                Drive::DropAt(line) if self.observed.log.len() >= line => break,
                _ => {}
            }
            match self.step() {
                Progress::Ran => {}
                Progress::Done => return true,
                Progress::Idle if self.advance_to_next_timer() => {}
                Progress::Idle if drive == Drive::Run => self.deadlock(),
                Progress::Idle if self.is_cyclic_for_good() => {
                    // It is not specified in which order a cycle behind shields is dropped, nor which of several cycles.
                    self.observed.is_undecided |= self.scopes[ROOT].failure.is_some();
                    self.deadlock();
                }
                Progress::Idle if is_stopped => break,
                Progress::Idle => {
                    is_stopped = true;
                    self.is_stop_requested = true;
                }
            }
        }
        self.stop_for("dropped");
        loop {
            match self.step() {
                Progress::Ran => {}
                Progress::Done => return false,
                Progress::Idle if self.advance_to_next_timer() => {}
                Progress::Idle => self.deadlock(),
            }
        }
    }

    /// Moves the time on to the next timer. False if there is none.
    fn advance_to_next_timer(&mut self) -> bool {
        let next = self.timers.iter().map(|timer| timer.deadline).min();
        self.now = next.unwrap_or(self.now);
        next.is_some()
    }

    /// One step of the loop.
    fn step(&mut self) -> Progress {
        if let Some(task) = self.cancelling.pop_front() {
            self.cancelling_turn(task);
        } else if let Some(task) = self.round.pop_front() {
            self.ready_turn(task);
        } else {
            self.between_rounds();
            self.round = std::mem::take(&mut self.next_round);
            self.reorder_round();
            if self.round.is_empty() && self.cancelling.is_empty() {
                return if self.scopes[ROOT].has_ended { Progress::Done } else { Progress::Idle };
            }
        }
        Progress::Ran
    }

    /// Gives the round its order. Tasks that are queued and no longer ready are not counted, and come last.
    fn reorder_round(&mut self) {
        let (mut ready, rest): (Vec<_>, Vec<_>) = self.round.iter().partition(|&&task| self.is_counted(task));
        self.rounds += u64::from(!ready.is_empty());
        if order::permute(&mut ready, self.seed, self.rounds) {
            self.round = ready.into_iter().chain(rest).collect();
        }
    }

    /// What happens between two rounds.
    fn between_rounds(&mut self) {
        if std::mem::take(&mut self.is_stop_requested) {
            self.stop_for("stopped");
        }
        while let Some(due) = self.next_due() {
            match self.timers.remove(due).action {
                TimerAction::Settle(waiter) => self.settle(waiter),
                TimerAction::Expire(scope) => self.expired.push((scope, 0)),
            }
        }
        // A timeout that has run out still waits for one round of the tasks that are ready now. If that round makes its work
        // ready, it waits for one more round, in which the work wins.
        for (scope, rounds) in std::mem::take(&mut self.expired) {
            let may_complete = match rounds {
                0 => !self.next_round.is_empty(),
                1 => self.tasks.iter().any(|task| task.scope == scope && task.is_root && task.is_queued),
                _ => false,
            };
            if self.scopes[scope].has_ended {
            } else if may_complete {
                self.expired.push((scope, rounds + 1));
            } else {
                self.scopes[scope].has_expired |= self.scopes[scope].cancelled.is_none();
                self.cancel(scope, "timed out");
            }
        }
    }

    /// The index of the timer that is to fire next, if one is due.
    fn next_due(&self) -> Option<usize> {
        let due = (0..self.timers.len()).filter(|&index| self.timers[index].deadline <= self.now);
        due.min_by_key(|&index| self.timers[index].deadline)
    }

    /// Stops the loop from outside.
    fn stop_for(&mut self, why: &str) {
        let failure = self.cancellation(why);
        self.stop(failure, why);
    }

    /// Stops the loop with `failure`, unless it is stopping already.
    pub(super) fn stop(&mut self, failure: Failure, why: &str) {
        if !self.scopes[ROOT].has_ended && self.scopes[ROOT].failure.is_none() {
            self.scopes[ROOT].failure = Some(failure);
            self.cancel(ROOT, why);
        }
    }
}
