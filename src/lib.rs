//! A tiny, single-threaded event loop whose tasks are native coroutines: bodies that `yield` what they wait for.
//!
//! An error anywhere stops everything, cleanly: every other coroutine is cancelled and cleans up, threads are joined, and
//! only then [`Loop::run`] returns, with the error and the coroutines that waited on it.
//!
//! ```
//! #![feature(coroutines)] // all that your crate needs
//! use std::time::Duration;
//! use tinyield::{Coro, Loop, coro, sleep};
//!
//! #[coro]
//! fn slow_add_one(x: i32) -> Coro<i32> {
//!     yield sleep(Duration::from_millis(100));
//!     x + 1
//! }
//!
//! #[coro]
//! fn foo() -> Coro<(i32, i32)> {
//!     yield (slow_add_one(3), slow_add_one(4)) // both at once; typed
//! }
//!
//! assert_eq!(Loop::new().run(foo()).unwrap(), (4, 5));
//! ```
//!
//! # Writing coroutines
//!
//! [`#[coro]`](macro@coro) makes a coroutine of a function, [`co!`] of a block; both give a [`Coro<T>`](Coro), which does
//! nothing before it is yielded or run. The body is like a `try` block: `?` raises any error, the tail or `return v` is the
//! value. `yield w` waits for `w` and gives its output; `w.yield` is the same. `future.await` polls any future in place.
//! Before a `{`, a mere name needs parentheses: `match (yield handle) { .. }`.
//!
//! # What can be yielded
//!
//! Whatever is a [`Wait`]:
//!
//! | yielded | meaning | gives |
//! |---|---|---|
//! | nothing, or `()` | lets the others run | `()` |
//! | [`Coro<T>`](Coro) | runs it, waits for it | `T` |
//! | [`Shared<T>`](Shared), `&Shared<T>` | runs it if nobody has, waits for it | `T`, a clone |
//! | arrays, `Vec`s, tuples up to 12, `Option`s of such | all of them at once | the same shape, of outputs |
//! | [`spawn`] | starts coroutines in the background, waits for nothing | their handles |
//! | [`sleep`], [`sleep_until`] | waits for a point in time | `()` |
//! | [`timeout`] | not longer than that | `Result<_, `[`TimedOut`]`>` |
//! | [`race`] | the first to finish; the others are cancelled | `T` |
//! | [`isolate`] | a failure domain of its own | `Result<T, `[`LoopError`]`>` |
//! | [`shield`] | cannot be cancelled meanwhile | the output of what it shields |
//! | [`catch`] | what is raised there, a cancellation say, as a value; an error in what it waits for stops the loop all the same | `Result<_, `[`Error`]`>` |
//! | [`as_completed`] | starts coroutines, to be had in the order in which they finish | [`AsCompleted<T>`](AsCompleted) |
//! | [`run_in_thread`], [`ThreadPool::run_in_thread`], [`ThreadPool::map`] | blocking work | what it returns |
//! | [`Event::wait`], [`Event::wait_timeout`] | waits until it is set | `()`, `bool` |
//! | [`Semaphore::acquire`], [`Lock::acquire`] | waits for its turn | [`Permit`], [`LockGuard`] |
//! | [`Barrier::wait`] | waits for the others | in which place it came |
//! | [`channel::Sender::send`], [`channel::Receiver::recv`] | waits for room, for a message | a `Result` |
//! | [`from_smol`], `from_async_std`, [`from_future`] | a foreign future | its output |
//!
//! # Where to go on
//!
//! - [`Loop`] runs coroutines to the end; [`Loop::runtime`] step by step; [`to_smol`] and `to_async_std` inside those
//!   runtimes; [`StopHandle`] stops it from elsewhere.
//! - [`LoopError`], [`Error`], [`Cancelled`] and [`Deadlock`] tell what went wrong; [`Grouping`] how much of it.
//! - [`thread`] has what closures in threads need. [`by_hand`] makes coroutines without macros.
//!
//! # Features
//!
//! `smol` (default) has the bridges to smol, `async-std` those to async-std.

