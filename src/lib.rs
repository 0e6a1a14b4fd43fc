//! A small single-threaded event loop whose tasks are native coroutines: bodies that `yield` what they wait for.
//!
//! An error anywhere stops everything, cleanly: every other coroutine is cancelled and cleans up, and closures on threads return.
//! After that, [`Loop::run`] returns the error. Its trace lists the coroutines that waited for the one that failed.
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
//!     yield (slow_add_one(3), slow_add_one(4)) // both at once, with their types
//! }
//!
//! assert_eq!(Loop::new().run(foo()).unwrap(), (4, 5));
//! ```
//!
//! The [`guide`] explains everything step by step, and [`guide::recipes`] has programs to start from. This page is the overview.
//!
//! # Writing coroutines
//!
//! [`#[coro]`](macro@coro) makes a coroutine of a function, and [`co!`] makes one of a block. Both give a [`Coro<T>`](Coro),
//! which does nothing until it is yielded or run. The body is like a `try` block: `?` raises any error, and the last expression
//! or `return v` is the value. `yield w` waits for `w` and gives its output, and so does `w.yield`. `future.await` polls any
//! future in place.
//!
//! # What can be yielded
//!
//! Everything that implements [`Wait`]:
//!
//! | yielded | meaning | gives |
//! |---|---|---|
//! | nothing, or `()` | let the others run | `()` |
//! | [`Coro<T>`](Coro) | run it and wait for it | `T` |
//! | [`Shared<T>`](Shared), `&Shared<T>` | start it if it has not started, and wait for it | `T`, a clone |
//! | arrays, `Vec`s, tuples up to 12, `Option`s of these | wait for all of them at once | their outputs, in the same shape |
//! | [`spawn`] | start coroutines in the background, without waiting | their handles |
//! | [`sleep`], [`sleep_until`] | wait for a point in time | `()` |
//! | [`now`] | ask the clock of the loop | [`Instant`](std::time::Instant) |
//! | [`settled`] | wait until every other coroutine waits | `()` |
//! | [`dump()`] | ask what each coroutine waits for | [`Dump`] |
//! | [`timeout`] | wait, but no longer than a duration | `Result<_, `[`TimedOut`]`>` |
//! | [`race`] | wait for the first that is over, and give up the others | `T` |
//! | [`w.map(f)`](Wait::map) | wait, and change the output | what `f` returns |
//! | [`abortable`] | wait, until a handle aborts it | `Result<_, `[`Aborted`]`>` |
//! | [`finally`], [`bracket`] | wait, and clean up in any case | the output of the wait |
//! | [`isolate`] | wait for work whose errors do not stop the loop | `Result<T, `[`LoopError`]`>` |
//! | [`shield`] | wait, and put cancellations off until the wait is over | the output of the wait |
//! | [`catch`] | wait, and get an error that the wait raises, such as a cancellation, as a value | `Result<_, `[`Error`]`>` |
//! | [`as_completed`] | start several, and take their outputs in order of completion | [`AsCompleted<T>`](AsCompleted) |
//! | [`Interval::tick`](time::Interval::tick) | wait for the next tick of an [`interval`] | how many were missed |
//! | [`Stream::next`] | wait for the next value of a [`stream`] | `Option<T>` |
//! | [`Stream::close`] | cancel the coroutine of a stream, and wait for its end | `()` |
//! | [`run_in_loop`] | run a loop on a thread of its own | the output of its wait |
//! | [`run_in_thread`], [`ThreadPool::run_in_thread`], [`ThreadPool::map`] | run blocking code on a thread | what it returns |
//! | [`Event::wait`], [`Event::wait_timeout`] | wait until it is set | `()`, `bool` |
//! | [`Semaphore::acquire`], [`Lock::acquire`] | wait for a permit, or for the lock | [`Permit`], [`LockGuard`] |
//! | [`Barrier::wait`] | wait for the others to arrive | the index of arrival |
//! | [`channel::Sender::send`], [`channel::Receiver::recv`] | wait for room, or for a message | a `Result` |
//! | [`from_smol`], `from_tokio`, `from_async_std`, [`from_future`] | wait for a foreign future | its output |
//!
//! # Running them
//!
//! - [`Loop::run`] runs to the end. [`Loop::runtime`] and [`Loop::into_runtime`] run step by step, inside another event loop. [`to_smol`],
//!   `to_tokio` and `to_async_std` make a future of a loop. [`StopHandle`] stops a loop from another thread.
//! - [`LoopError`], [`Error`], [`Cancelled`] and [`Deadlock`] say what went wrong. [`Grouping`] sets which errors a [`LoopError`]
//!   keeps.
//! - [`thread`] has functions for closures that run on threads. [`by_hand`] makes coroutines without macros.
//! - [`View`], [`Dump`], [`Stall`] and [`Recorder`] show what a loop does: what each coroutine waits for, what holds the loop up, and
//!   the last turns as a timeline. See [`inside`].
//! - [`Simulation`] and [`Builder::simulated`] are for tests: a virtual clock, and turns in an order drawn from a seed.
//! - [`bridge`] has the types of the futures that [`to_smol`] and similar functions return. Few programs have to name them.
//!
//! # Features
//!
//! - `smol` (default): the bridges to smol.
//! - `async-std`: the bridges to async-std.
//! - `tokio`: the bridges to tokio.
//! - `tracing`: `Coro::in_span`.

