//! The waiters of a task: they are settled when it ends.
//!
//! Most tasks have one, which is kept in the header. The others are in the cold part.

use super::{Header, TaskRef, peek};
use crate::scheduler::wait::Waiter;
use crate::scheduler::wait_queue::Key;
use crate::work;

/// Where a task keeps one of its waiters.
#[derive(Clone, Copy)]
pub(crate) enum WaiterKey {
    First,
    Further(Key),
}

impl Header {
    /// Adds a waiter, to be settled when this task ends.
    pub(crate) fn add_waiter(&self, waiter: Waiter) -> WaiterKey {
        let has_further = self.cold(|cold| cold.waiters.len() != 0).unwrap_or(false);
        // If the first has given up, the others still come before this one.
        if self.has_waiter() || has_further {
            return WaiterKey::Further(self.cold_mut(|cold| cold.waiters.push_back(waiter)));
        }
        self.add_first_waiter(waiter);
        WaiterKey::First
    }

    /// Adds the first waiter of a task that starts now.
    #[inline]
    pub(crate) fn add_first_waiter(&self, waiter: Waiter) {
        self.waiter.set(Some(waiter));
    }

    #[inline]
    pub(in crate::scheduler) fn take_first_waiter(&self) -> Option<Waiter> {
        self.waiter.take()
    }

    /// Whether the first waiter is there.
    pub(crate) fn has_waiter(&self) -> bool {
        peek(&self.waiter, |waiter| waiter.is_some())
    }

    /// Whether any task waits for this one.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.has_waiter() || self.cold(|cold| cold.waiters.len() != 0).unwrap_or(false)
    }

    /// Takes out one waiter, unless it was settled before.
    pub(in crate::scheduler) fn take_waiter(&self, key: WaiterKey) -> Option<Waiter> {
        match key {
            WaiterKey::First => self.waiter.take(),
            WaiterKey::Further(key) => self.cold(|cold| cold.waiters.remove(key)).flatten(),
        }
    }

    /// Removes a waiter that gives up. Has no effect if the waiter was settled before.
    pub(crate) fn remove_waiter(&self, key: WaiterKey) {
        if let Some(waiter) = self.take_waiter(key) {
            waiter.give_up();
        }
    }

    /// Takes the waiters out, in the order in which they came.
    pub(in crate::scheduler) fn take_waiters(&self) -> impl Iterator<Item = Waiter> {
        let mut first = self.waiter.take();
        std::iter::from_fn(move || first.take().or_else(|| self.cold(|cold| cold.waiters.pop_front()).flatten()))
    }

    /// The task that has waited longest for this one, if it has not ended.
    pub(in crate::scheduler) fn first_waiting_task(&self) -> Option<TaskRef> {
        let first = peek(&self.waiter, |waiter| waiter.map(|waiter| waiter.task().clone()));
        let first = first
            .or_else(|| self.cold(|cold| cold.waiters.iter().next().map(|waiter| waiter.task().clone())).flatten());
        first.filter(|task| !task.is_ended())
    }

    /// The tasks that wait for this one. A task that has ended and has forgotten a wait is left out.
    pub(in crate::scheduler) fn waiting_tasks(&self) -> Vec<TaskRef> {
        let mut tasks = Vec::new();
        peek(&self.waiter, |waiter| tasks.extend(waiter.map(|waiter| waiter.task().clone())));
        self.cold(|cold| tasks.extend(cold.waiters.iter().map(|waiter| waiter.task().clone())));
        tasks.retain(|task| {
            work::count();
            !task.is_ended()
        });
        tasks
    }
}
