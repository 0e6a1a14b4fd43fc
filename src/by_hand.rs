//! Coroutines without macros: the protocol between a coroutine and its loop.
//!
//! A coroutine is resumed with a [`Resume`], a new one each time; it begins to wait by [`Resume::begin`], and polls the
//! [`ActiveWait`] wait at once and after each resumption, yielding [`Suspend`] until it is ready. It ends with an [`Outcome`].
//! That is what [`coro`](crate::coro) and [`co!`](crate::co) expand to; nothing of it needs `unsafe`.
//!
//! Several waits may have begun at once; then the coroutine is resumed for each of them that is ready, and each is polled in
//! turn. Those that have begun before are polled before another begins.
//!
//! ```
//! #![feature(coroutines, stmt_expr_attributes)]
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
pub use crate::wait::ActiveWait;

use crate::error::Result;
use crate::wait::Wait;

impl Resume {
    /// Begins to wait for `wait`, at the line of the caller.
    ///
    /// A coroutine that is cancelled begins nothing, unless it is a [`shield`](crate::shield): polled, it raises.
    #[inline]
    #[track_caller]
    pub fn begin<W: Wait>(&self, wait: W) -> ActiveWait<W::State> {
        ActiveWait::begin(self, wait.into_state())
    }

    /// Polls `future` in the name of the coroutine. If it is pending, the coroutine is to suspend itself; it is resumed when
    /// the future wakes it, to poll again.
    ///
    /// # Errors
    ///
    /// The [`Cancelled`](crate::Cancelled) of the coroutine; the future is not polled then.
    #[inline]
    #[track_caller]
    pub fn poll_future<F: Future>(&self, future: Pin<&mut F>) -> Poll<Result<F::Output>> {
        self.task.poll_foreign_future(future, Location::caller())
    }
}