#![feature(const_type_name, coroutines, coroutine_trait, error_generic_member_access)]
#![feature(try_trait_v2, stmt_expr_attributes)]
#![deny(unsafe_code)]

extern crate self as tinyield;

mod as_completed;
mod bridge;
pub mod by_hand;
mod catch;
mod coro;
mod error;
mod event_loop;
mod isolate;
mod join;
mod panic;
mod primitives;
mod race;
#[cfg(any(feature = "smol", feature = "async-std"))]
mod reactor;
mod run;
mod runtime;
#[allow(unsafe_code)]
mod scheduler;
mod shared;
mod shield;
mod spawn;
mod stop;
pub mod sync;
pub mod thread;
pub mod time;
mod trace;
pub mod wait;

pub use as_completed::{AsCompleted, as_completed};
pub use bridge::from_future;
#[cfg(feature = "async-std")]
pub use bridge::{ToAsyncStd, ToAsyncStdWith, from_async_std, from_async_std_with, to_async_std, to_async_std_with};
#[cfg(feature = "smol")]
pub use bridge::{ToSmol, ToSmolWith, from_smol, to_smol, to_smol_with};
pub use catch::catch;
pub use coro::Coro;
pub use error::{Cancelled, Deadlock, Error, Grouping, LoopError, Reason, Result, Stuck};
pub use event_loop::{Builder, Loop};
pub use isolate::isolate;
pub use race::race;
pub use runtime::{Idle, Runtime, Step};
pub use shared::Shared;
pub use shield::shield;
pub use spawn::{JoinHandle, spawn};
pub use stop::StopHandle;
#[doc(inline)]
pub use sync::{Barrier, Event, Lock, LockGuard, Permit, RemoteEvent, Semaphore, channel};
pub use thread::{ThreadPool, run_in_thread};
pub use time::sleep::{sleep, sleep_until};
pub use time::timeout::{TimedOut, timeout};
pub use tinyield_macros::{co, coro};
pub use trace::Frame;
pub use wait::lifecycle::Wait;

// The code of the guide and of the README is compiled and run as part of the tests. Most blocks leave out the feature
// attribute, and some use the bridge to smol.
#[cfg(any(feature = "smol", not(doctest)))]
#[doc(test(attr(allow(duplicate_features), feature(coroutines))))]
#[doc = include_str!("../docs/guide.md")]
pub mod guide {}

#[cfg(all(doctest, feature = "smol"))]
#[doc(test(attr(allow(duplicate_features), feature(coroutines))))]
#[doc = include_str!("../README.md")]
mod readme {}

/// What the macros expand to. Not for use by hand.
#[doc(hidden)]
pub mod __private {
    pub use crate::by_hand::Outcome;
    pub use crate::scheduler::TaskName;

    use std::ops::Coroutine;
    use std::panic::Location;

    use crate::by_hand::{ActiveWait, Resume, Suspend};
    use crate::coro::Coro;
    use crate::wait::WaitState;

    /// The name of a block.
    #[derive(Debug)]
    pub struct Block;

    impl TaskName for Block {
        const NAME: &'static str = "co!";
    }

    #[inline]
    #[track_caller]
    pub fn coro<N, T, C>(body: C) -> Coro<T>
    where
        N: TaskName,
        T: 'static,
        C: Coroutine<Resume, Yield = Suspend, Return = Outcome<T>> + 'static,
    {
        Coro::from_named::<N, C>(body)
    }

    /// Never called: the other branch of a body that may never end. Without it, rustc would call what follows the body unreachable.
    #[cold]
    pub fn never<T>() -> T {
        unreachable!("the condition is true")
    }

    /// A wait in the place where it is to be: it is begun there, and not moved any more. To copy what was just written in
    /// pieces is to wait for that.
    #[inline]
    pub fn wait<X: WaitState>(waiting: X) -> ActiveWait<X> {
        ActiveWait::unbegun(waiting)
    }

    /// Takes the resume and gives it back: so the coroutine's frame need not hold it while it waits.
    #[inline]
    #[track_caller]
    pub fn begin<X: WaitState>(wait: &mut ActiveWait<X>, resume: Resume) -> Resume {
        wait.begin_in_place(&resume, Location::caller());
        resume
    }
}
