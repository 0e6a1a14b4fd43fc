//! How a task waits: it begins a wait, counts the pending parts, and polls futures.
//!
//! Each pending part has a [`Waiter`], which is stored in the thing that the task waits for. A task is queued when its last
//! part is settled, or at once when a part has failed.

use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::inbox::WakeSlot;
use super::task::state::{BlockedOn, State};
use super::task::{Header, TaskRef};
use super::{Scheduler, Scope, WakeTarget};
use crate::error::{Cancelled, Error, Reason, Result};
use crate::panic::contain;

/// The entry for one pending part of a task's wait.
pub(crate) struct Waiter(TaskRef);

impl Waiter {
    /// Makes `task` wait for one more part.
    pub(crate) fn new(task: &TaskRef) -> Waiter {
        task.pending.set(task.pending.get() + 1);
        Waiter(task.clone())
    }

    /// Notes that the part is over. If it was the last pending part, or if it may decide a race of leaves, the task becomes
    /// ready.
    #[inline]
    pub(crate) fn settle(self) {
        if self.0.has(State::SLOW | State::QUEUED | State::RUNNING | State::ENDED) {
            self.settle_slow();
        } else if self.count_down() == 0 {
            Scheduler::push_ready(&self.0);
            // `push_ready` may have woken a host, and the waker of the host may have ended the run.
            self.release();
        }
    }

    #[inline(never)]
    fn settle_slow(self) {
        if self.count_down() == 0 {
            Scheduler::enqueue(&self.0);
        } else if self.0.has(State::RACING) {
            self.0.set(State::FORCE_RESUME);
            Scheduler::enqueue(&self.0);
        }
        self.release();
    }

    /// As [`settle`](Waiter::settle), for a task of `scheduler`. The loop of `scheduler` must be running.
    #[inline(always)]
    pub(crate) fn settle_on(self, scheduler: &Scheduler) {
        if self.0.has(State::SLOW | State::QUEUED | State::RUNNING | State::ENDED) {
            self.settle_slow();
        } else if self.count_down() == 0 {
            self.0.set(State::QUEUED);
            scheduler.run_queue.push(self.0);
        }
    }

    /// Notes that the part has failed: the task becomes ready at once, to raise the error.
    pub(crate) fn fail(self) {
        self.count_down();
        self.0.set(State::FAILED | State::FORCE_RESUME);
        Scheduler::enqueue(&self.0);
        self.release();
    }

    /// Notes that the task no longer waits for the part. If it was the last pending part, the task becomes ready.
    pub(crate) fn give_up(self) {
        if self.count_down() == 0 {
            Scheduler::enqueue(&self.0);
        }
        self.release();
    }

    pub(crate) fn task(&self) -> &TaskRef {
        &self.0
    }

    fn count_down(&self) -> u32 {
        let pending = self.0.pending.get() - 1;
        self.0.pending.set(pending);
        pending
    }

    /// Drops the reference to the task. If the task has ended and its wait was leaked by `mem::forget`, this may be the last
    /// reference. In this case, the value of the task is dropped here. If the value's destructor panics, the other waiters must
    /// still be settled.
    #[inline]
    fn release(self) {
        if self.0.is_ended() {
            self.release_ended();
        }
    }

    #[cold]
    #[inline(never)]
    fn release_ended(self) {
        contain(|| drop(self));
    }
}

/// The bits that say whether a running task may wait by the fast path.
pub(super) const FAST: State = State::RUNNING.union(State::SLOW);

/// The last future that the task polled was pending. The task waits for this future, or the future has woken the task in this
/// turn.
const FUTURE_PENDING: State = State::POLLING_FUTURE.union(State::FUTURE_WOKEN);

/// A wait began in this turn.
const HAS_WAIT: State = State::WAIT_BEGUN.union(State::FUTURE_WOKEN);

impl Header {
    /// Begins a wait at `location`. Returns false if the task must not wait. A poll of the wait then raises an error with the
    /// reason.
    #[inline]
    pub(crate) fn begin_wait(&self, shielded: bool, location: &'static Location<'static>) -> bool {
        const MAY_BEGIN: State = FAST.union(HAS_WAIT);
        if self.state.get().intersection(MAY_BEGIN) == State::RUNNING && self.pending.get() == 0 {
            self.location.set(location);
            self.mark_wait_begun(shielded);
            return true;
        }
        self.begin_wait_slow(shielded, location)
    }