#![feature(const_type_name, coroutines, coroutine_trait, error_generic_member_access, negative_impls, try_trait_v2)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(unsafe_code)]
// With this, examples in the documentation need no feature attribute of their own. rustdoc compiles all examples without a
// feature attribute as one program, and each example with one as a program of its own.
#![doc(test(attr(allow(duplicate_features), feature(coroutines))))]

extern crate self as tinyield;

mod abortable;
mod as_completed;
pub mod bridge;
pub mod by_hand;
mod capacity;
mod catch;
mod coro;
mod error;
mod event_loop;
mod finally;
pub mod inside;
mod isolate;
mod iterations;
mod join;
mod last_run;
mod panic;
mod primitives;
mod race;
#[cfg(any(feature = "smol", feature = "async-std"))]
mod reactor;
mod reports;
mod run;
mod run_in_loop;
mod runtime;
mod same_thread;
#[allow(unsafe_code)]
mod scheduler;
mod shared;
mod shield;
pub mod simulation;
mod spawn;
mod stop;
mod stream;
pub mod sync;
pub mod thread;
pub mod time;
mod trace;
pub mod wait;
mod waiting;

pub use abortable::{AbortHandle, Abortable, Aborted, RemoteAbortHandle, abortable};
pub use as_completed::{AsCompleted, as_completed};
#[cfg(feature = "async-std")]
pub use bridge::async_std::{from_async_std, from_async_std_with, to_async_std, to_async_std_with};
pub use bridge::future::from_future;
#[cfg(feature = "smol")]
pub use bridge::smol::{from_smol, to_smol, to_smol_with};
#[cfg(feature = "tokio")]
pub use bridge::tokio::{from_tokio, to_tokio, to_tokio_with};
pub use catch::catch;
pub use coro::Coro;
pub use error::{Cancelled, Deadlock, Error, Grouping, LoopError, Panic, Reason, Result, Stuck};
pub use event_loop::{Builder, Loop};
pub use finally::{bracket, finally};
pub use inside::take_dump::dump;
pub use inside::view::View;
pub use isolate::isolate;
pub use race::race;
pub use reports::dump::Dump;
pub use reports::recorder::Recorder;
pub use reports::stall::Stall;
pub use run_in_loop::run_in_loop;
pub use runtime::{Idle, Runtime, Step};
pub use shared::Shared;
pub use shield::shield;
pub use simulation::Simulation;
pub use spawn::{JoinHandle, spawn};
pub use stop::StopHandle;
pub use stream::{Emitter, Stream, stream};
#[doc(inline)]
pub use sync::{Barrier, Event, Lock, LockGuard, Permit, RemoteEvent, Semaphore, channel};
pub use thread::{ThreadPool, run_in_thread};
pub use time::interval::interval;
pub use time::now::now;
pub use time::settled::settled;
pub use time::sleep::{sleep, sleep_until};
pub use time::timeout::{TimedOut, timeout};
pub use tinyield_macros::{co, coro};
pub use trace::Frame;
pub use waiting::yieldable::Wait;

