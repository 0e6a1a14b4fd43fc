//! How an idle loop waits while foreign futures are outstanding: in async-io's reactor, so that what they wait for reaches
//! them without the help of another thread.

use std::future::poll_fn;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Poll, Waker};
use std::time::Instant;

use async_io::Timer;

/// Calls `turns` until it breaks; between two calls it waits, and drives the reactor, until the waker is woken or the
/// deadline that `turns` gave has come.
pub(crate) fn drive(mut turns: impl FnMut(&Waker) -> ControlFlow<(), Option<Instant>>) {
    let mut timer = Timer::never();
    let mut set_to = None;
    async_io::block_on(poll_fn(|context| {
        loop {
            let ControlFlow::Continue(deadline) = turns(context.waker()) else { return Poll::Ready(()) };
            if deadline != set_to {
                set_to = deadline;
                match deadline {
                    Some(at) => timer.set_at(at),
                    None => timer = Timer::never(),
                }
            }
            if deadline.is_none() || Pin::new(&mut timer).poll(context).is_pending() {
                return Poll::Pending;
            }
            set_to = None;
        }
    }));
}