    #[inline(never)]
    fn begin_wait_slow(&self, shielded: bool, location: &'static Location<'static>) -> bool {
        if !self.has(State::RUNNING) {
            return false;
        }
        self.location.set(location);
        if self.has(State::CANCELLED) {
            // The task gives up the future that it has polled, because another poll would only raise the cancellation.
            self.give_up_future();
        }
        if self.has(HAS_WAIT) || self.pending.get() != 0 {
            self.set(State::WAIT_REFUSED);
            return false;
        }
        self.unset(State::FAILED | State::RACING);
        if self.has(State::CANCELLED) && !shielded {
            self.set(State::WAIT_REFUSED);
            return false;
        }
        self.mark_wait_begun(shielded);
        true
    }

    /// Whether the wait of this task was over when a timeout, an abort or a race cancelled the task. Then the coroutine gets
    /// the value that has arrived, and sees the cancellation at its next wait. There is one exception: if the task has lost a
    /// race, and the wait can give its value back, the wait does so, because the race ignores the value of a loser.
    pub(crate) fn keeps_arrived(&self, gives_back: impl FnOnce() -> bool) -> bool {
        const NOT_OVER: State = State::WAIT_REFUSED.union(State::WAIT_BEGUN).union(State::FAILED);
        let is_kept = |scope: Rc<Scope>| match scope.cancelled().as_ref().map(Cancelled::why) {
            Some(Reason::TimedOut | Reason::Aborted) => true,
            Some(Reason::Raced) => !gives_back(),
            _ => false,
        };
        self.pending.get() == 0 && !self.has(NOT_OVER) && self.scope().is_some_and(is_kept)
    }

    #[inline]
    fn mark_wait_begun(&self, shielded: bool) {
        let begun = if shielded { State::WAIT_BEGUN.union(State::SHIELDED) } else { State::WAIT_BEGUN };
        self.change(State::BLOCKED_ON.union(State::WAIT_REFUSED), begun);
    }

    /// Counts a cancellation, and returns the error to raise at the wait. `None` if the task has swallowed too many
    /// cancellations. Then it has to suspend, and is dropped.
    pub(crate) fn raise_cancelled(&self) -> Option<Error> {
        self.give_up_future();
        if self.count_cancellation() {
            return None;
        }
        let reason = self.scope().and_then(|scope| scope.cancelled());
        let reason = reason.unwrap_or_else(|| Cancelled::new(Reason::Dropped));
        Some(Error::cancelled(reason, self.location.get()))
    }

    /// The result of a poll of a future, if this task must not poll a future now. `None` if it may.
    #[inline(never)]
    pub(super) fn refuse_future(&self, location: &'static Location<'static>) -> Option<Poll<Error>> {
        if !self.has(State::RUNNING) {
            return Some(Poll::Ready(stale_resume(location)));
        }
        if !self.has(State::CANCELLED) {
            return None;
        }
        self.location.set(location);
        Some(self.raise_cancelled().map_or(Poll::Pending, Poll::Ready))
    }

    /// Notes that the future that the task polled will not be polled again.
    fn give_up_future(&self) {
        if self.stop_polling_future() {
            self.cold(|cold| cold.wake_slot.iter().for_each(|wake_slot| wake_slot.local.stop_awaiting()));
        }
    }

    /// Whether the task has begun a wait that is not over. Only for a task that polls no future.
    pub(super) fn has_other_wait(&self) -> bool {
        self.has(State::WAIT_BEGUN) || self.pending.get() != 0
    }

    /// Notes that the task waits for a future or a completion, and for nothing else.
    #[inline]
    pub(super) fn begin_polling_future(&self) {
        self.pending.set(1);
        self.change(State::BLOCKED_ON, State::with_blocked_on(BlockedOn::FUTURE) | State::POLLING_FUTURE);
    }

    /// Removes the future that the task polled from its pending parts. Returns whether it was one of them.
    #[inline]
    pub(super) fn stop_polling_future(&self) -> bool {
        let was_pending = self.has(State::POLLING_FUTURE);
        if was_pending {
            self.pending.set(self.pending.get() - 1);
        }
        self.unset(FUTURE_PENDING);
        was_pending
    }
}

impl TaskRef {
    /// Polls a future of the library for this task, which is running.
    #[inline]
    pub(crate) fn poll_future<F: Future>(
        &self,
        future: Pin<&mut F>,
        location: &'static Location<'static>,
    ) -> Poll<Result<F::Output>> {
        self.poll_any_future::<false, F>(future, location)
    }

    /// As [`poll_future`](TaskRef::poll_future), for a future of the user. Such a future may need a reactor.
    #[inline]
    pub(crate) fn poll_foreign_future<F: Future>(
        &self,
        future: Pin<&mut F>,
        location: &'static Location<'static>,
    ) -> Poll<Result<F::Output>> {
        self.poll_any_future::<true, F>(future, location)
    }

