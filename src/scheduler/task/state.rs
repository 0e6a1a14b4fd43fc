//! The state of a task, as bits, and what it is blocked on.
//!
//! | bit | set by | cleared by |
//! |---|---|---|
//! | `RUNNING` | `resume`, before the coroutine runs | `resume`, when the body returns a value; otherwise the scheduler |
//! | `QUEUED` | the code that pushes the task into the run queue | `resume`, or the scheduler, if the task is not due |
//! | `COMPLETED` | `resume`, when the body returns a value; the end of a clone | the code that takes, clones or drops the value |
//! | `CLOSED` | dropping the body; taking, cloning or dropping the value | `resume`, when it writes the value; the end of a clone |
//! | `BEGUN` | the first `resume` | never |
//! | `SHIELDED` | a shielded wait, when it begins and when it is polled | each `resume`; dropping the shield |
//! | `WAIT_BEGUN` | `begin_wait` | each `resume` |
//! | `WAIT_REFUSED` | `begin_wait`, when the task is cancelled or another wait is unfinished | each `resume`; a wait that begins |
//! | `CANCELLED` | the cancellation of its scope | never |
//! | `FAILED` | the failure of a part of its wait | the next `begin_wait` |
//! | `FORCE_RESUME` | the failure of a part; `settle` in a race of leaves; `leave_shield`; `suspend_slow` | the scheduler, before a turn |
//! | `POLLING_FUTURE` | `poll_future` and `poll_completed`, when they are pending | the waker, the completion, a later poll that is ready, the next wait of a cancelled task |
//! | `SCOPE_ROOT` | `start_root` | never |
//! | `SAW_CANCELLATION` | the cancellation, when it is raised | `discard_value` |
//! | `CANCEL_DEFERRED` | `cancelling_turn`, if another task holds the task | `release`, when no task holds it any more |
//! | `SPAWNED` | `spawn` of a `Shared`, `JoinHandle::shared` | never |
//! | `JOIN_NOTED` | `note_joined`, in a hosted loop | never |
//! | `DISCARDED` | the coroutine of a thread's closure, before it returns the late value | never |
//! | `RACING` | a race of leaves, when it begins | the end of the wait; the next `begin_wait` |
//! | `FUTURE_WOKEN` | `poll_future`, when the future is pending and has called the waker | each `resume`; its completion |
//! | `IN_SPAN` | `in_span`; the end of a turn with a span, for the tasks that were started in that turn | never |
//! | `POOLED` | `Task::new` | never |
//! | `BLOCKED_ON` | each part of a wait, when the wait begins | the next wait |

use bitflags::bitflags;

/// The index of the first bit of [`BlockedOn`] in a [`State`].
const FIRST_OF_BLOCKED_ON: u32 = 22;
const _: () = {
    assert!(State::all().difference(State::BLOCKED_ON).bits() < 1 << FIRST_OF_BLOCKED_ON);
    assert!(BlockedOn::all().bits().leading_zeros() >= u16::BITS - (u32::BITS - FIRST_OF_BLOCKED_ON));
};

