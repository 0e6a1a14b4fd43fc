//! How an idle loop waits while foreign futures are pending. It waits in async-io's reactor, so that these futures are woken
//! without the help of another thread.
//!
//! The reactor is not always available: it needs file descriptors, and a thread that is ending may no longer have the thread-local
//! values of async-io. Without the reactor, the loop parks its thread, and futures that need no I/O still run.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;
#[cfg(feature = "smol")]
use std::{
    cell::Cell,
    future::poll_fn,
    ops::ControlFlow,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    task::Waker,
};

use async_io::Timer;

#[cfg(feature = "smol")]
use crate::panic::{catch, discard};

/// Calls `turns` until `turns` returns `Break`. Between two calls, this thread waits in the reactor until the waker is woken, or
/// until the deadline that `turns` returned has come. If async-io panics, this function stops early, and returns false.
#[cfg(feature = "smol")]
pub(crate) fn drive(mut turns: impl FnMut(&Waker) -> ControlFlow<(), Option<Instant>>) -> bool {
    let mut timer = ReactorTimer::default();
    let done = catch(|| {
        async_io::block_on(poll_fn(|context| {
            let _ = ENDING.try_with(|_| {});
            loop {
                let ControlFlow::Continue(deadline) = turns(context.waker()) else { return Poll::Ready(()) };
                if timer.poll_until(deadline, context).is_pending() {
                    return Poll::Pending;
                }
            }
        }));
    });
    done.map_err(discard).is_ok()
}

#[cfg(feature = "smol")]
thread_local! {
    /// Its first use is inside of async-io's `block_on`, so it is dropped before the thread-local values that `block_on` needs.
    static ENDING: Ending = const { Ending };
    static IS_ENDING: Cell<bool> = const { Cell::new(false) };
}

#[cfg(feature = "smol")]
struct Ending;

#[cfg(feature = "smol")]
impl Drop for Ending {
    fn drop(&mut self) {
        IS_ENDING.set(true);
    }
}

/// Whether this thread can wait in the reactor.
#[cfg(feature = "smol")]
pub(crate) fn is_available() -> bool {
    static WAS_AVAILABLE: AtomicBool = AtomicBool::new(false);
    if IS_ENDING.get() {
        return false;
    }
    if !WAS_AVAILABLE.load(Relaxed) {
        // The reactor makes a poller once, and panics if that fails.
        WAS_AVAILABLE.store(polling::Poller::new().is_ok(), Relaxed);
    }
    WAS_AVAILABLE.load(Relaxed)
}

/// Waits for deadlines in async-io's reactor, one at a time.
pub(crate) struct ReactorTimer {
    timer: Timer,
    set_to: Option<Instant>,
}

impl Default for ReactorTimer {
    fn default() -> ReactorTimer {
        ReactorTimer { timer: Timer::never(), set_to: None }
    }
}

impl ReactorTimer {
    /// Whether `deadline` has come. If not, the waker is woken when it comes. The new deadline replaces that of the last call.
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