// The code of the guide and of the README is compiled and run as part of the tests. Most blocks leave out the feature
// attribute, and some use the bridges to smol and to tokio.
#[cfg(any(all(feature = "smol", feature = "tokio"), not(doctest)))]
#[doc(test(attr(allow(duplicate_features), feature(coroutines))))]
#[doc = include_str!("../docs/guide.md")]
pub mod guide {
    #[doc(test(attr(allow(duplicate_features), feature(coroutines))))]
    #[doc = include_str!("../docs/recipes.md")]
    pub mod recipes {}
}

#[cfg(all(doctest, feature = "smol"))]
#[doc(test(attr(allow(duplicate_features), feature(coroutines))))]
#[doc = include_str!("../README.md")]
mod readme {}

/// What the macros expand to. Not for use by hand.
#[doc(hidden)]
pub mod __private {
    pub use crate::by_hand::Outcome;
    pub use crate::iterations::counted as iterations;
    pub use crate::scheduler::TaskName;

    use std::ops::Coroutine;
    use std::panic::Location;

    use crate::by_hand::{ActiveWait, Resume, Suspend};
    use crate::coro::Coro;
    use crate::waiting::WaitState;

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

    /// The operand of the `?` in `yield operand?`.
    #[diagnostic::on_unimplemented(
        message = "`yield` applies to the whole expression after it, so this `?` applies to `{Self}`, which is not a `Result`",
        label = "this is not a `Result`, but its output may be one",
        note = "to raise the error that the wait gives, write `(yield a)?` or `a.yield?`"
    )]
    pub trait Question {
        type Value;

        fn value(self) -> Self::Value;
    }

    // There are two separate implementations. With one generic implementation that has a bound, rustc would also report this bound
    // for every other type.
    #[diagnostic::do_not_recommend]
    impl<T, E> Question for std::result::Result<T, E> {
        type Value = Self;

        #[inline]
        fn value(self) -> Self {
            self
        }
    }

    /// With this impl, an `Option` is accepted as the operand. Then rustc itself reports that `?` cannot raise a `None` here.
    #[diagnostic::do_not_recommend]
    impl<T> Question for Option<T> {
        type Value = Self;

        #[inline]
        fn value(self) -> Self {
            self
        }
    }

    #[inline]
    pub fn question<Q: Question>(operand: Q) -> Q::Value {
        operand.value()
    }

    /// The `else` of `if true { body } else { never() }`. With it, rustc does not warn that the code after a body that never ends
    /// is unreachable.
    #[cold]
    pub fn never<T>() -> T {
        unreachable!("the condition of this `if` is `true`")
    }

    /// Makes a wait that has not begun. The caller stores it in its final place, where [`begin`] begins it. If the wait began
    /// before that, its parts would be written one by one, and copied right afterwards. Such a copy is slow, because its loads wait
    /// for the stores.
    #[inline]
    pub fn wait<X: WaitState>(waiting: X) -> ActiveWait<X> {
        ActiveWait::unbegun(waiting)
    }

    /// Begins the wait. Takes the resume and returns it, so that the frame of the coroutine does not hold it during the wait.
    #[inline]
    #[track_caller]
    pub fn begin<X: WaitState>(wait: &mut ActiveWait<X>, resume: Resume) -> Resume {
        wait.begin_in_place(&resume, Location::caller());
        resume
    }
}
