//! tinyield

#![feature(const_type_name, coroutines, coroutine_trait, try_trait_v2, stmt_expr_attributes)]
#![deny(unsafe_code)]

extern crate self as tinyield;

mod as_completed;
mod bridge;
pub mod by_hand;
mod coro;
mod error;
mod event_loop;
mod isolate;
mod race;
#[cfg(any(feature = "smol", feature = "async-std"))]
mod reactor;
#[allow(unsafe_code)]
mod scheduler;
mod shield;
mod sync;
pub mod thread;
mod time;
mod trace;
mod wait;

pub use as_completed::{AsCompleted, NextCompleted, StartAsCompleted, as_completed};
#[cfg(feature = "async-std")]
pub use bridge::{ToAsyncStd, ToAsyncStdWith, from_async_std, from_async_std_with, to_async_std, to_async_std_with};
pub use bridge::from_future;
#[cfg(feature = "smol")]
pub use bridge::{ToSmol, ToSmolWith, from_smol, to_smol, to_smol_with};
pub use coro::{Coro, JoinHandle, Shared, Spawn, Spawnable, spawn};
pub use error::{Cancelled, Deadlock, Error, Grouping, LoopError, Reason, Result, Stuck};
pub use event_loop::{Builder, Idle, Loop, Runtime, Step, StopHandle};
pub use isolate::{Isolate, isolate};
pub use race::{Race, Racers, race};
pub use shield::{Catch, Shield, catch, shield};
pub use sync::{
    Acquire, AcquireLock, Barrier, BarrierStatistics, BarrierWait, Event, EventStatistics, EventWait, EventWaitTimeout, Lock,
    LockGuard, LockStatistics, Permit, RemoteEvent, Semaphore, SemaphoreStatistics, channel,
};
pub use thread::{ThreadPool, run_in_thread};
pub use time::{Sleep, TimedOut, Timeout, sleep, sleep_until, timeout};
pub use tinyield_macros::{co, coro};
pub use trace::Frame;
pub use wait::Wait;

/// What the macros expand to. Not for use by hand.
#[doc(hidden)]
pub mod __private {
    pub use crate::scheduler::Named;

    use std::ops::Coroutine;

    use crate::by_hand::{Begun, Outcome, Resume, Suspend};
    use crate::coro::Coro;
    use crate::wait::Waiting;

    /// The name of a block.
    #[derive(Debug)]
    pub struct Block;

    impl Named for Block {
        const NAME: &'static str = "co!";
    }

    #[inline]
    #[track_caller]
    pub fn coro<N, T, C>(body: C) -> Coro<T>
    where
        N: Named,
        T: 'static,
        C: Coroutine<Resume, Yield = Suspend, Return = Outcome<T>> + 'static,
    {
        Coro::from_named::<N, C>(body)
    }

    /// Takes the resume and gives it back: so the coroutine's frame need not hold it while it waits.
    #[inline]
    #[track_caller]
    pub fn begin<X: Waiting>(waiting: X, resume: Resume) -> (Begun<X>, Resume) {
        let begun = Begun::begin(&resume, waiting);
        (begun, resume)
    }
}
