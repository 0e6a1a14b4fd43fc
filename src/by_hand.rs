//! Coroutines without macros: the protocol between a coroutine and its loop.
//!
//! [`coro`](crate::coro) and [`co!`](crate::co) expand to this. It needs no `unsafe`.
//!
//! 1. The loop resumes the coroutine with a [`Resume`], a new one each time.
//! 2. The coroutine begins a wait with [`Resume::begin`], which returns an [`ActiveWait`].
//! 3. It polls the wait at once, and after each resumption, with the last `Resume`. While the wait is pending, the coroutine
//!    yields [`Suspend`].
//! 4. It ends with an [`Outcome`]: `Outcome::value(..)`, or `?` on an error.
//!
//! A future is polled with [`Resume::poll_future`] instead. While it is pending, the coroutine yields [`Suspend`], and polls it
//! again after each resumption.
//!
//! A coroutine waits for one thing at a time. Between two resumptions, it begins at most one wait. It may begin a wait only if
//! its last wait has returned its output or was dropped, and if the last future that it polled is ready. Any other wait does not
//! begin, and raises an error. A wait that raised an error may have unfinished parts: drop it before you begin the next one.
//!
//! To wait for several things at the same time, begin one wait for a tuple of them. To wait for the first of several, begin a
//! [`race`](crate::race).
//!
//! ```
//! #![feature(coroutines)]
//! use std::task::Poll;
//! use std::time::Duration;
//! use tinyield::by_hand::{Outcome, Resume, Suspend};
//! use tinyield::{Coro, Loop, sleep};
//!
//! fn nap() -> Coro<&'static str> {
//!     Coro::from_coroutine(
//!         #[coroutine]
//!         static move |mut resume: Resume| -> Outcome<&'static str> {
//!             let mut wait = resume.begin(sleep(Duration::from_millis(1)));
//!             loop {
//!                 match wait.poll(&resume) {
//!                     Poll::Ready(slept) => break slept?,
//!                     Poll::Pending => resume = yield Suspend,
//!                 }
//!             }
//!             Outcome::value("rested")
//!         },
//!     )
//! }
//!
//! assert_eq!(Loop::new().run(nap()).unwrap(), "rested");
//! ```

use std::panic::Location;
use std::pin::Pin;
use std::task::Poll;

pub use crate::error::Raise;
pub use crate::scheduler::{Outcome, Resume, Suspend};
pub use crate::waiting::active::ActiveWait;
/// The former name of [`ActiveWait`].
#[doc(hidden)]
pub use crate::waiting::active::ActiveWait as Begun;

use crate::error::Result;
use crate::waiting::yieldable::Wait;

impl Resume {
    /// Begins to wait for `wait`. The line of the caller is the line of this wait in traces.
    ///
    /// A wait that is not allowed to begin does nothing, and its [`poll`](ActiveWait::poll) returns the reason as an error:
    /// - the coroutine is cancelled, and `wait` is not a [`shield`](crate::shield);
    /// - another wait began since the last resumption, or is unfinished;
    /// - this is not the last `Resume` of its coroutine.
    #[inline]
    #[track_caller]
    pub fn begin<W: Wait>(&self, wait: W) -> ActiveWait<W::State> {
        ActiveWait::begin_at(self, wait.into_state(), Location::caller())
    }

    /// Polls `future` as part of the coroutine. If it is pending, suspend the coroutine. When the waker of the future resumes the
    /// coroutine, poll the future again.
    ///
    /// ```
    /// #![feature(coroutines)]
    /// use std::pin::pin;
    /// use std::task::Poll;
    /// use tinyield::by_hand::{Outcome, Resume, Suspend};
    /// use tinyield::{Coro, Loop};
    ///
    /// fn wait_for<F: Future + 'static>(future: F) -> Coro<F::Output> {
    ///     Coro::from_coroutine(
    ///         #[coroutine]
    ///         static move |mut resume: Resume| -> Outcome<F::Output> {
    ///             let mut future = pin!(future);
    ///             loop {
    ///                 match resume.poll_future(future.as_mut()) {
    ///                     Poll::Ready(output) => break Outcome::value(output?),
    ///                     Poll::Pending => resume = yield Suspend,
    ///                 }
    ///             }
    ///         },
    ///     )
    /// }
    ///
    /// assert_eq!(Loop::new().run(wait_for(async { 7 })).unwrap(), 7);
    /// ```
    ///
    /// # Errors
    ///
    /// In these two cases, the future is not polled, and this returns an error:
    /// - [`Cancelled`](crate::Cancelled), if the coroutine is cancelled;
    /// - an error that describes the misuse, if this is not the coroutine's last `Resume`.
    ///
    /// If the future is pending while a wait of the coroutine is unfinished, this returns an error as well.
    #[inline]
    #[track_caller]
    pub fn poll_future<F: Future>(&self, future: Pin<&mut F>) -> Poll<Result<F::Output>> {
        self.task.poll_foreign_future(future, Location::caller())
    }
}
