//! The spans of `tracing` in which tasks take their turns.
//!
//! A task that is started in the turn of a task with a span gets the same span. The new tasks are found after the turn: they are
//! ready, and have new ids. So starting a task costs nothing extra.

use std::rc::Rc;

use tracing::Span;

use super::state::State;
use super::{Header, TaskRef};
use crate::scheduler::Scheduler;

/// A span that a task has entered for one turn. Dropping this value leaves the span, also after a panic.
pub(super) struct InSpan {
    span: Rc<Span>,
    /// The data to find the tasks that were started in the turn.
    started: Option<Started>,
}

struct Started {
    scheduler: Rc<Scheduler>,
    last_id: u64,
    ready: usize,
}

impl Header {
    /// Sets the span of its turns, and of the turns of tasks that it starts. The task must not have started. Returns the span
    /// that it had before.
    pub(crate) fn set_span(&self, span: Rc<Span>) -> Option<Rc<Span>> {
        self.set(State::IN_SPAN);
        self.cold_mut(|cold| cold.span.replace(span))
    }

    pub(in crate::scheduler) fn take_span(&self) -> Option<Rc<Span>> {
        self.cold(|cold| cold.span.take()).flatten()
    }
}

impl TaskRef {
    /// Enters its span for a turn.
    #[cold]
    #[inline(never)]
    pub(super) fn enter_span(&self) -> Option<InSpan> {
        let span = self.cold(|cold| cold.span.clone()).flatten()?;
        let started = self.scheduler().map(|scheduler| {
            let (last_id, ready) = (scheduler.last_id.get(), scheduler.run_queue.next_round_len());
            Started { scheduler, last_id, ready }
        });
        // The guard of `tracing` borrows the span; this one owns it.
        span.with_subscriber(|(id, subscriber)| subscriber.enter(id));
        Some(InSpan { span, started })
    }
}

impl Drop for InSpan {
    fn drop(&mut self) {
        if let Some(Started { scheduler, last_id, ready }) = self.started.take() {
            for task in scheduler.run_queue.next_round_after(ready) {
                if task.id.get() > last_id && !task.has(State::IN_SPAN) {
                    // It had no span, so no user code runs here to drop one.
                    task.set_span(self.span.clone());
                }
            }
        }
        self.span.with_subscriber(|(id, subscriber)| subscriber.exit(id));
    }
}
