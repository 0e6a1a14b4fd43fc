//! A loop as a future. The thread that polls the future runs the loop.
//!
//! The code for two hosts differs only in the [`HostTimer`], and in the name of the function.

use std::fmt;
use std::panic::Location;
use std::task::{Context, Poll};
use std::time::Instant;

use crate::error::{Grouping, LoopError};
use crate::run::{Run, Settings};
use crate::scheduler::Task;
use crate::waiting::Wait;
use crate::waiting::private::AnyTask;

/// A timer of the host: it wakes the host when the next timer of the loop is due.
pub(super) trait HostTimer: Default {
    /// The clock of the host, if this is not the clock of the machine.
    #[cfg(feature = "tokio")]
    const NOW: Option<fn() -> Instant> = None;

    /// Ready if `deadline` has passed. If not, the waker is woken at the deadline. The new deadline replaces that of the last call.
    /// `None` means no deadline.
    fn poll_until(&mut self, deadline: Option<Instant>, context: &mut Context<'_>) -> Poll<()>;
}

#[cfg(any(feature = "smol", feature = "async-std"))]
impl HostTimer for crate::reactor::ReactorTimer {
    fn poll_until(&mut self, deadline: Option<Instant>, context: &mut Context<'_>) -> Poll<()> {
        self.poll_until(deadline, context)
    }
}

/// A loop that a host polls. When the loop waits, the wakers and the timer of the host wake it.
pub(super) struct Hosted<T: 'static, H> {
    /// The first coroutine, until the future is first polled.
    main: Option<Task<T>>,
    /// The run, from the first poll until the future is ready.
    running: Option<(Run<T>, H)>,
    grouping: Grouping,
    /// The function that the user called.
    name: &'static str,
    location: &'static Location<'static>,
}

impl<T: 'static, H: HostTimer> Hosted<T, H> {
    #[track_caller]
    pub(super) fn new<W: Wait<Output = T>>(name: &'static str, wait: W) -> Hosted<T, H> {
        let AnyTask(main) = wait.into_task();
        let location = Location::caller();
        Hosted { main: Some(main), running: None, grouping: Grouping::default(), name, location }
    }

    pub(super) fn set_grouping(&mut self, grouping: Grouping) {
        self.grouping = grouping;
    }

    /// Cancels the run, if it has not ended, and waits for its end.
    #[cfg(feature = "tokio")]
    pub(super) fn drop_run(&mut self) {
        drop((self.main.take(), self.running.take()));
    }

    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<T, LoopError>> {
        if let Some(main) = self.main.take() {
            let settings = Settings { grouping: self.grouping, ..Settings::default() };
            let run = Run::start(main, settings, self.location);
            #[cfg(feature = "tokio")]
            H::NOW.into_iter().for_each(|now| run.follow_clock(now));
            self.running = Some((run, H::default()));
        }
        let Some((run, timer)) = &mut self.running else { panic!("{}", polled_again(self.name)) };
        if let Poll::Ready(result) = run.poll(context) {
            self.running = None;
            return Poll::Ready(result);
        }
        // A run that is not idle has already woken the host. If the deadline of an idle run has passed in the meantime, the host is
        // woken, and polls again later. So the other tasks of the host run first.
        if run.is_idle() && timer.poll_until(run.deadline(), context).is_ready() {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl<T, H> fmt::Debug for Hosted<T, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(stage(self.main.is_some(), self.running.is_some()))
    }
}

// The future itself need not be pinned. Each coroutine is pinned, in an allocation of its own.
impl<T, H> Unpin for Hosted<T, H> {}

pub(super) fn polled_again(name: &str) -> String {
    format!("the future of `{name}` was polled after it had given its output")
}

pub(super) fn stage(is_unstarted: bool, is_running: bool) -> &'static str {
    match (is_unstarted, is_running) {
        (true, _) => "Unstarted",
        (_, true) => "Running",
        _ => "Over",
    }
}

/// Defines a public future around a [`Hosted`] or a [`Threaded`](super::thread::Threaded).
macro_rules! loop_future {
    ($(#[$meta:meta])* pub struct $name:ident<T $(: $bound:ident)?>($inner:ident<T>);) => {
        $(#[$meta])*
        #[must_use = "nothing runs before this is awaited"]
        #[derive(Debug)]
        pub struct $name<T: $($bound +)? 'static>($inner<T>);

        impl<T: $($bound +)? 'static> $name<T> {
            /// Several errors may come up while the loop stops. This sets which of them are kept. After the first poll, it has no
            /// effect.
            pub fn grouping(mut self, grouping: crate::Grouping) -> $name<T> {
                self.0.set_grouping(grouping);
                self
            }
        }

        impl<T: $($bound +)? 'static> Future for $name<T> {
            type Output = Result<T, crate::LoopError>;

            fn poll(
                mut self: std::pin::Pin<&mut Self>,
                context: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Self::Output> {
                self.0.poll(context)
            }
        }
    };
}

pub(super) use loop_future;
