//! The state of a task, as bits, and what it is blocked on.
//!
//! | bit | set by | cleared by |
//! |---|---|---|
//! | `RUNNING` | `resume`, before the coroutine runs | the scheduler, after the turn |
//! | `QUEUED` | the code that pushes the task into the run queue | `resume`, or the scheduler, if the task is not due |
//! | `COMPLETED` | `resume`, when the body has returned a value | the code that takes the value |
//! | `CLOSED` | the code that empties the slot: body dropped, value taken | `resume`, when it has written the value; the end of a clone of the value |
//! | `BEGUN` | the first `resume` | never |
//! | `SHIELDED` | a shielded wait, when it begins and when it is polled | each `resume`; dropping the shield |
//! | `WAIT_BEGUN` | `begin_wait` | each `resume` |
//! | `WAIT_REFUSED` | `begin_wait`, when the task is cancelled or another wait is unfinished | each `resume` |
//! | `CANCELLED` | the cancellation of its scope | never |
//! | `FAILED` | a part of its wait that fails | the next `begin_wait` |
//! | `FORCE_RESUME` | a part that fails, or that is over in a race, the end of a shield, a suspension without a wait after a cancellation | the turn |
//! | `POLLING_FUTURE` | `poll_future`, when the future is pending | its waker, its completion, the next wait of a cancelled task |
//! | `SCOPE_ROOT` | `start_root` | never |
//! | `SAW_CANCELLATION` | the cancellation, when it is raised | `discard_value` |
//! | `CANCEL_DEFERRED` | the cancellation, when a task that it waits for holds it | the end of that task |
//! | `SPAWNED` | `spawn` of a `Shared`, `JoinHandle::shared` | never |
//! | `JOIN_NOTED` | `note_joined`, in a hosted loop | never |
//! | `DISCARDED` | the coroutine of a thread's closure, before it returns the late value | never |
//! | `RACING` | a race of leaves, when it begins | the end of the wait, the next `begin_wait` |
//! | `FUTURE_WOKEN` | `poll_future`, when the future is pending and has called the waker | each `resume`; its completion |
//! | `IN_SPAN` | `in_span`, and the start by a task with a span | never |
//! | `POOLED` | `Task::new` | never |
//! | `BLOCKED_ON` | what the task waits for, when the wait begins | the next wait |

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
        /// A wait began in this turn: the task is requeued even if it is ready.
        const WAIT_BEGUN = 1 << 6;
        /// It may not begin the wait that it tried to: it is cancelled, or another wait is unfinished or began in the same turn.
        const WAIT_REFUSED = 1 << 7;
        /// Its scope was cancelled: each of its waits raises, unless it is shielded.
        const CANCELLED = 1 << 8;
        /// A part of what it waits for has failed.
        const FAILED = 1 << 9;
        /// It is to be resumed although parts of its wait are pending.
        const FORCE_RESUME = 1 << 10;
        /// It waits for a foreign future, which counts as one of its pending parts.
        const POLLING_FUTURE = 1 << 11;
        /// It is the first task of its scope.
        const SCOPE_ROOT = 1 << 12;
        /// A cancellation was raised in it, so its end is checked as an answer to that.
        const SAW_CANCELLATION = 1 << 13;
        /// Its cancellation is put off until nothing that it waits for holds it.
        const CANCEL_DEFERRED = 1 << 14;
        /// A shared coroutine that runs on without waiters.
        const SPAWNED = 1 << 15;
        /// It may be in the list of tasks from which a search for cycles starts.
        const JOIN_NOTED = 1 << 16;
        /// Its value came after its cancellation and is to be dropped, unless `raise` finds an error in it.
        const DISCARDED = 1 << 17;
        /// A part of its wait is a race of leaves: it is resumed when any part is settled, and finds out which.
        const RACING = 1 << 18;
        /// The future that it polled in this turn was pending, and has woken it already: it is queued at the end of the turn.
        const FUTURE_WOKEN = 1 << 19;
        /// Its turns are in a span of `tracing`.
        #[cfg(feature = "tracing")]
        const IN_SPAN = 1 << 20;
        /// Its memory is a block of a chunk (see [`memory`](super::memory)).
        const POOLED = 1 << 21;
        /// What it is blocked on: a [`BlockedOn`], in the bits that are left.
        const BLOCKED_ON = u32::MAX << FIRST_OF_BLOCKED_ON;

        /// The task will not be resumed again.
        const ENDED = Self::COMPLETED.bits() | Self::CLOSED.bits();
        /// With any of these bits, a wait is more than counting its pending parts.
        const SLOW =
            Self::CANCELLED.bits() | Self::FAILED.bits() | Self::WAIT_REFUSED.bits() | Self::RACING.bits();
        /// Bits that describe one turn only.
        const RESET_BY_TURN = Self::SHIELDED.bits()
            | Self::WAIT_BEGUN.bits()
            | Self::WAIT_REFUSED.bits()
            | Self::FUTURE_WOKEN.bits();
        /// With any of these bits, the end of a task is more than settling its first waiter.
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
    /// room for one more name.
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
