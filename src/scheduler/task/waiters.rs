//! The waiters of a task: they are settled when it ends.
//!
//! The first waiter is in the header, and most tasks have no other. Further waiters are in the cold part.

use super::{Header, TaskRef, peek};
use crate::iterations;
use crate::scheduler::wait::Waiter;
use crate::scheduler::wait_queue::Key;

/// Where a task keeps one of its waiters.
#[derive(Clone, Copy)]
pub(crate) enum WaiterKey {
    First,
    Further(Key),
}

impl Header {
    /// Adds a waiter, which is settled when this task ends.
    pub(crate) fn add_waiter(&self, waiter: Waiter) -> WaiterKey {
        let has_further = self.cold(|cold| cold.waiters.len() != 0).unwrap_or(false);
        // If the first waiter has given up, this one must still come after the further waiters.
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

    /// Whether the task has a first waiter.
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

    /// Takes the waiters out, in the order in which they were added.
    pub(in crate::scheduler) fn take_waiters(&self) -> impl Iterator<Item = Waiter> {
        let mut first = self.waiter.take();
        std::iter::from_fn(move || first.take().or_else(|| self.cold(|cold| cold.waiters.pop_front()).flatten()))
    }

    /// The task that has waited longest for this one. `None` if that task has ended.
    pub(in crate::scheduler) fn first_waiting_task(&self) -> Option<TaskRef> {
        let first = peek(&self.waiter, |waiter| waiter.map(|waiter| waiter.task().clone()));
        let first = first
            .or_else(|| self.cold(|cold| cold.waiters.iter().next().map(|waiter| waiter.task().clone())).flatten());
        first.filter(|task| !task.is_ended())
    }

    /// The tasks that wait for this one. A task that has ended without giving up its wait (by `mem::forget`) is left out.
    pub(in crate::scheduler) fn waiting_tasks(&self) -> Vec<TaskRef> {
        let mut tasks = Vec::new();
        peek(&self.waiter, |waiter| tasks.extend(waiter.map(|waiter| waiter.task().clone())));
        self.cold(|cold| tasks.extend(cold.waiters.iter().map(|waiter| waiter.task().clone())));
        tasks.retain(|task| {
            iterations::count();
            !task.is_ended()
        });
        tasks
    }
}
