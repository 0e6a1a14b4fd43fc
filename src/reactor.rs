//! How an idle loop waits while foreign futures are outstanding: in async-io's reactor, so that what they wait for reaches
//! them without the help of another thread.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;
#[cfg(feature = "smol")]
use std::{future::poll_fn, ops::ControlFlow, task::Waker};

use async_io::Timer;

/// Calls `turns` until it breaks; between two calls it waits, and drives the reactor, until the waker is woken or the
/// deadline that `turns` gave has come.
#[cfg(feature = "smol")]
pub(crate) fn drive(mut turns: impl FnMut(&Waker) -> ControlFlow<(), Option<Instant>>) {
    let mut clock = Clock::default();
    async_io::block_on(poll_fn(|context| {
        loop {
            let ControlFlow::Continue(deadline) = turns(context.waker()) else { return Poll::Ready(()) };
            if clock.poll_until(deadline, context).is_pending() {
                return Poll::Pending;
            }
        }
    }));
}

/// Waits for deadlines in async-io's reactor, one at a time.
pub(crate) struct Clock {
    timer: Timer,
    set_to: Option<Instant>,
}

impl Default for Clock {
    fn default() -> Clock {
        Clock { timer: Timer::never(), set_to: None }
    }
}

impl Clock {
    /// Whether `deadline` has come; if not, the waker is woken when it does. The deadline of the call before is forgotten.
    pub(crate) fn poll_until(&mut self, deadline: Option<Instant>, context: &mut Context<'_>) -> Poll<()> {
        if deadline != self.set_to {
            self.set_to = deadline;
            match deadline {
                Some(at) => self.timer.set_at(at),
                None => self.timer = Timer::never(),
            }
        }
        ready!(Pin::new(&mut self.timer).poll(context));
        self.set_to = None;
        Poll::Ready(())
    }
}