    #[inline]
    fn poll_any_future<const FOREIGN: bool, F: Future>(
        &self,
        future: Pin<&mut F>,
        location: &'static Location<'static>,
    ) -> Poll<Result<F::Output>> {
        if self.state.get().intersection(FAST) != State::RUNNING
            && let Some(refused) = self.refuse_future(location)
        {
            return refused.map(Err);
        }
        self.location.set(location);
        let wake_slot = self.wake_slot().unwrap_or_else(|| self.new_wake_slot());
        // SAFETY: the cold part of this task keeps the wake slot alive, and gives it up only when the task ends. The task ends
        // only after its coroutine, which is running now (RUNNING), has returned to the scheduler. `waker` and `poll` are
        // dropped before this function returns.
        let (waker, poll) = unsafe { (WakeSlot::lend(wake_slot), (*wake_slot).begin_poll()) };
        let Some(mut poll) = poll else {
            // The coroutine suspends with no pending part, so it has its next turn in the next round.
            return Poll::Pending;
        };
        match future.poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => {
                if self.has(FUTURE_PENDING) {
                    self.stop_polling_future();
                }
                poll.note_ready();
                Poll::Ready(Ok(value))
            }
            Poll::Pending => {
                let was_polled = self.has(FUTURE_PENDING);
                if !was_polled && self.has_other_wait() {
                    return Poll::Ready(Err(second_wait(location)));
                }
                if poll.note_pending() {
                    // The coroutine suspends with no pending part, as at a `yield` without a wait.
                    if was_polled {
                        self.stop_polling_future();
                    }
                    self.set(State::FUTURE_WOKEN);
                    return Poll::Pending;
                }
                if !was_polled {
                    self.begin_polling_future();
                }
                #[cfg(feature = "smol")]
                if FOREIGN && poll.note_foreign() {
                    // Only an idle loop drives a reactor, so only a pending future is noted.
                    self.with_scheduler(|scheduler| scheduler.note_foreign_future());
                }
                Poll::Pending
            }
        }
    }

    #[inline(never)]
    fn new_wake_slot(&self) -> *const WakeSlot {
        let scheduler = self.scheduler().expect("a running task has a loop");
        let wake_slot = scheduler.add_wake_slot(WakeTarget::Task(self.clone()));
        let pointer = Arc::as_ptr(&wake_slot);
        self.cold_mut(|cold| cold.wake_slot = Some(wake_slot));
        pointer
    }

    /// Called when the shield at which the task waits is dropped. From now on, a cancellation is raised at its waits again.
    pub(crate) fn leave_shield(&self) {
        self.unset(State::SHIELDED);
        // A running task is not queued here: when it suspends, the loop checks whether to queue it.
        if self.has(State::CANCELLED) && !self.has(State::RUNNING) {
            self.set(State::FORCE_RESUME);
            Scheduler::enqueue(self);
        }
    }

    /// As [`wake_on`](TaskRef::wake_on), but if the task is running, this does nothing and returns false. A running task may
    /// begin another wait in this turn, and would then miss the wake-up.
    #[inline]
    pub(super) fn wake_unless_running(&self, scheduler: &Scheduler) -> bool {
        let may_wake = !self.has(State::RUNNING);
        if may_wake {
            self.wake_on(scheduler);
        }
        may_wake
    }

    /// Wakes the task, because its waker was called or its completion has arrived. This has no effect unless the task waits for a
    /// future or a completion: the waker or the completion may belong to an earlier wait. `scheduler` is the scheduler of the task, and its loop is running. So no host has to be
    /// woken, and no user code runs here.
    #[inline]
    pub(super) fn wake_on(&self, scheduler: &Scheduler) {
        const QUEUED_OR_NOT_DUE: State = State::QUEUED.union(State::RUNNING).union(State::ENDED);
        if self.has(State::POLLING_FUTURE)
            && self.stop_polling_future()
            && self.pending.get() == 0
            && !self.has(QUEUED_OR_NOT_DUE)
        {
            self.set(State::QUEUED);
            scheduler.run_queue.push_in_place(self.clone());
        }
    }
}

/// The error of a [`Resume`](super::Resume) in the wrong place.
pub(crate) fn stale_resume(location: &'static Location<'static>) -> Error {
    let message = "a `Resume` was used outside of the turn of the coroutine that it was given to; use the one that the \
                   coroutine was resumed with last";
    Error::at(message.into(), location)
}

/// The error of a coroutine without macros that waits for two things at the same time.
#[cold]
#[inline(never)]
pub(crate) fn second_wait(location: &'static Location<'static>) -> Error {
    let message = "a second wait was begun in the same turn, or while another was unfinished; a coroutine waits for one thing at \
                   a time: poll the first wait until it is ready, or wait for both at once by yielding a tuple";
    Error::at(message.into(), location)
}
