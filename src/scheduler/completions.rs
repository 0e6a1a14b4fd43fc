//! The tasks that wait for completions, and when the loop waits for a batch of completions.
//!
//! While closures wait in the queue of a pool, completions may arrive every few microseconds. If each of them woke the thread of the
//! loop, most of the time would be spent in the kernel. So if more completions are likely to follow the last one, the loop parks for a
//! batch: for a short time, further completions of this kind do not wake its thread. A completion after which no more follow wakes it.
//! Network drivers treat interrupts in a similar way ("interrupt coalescing").
//!
//! This file relies on [`inbox`](super::inbox), which has the handle of another thread, and on [`wait`](super::wait).

use std::panic::Location;
use std::task::Poll;
use std::time::Duration;

use super::inbox::{Completion, Delivery};
use super::slot_table::SlotKey;
use super::wait::{FAST, second_wait};
use super::{Scheduler, State, TaskRef};
use crate::error::Result;
use crate::panic::contain;

/// The loop waits for a batch only while at least this many completions have not arrived. The timer of such a park costs up to 15 us
/// on a virtual machine: as much as three to eight wake-ups.
const BATCH_FROM: usize = if cfg!(tinyield_loom) { 1 } else { 8 };

/// How long the loop waits for a batch. Linux adds its own slack, which is 50 us by default.
const BATCH_TIME: Duration = Duration::from_micros(100);

impl Scheduler {
    /// Wakes the tasks of the completions that have arrived.
    pub(super) fn wake_completed(&self, delivery: &mut Delivery) {
        if delivery.completed.is_empty() {
            return;
        }
        self.inbox().remove_watchers(delivery.completed.len());
        for key in delivery.completed.drain(..) {
            let task = self.completions.borrow_mut().remove(key);
            // If there is no task, it no longer waits.
            let Some(task) = task else { continue };
            task.wake_on(self);
            if task.is_ended() {
                // The task was dropped while it waited. This may be the last reference to it, and the destructor of its error is user code.
                contain(|| drop(task));
            }
        }
    }

    /// How long the loop may wait for a batch of completions. `None` if it must not wait for one.
    pub(super) fn batch_time(&self) -> Option<Duration> {
        // Other systems may end a park some milliseconds late.
        let is_exact = cfg!(target_os = "linux");
        let outstanding = self.completions.borrow_if_used().map_or(0, |completions| completions.len());
        (is_exact && outstanding >= BATCH_FROM).then_some(BATCH_TIME)
    }
}

#[cfg(debug_assertions)]
impl Scheduler {
    /// Checks at most `limit` entries. Panics if there is an entry of a task that no longer waits for its completion.
    pub(super) fn check_completions(&self, limit: usize) {
        let Some(completions) = self.completions.borrow_if_used() else { return };
        for task in completions.iter().take(limit) {
            assert!(task.has(State::POLLING_FUTURE) || task.is_ended(), "a completion keeps a task that does not wait");
        }
    }
}

impl TaskRef {
    /// Makes a completion for this task, which must be running. The task then waits with [`poll_completed`](TaskRef::poll_completed).
    pub(crate) fn new_completion(&self) -> Completion {
        let scheduler = self.scheduler().expect("a running task has a loop");
        let key = scheduler.completions.borrow_mut().insert_with(|_| self.clone());
        Completion::new(scheduler.inbox().clone(), key)
    }

    /// Waits, as for a future, until `take` returns a value. The task calls this again when its completion has arrived. `key` is the key
    /// of this completion.
    #[inline]
    pub(crate) fn poll_completed<T>(
        &self,
        key: SlotKey,
        take: impl FnOnce() -> Option<T>,
        location: &'static Location<'static>,
    ) -> Poll<Result<T>> {
        let poll = self.poll_taken(take, location);
        if poll.is_ready() {
            self.forget_completion(key);
        }
        poll
    }

    #[inline]
    fn poll_taken<T>(&self, take: impl FnOnce() -> Option<T>, location: &'static Location<'static>) -> Poll<Result<T>> {
        if self.state.get().intersection(FAST) != State::RUNNING
            && let Some(refused) = self.refuse_future(location)
        {
            return refused.map(Err);
        }
        self.location.set(location);
        let is_pending = self.has(State::POLLING_FUTURE);
        match take() {
            Some(value) => {
                if is_pending {
                    self.stop_polling_future();
                }
                Poll::Ready(Ok(value))
            }
            None if is_pending => Poll::Pending,
            None if self.has_other_wait() => Poll::Ready(Err(second_wait(location))),
            None => {
                self.begin_polling_future();
                Poll::Pending
            }
        }
    }

    /// Called when the task no longer waits for the completion, which may not have arrived yet. If the entry stayed in the table, it would
    /// keep the value of the task until then.
    fn forget_completion(&self, key: SlotKey) {
        let removed = self.with_scheduler(|scheduler| {
            let mut completions = scheduler.completions.borrow_mut_if_used()?;
            completions.remove(key)
        });
        drop(removed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Loop;
    use crate::coro::Coro;
    use crate::scheduler::{Outcome, Resume, Suspend, TaskName};

    struct TakesEarly;

    impl TaskName for TakesEarly {
        const NAME: &'static str = "takes early";
    }

    /// Otherwise the table would keep the value of the task until the completion arrives.
    #[test]
    fn task_that_takes_its_value_before_its_completion_arrives_leaves_the_table() {
        let location = Location::caller();
        let takes_early = Coro::from_named::<TakesEarly, _>(
            #[coroutine]
            static move |mut resume: Resume| {
                let completion = resume.task.new_completion();
                let scheduler = resume.task.scheduler().unwrap();
                assert_eq!(scheduler.completions.borrow_mut().len(), 1);
                let Poll::Ready(taken) = resume.task.poll_completed(completion.key(), || Some(7), location) else {
                    panic!("there is a value")
                };
                assert!(scheduler.completions.borrow_mut().is_empty());
                // The key of the completion finds nothing, and the loop does not wait for it any more.
                drop(completion);
                resume = yield Suspend;
                assert!(!resume.task.scheduler().unwrap().may_be_woken_now());
                Outcome(taken)
            },
        );
        assert_eq!(Loop::new().run(takes_early).unwrap(), 7);
    }
}