bitflags! {
    /// The state of a task. Only the thread of its loop reads or changes it.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct State: u32 {
        /// The coroutine is being resumed now.
        const RUNNING = 1;
        /// The task is in the run queue.
        const QUEUED = 1 << 1;
        /// The body has returned a value, which is in the slot.
        const COMPLETED = 1 << 2;
        /// The slot is empty: the body raised or was dropped, or the value was taken.
        const CLOSED = 1 << 3;
        /// The coroutine has been resumed at least once.
        const BEGUN = 1 << 4;
        /// The task waits at a shield.
        const SHIELDED = 1 << 5;
        /// A wait began in this turn. Its first poll is pending even if it is ready, because each wait ends the turn.
        const WAIT_BEGUN = 1 << 6;
        /// The task tried to begin a wait, but may not: it is cancelled, or another wait is unfinished or began in the same
        /// turn.
        const WAIT_REFUSED = 1 << 7;
        /// Its scope was cancelled: each of its waits raises, unless it is shielded.
        const CANCELLED = 1 << 8;
        /// A part of its wait has failed.
        const FAILED = 1 << 9;
        /// It has to be resumed although parts of its wait are pending.
        const FORCE_RESUME = 1 << 10;
        /// It waits for a future or a completion, which counts as one of its pending parts.
        const POLLING_FUTURE = 1 << 11;
        /// It is the first task of its scope.
        const SCOPE_ROOT = 1 << 12;
        /// A cancellation was raised in the task. So its end is checked: a value may be a wrong answer to the cancellation.
        const SAW_CANCELLATION = 1 << 13;
        /// Its cancellation is put off until no task holds it any more.
        const CANCEL_DEFERRED = 1 << 14;
        /// A shared coroutine that runs on without waiters.
        const SPAWNED = 1 << 15;
        /// It may be in the list of tasks from which a search for cycles starts.
        const JOIN_NOTED = 1 << 16;
        /// Its value came after its cancellation. The value is dropped, unless `raise` finds an error in it.
        const DISCARDED = 1 << 17;
        /// A part of its wait is a race of leaves. The task is resumed when any part is settled, and the race then looks for
        /// the leaf that is over.
        const RACING = 1 << 18;
        /// The future that the task polled in this turn was pending, and has already called the waker. The task is queued at
        /// the end of the turn.
        const FUTURE_WOKEN = 1 << 19;
        /// Its turns are in a span of `tracing`.
        #[cfg(feature = "tracing")]
        const IN_SPAN = 1 << 20;
        /// Its memory is a block of a chunk (see [`memory`](super::memory)).
        const POOLED = 1 << 21;
        /// What it is blocked on: a [`BlockedOn`], in the remaining bits.
        const BLOCKED_ON = u32::MAX << FIRST_OF_BLOCKED_ON;

        /// The task will not be resumed again.
        const ENDED = Self::COMPLETED.bits() | Self::CLOSED.bits();
        /// If any of these bits is set, the number of pending parts is not enough to decide how a wait goes on.
        const SLOW =
            Self::CANCELLED.bits() | Self::FAILED.bits() | Self::WAIT_REFUSED.bits() | Self::RACING.bits();
        /// Bits that describe one turn only.
        const RESET_BY_TURN = Self::SHIELDED.bits()
            | Self::WAIT_BEGUN.bits()
            | Self::WAIT_REFUSED.bits()
            | Self::FUTURE_WOKEN.bits();
        /// If any of these bits is set, the end of a task has more steps than settling its first waiter.
        const UNUSUAL = Self::SLOW.bits()
            | Self::FORCE_RESUME.bits()
            | Self::POLLING_FUTURE.bits()
            | Self::CANCEL_DEFERRED.bits()
            | Self::JOIN_NOTED.bits();
    }
}

impl State {
    pub(crate) fn blocked_on(self) -> BlockedOn {
        BlockedOn::from_bits_truncate((self.bits() >> FIRST_OF_BLOCKED_ON) as u16)
    }

    pub(crate) fn with_blocked_on(on: BlockedOn) -> State {
        State::from_bits_retain(u32::from(on.bits()) << FIRST_OF_BLOCKED_ON)
    }
}

bitflags! {
    /// What a task is blocked on, for dumps and for the report of a deadlock. All bits of [`State`] are in use, so there is no
    /// room for another name.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct BlockedOn: u16 {
        const EVENT = 1;
        const SEMAPHORE = 1 << 1;
        const LOCK = 1 << 2;
        const BARRIER = 1 << 3;
        const CHANNEL = 1 << 4;
        const FUTURE = 1 << 5;
        const TIMER = 1 << 6;
        const COMPLETION = 1 << 7;
        const STREAM_READER = 1 << 8;
        const STREAM_VALUE = 1 << 9;
    }
}
