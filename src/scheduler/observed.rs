//! The second copy of the main loop: for simulated loops, and for loops that something observes.
//!
//! It is chosen once per call of [`run`](Scheduler::run). So a loop that nothing observes has not one instruction more in a turn.
//! What the observer wants to know is compared before and after each turn: which tasks have become ready in it tells which were
//! woken and which were started.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::run::Progress;
use super::watch::Watch;
use super::{BlockedOn, Scheduler, State, TaskRef};
use crate::error::Cancelled;
use crate::inside::recorder::{End, RunRecorder, Waker};
use crate::trace::Frame;

/// What looks at each turn of a run.
pub(crate) struct Observer {
    watch: Option<Arc<Watch>>,
    recorder: Option<RunRecorder>,
    current: RefCell<Option<Current>>,
    /// How many tasks that are ready for the next round were looked at.
    seen_ready: Cell<usize>,
    longest_turn: Cell<Duration>,
    starters: RefCell<Starters>,
}

/// The turn that is being taken.
struct Current {
    task: TaskRef,
    began: Instant,
    from: &'static Location<'static>,
    /// The last id before the turn.
    last_id: u64,
    /// Its scope was cancelled before the turn.
    was_cancelled: bool,
    /// Why it is cancelled, if it is to see that in this turn.
    cancelled: Option<Cancelled>,
}

/// Which task started which, by id.
#[derive(Default)]
struct Starters {
    starters: HashMap<u64, u64>,
    /// At this number, those of tasks that have ended are removed.
    prune_at: usize,
}

impl Observer {
    pub(crate) fn new(watch: Option<Arc<Watch>>, recorder: Option<RunRecorder>) -> Observer {
        Observer {
            watch,
            recorder,
            current: RefCell::default(),
            seen_ready: Cell::new(0),
            longest_turn: Cell::default(),
            starters: RefCell::default(),
        }
    }

    pub(super) fn longest_turn(&self) -> Duration {
        self.longest_turn.get()
    }

    pub(super) fn starter_of(&self, id: u64) -> Option<u64> {
        self.starters.borrow().starters.get(&id).copied()
    }
}

impl Scheduler {
    /// Whether the second copy of the main loop is to be used.
    #[inline(always)]
    pub(super) fn is_observed(&self) -> bool {
        self.is_simulated() || self.observer.is_some()
    }

    /// As [`steps`](Scheduler::steps), with the order of the rounds, the record, and the observer.
    #[cold]
    #[inline(never)]
    pub(super) fn observed_steps(self: &Rc<Scheduler>, budget: &mut usize) -> Progress {
        while *budget > 0 {
            if self.is_cancelling.get() {
                if let Some(task) = self.next_to_cancel() {
                    *budget -= 1;
                    self.record_turn(&task);
                    self.begin_turn(&task, true);
                    self.cancelling_turn(task);
                    self.end_turn(false);
                }
            } else if let Some(task) = self.run_queue.pop() {
                *budget -= 1;
                self.record_turn(&task);
                if Scheduler::may_resume(&task) {
                    self.begin_turn(&task, false);
                    self.turn_slow(task);
                    self.end_turn(false);
                }
            } else if self.begin_observed_round() {
                self.simulated_round_has_begun();
            } else if !self.is_cancelling.get()
                && !self.is_locally_woken()
                && let Some(progress) = self.idle()
            {
                return progress;
            }
        }
        Progress::Ran
    }

    #[inline(never)]
    fn turn_slow(self: &Rc<Scheduler>, task: TaskRef) {
        self.turn(task, State::QUEUED);
    }

    fn begin_observed_round(self: &Rc<Scheduler>) -> bool {
        let Some(observer) = self.observer.as_deref() else { return self.begin_round() };
        self.note_ready(observer, None);
        if self.may_have_news() {
            self.look_around();
            self.note_ready(observer, None);
        }
        let has_begun = self.run_queue.begin_round();
        observer.seen_ready.set(0);
        if let Some(watch) = observer.watch.as_deref().filter(|watch| watch.is_asked()) {
            watch.answer(|| self.take_dump(None));
        }
        has_begun
    }

    fn begin_turn(&self, task: &TaskRef, is_cancelling: bool) {
        let Some(observer) = self.observer.as_deref() else { return };
        let (began, from) = (Instant::now(), task.location.get());
        if let Some(watch) = &observer.watch {
            watch.begin_turn(self.frame_of(task), began);
        }
        let cancelled = task.scope().filter(|_| is_cancelling).and_then(|scope| scope.cancelled());
        let was_cancelled = task.has(State::CANCELLED);
        let current =
            Current { task: task.clone(), began, from, last_id: self.last_id.get(), was_cancelled, cancelled };
        observer.current.replace(Some(current));
    }

    /// The coroutine that takes a turn. An internal task stands for the one that waits for it.
    fn frame_of(&self, task: &TaskRef) -> Frame {
        if task.is_internal() { super::simulated::place_of(task) } else { Frame::new(task.name(), task.location.get()) }
    }

    /// The turn is over, by a `yield`, an end, or a panic.
    pub(super) fn end_turn(&self, has_panicked: bool) {
        let Some(observer) = self.observer.as_deref() else { return };
        let Some(current) = observer.current.take() else { return };
        let Current { task, began, from, last_id, was_cancelled, cancelled } = current;
        let (ended, to) = (Instant::now(), task.location.get());
        let duration = ended.saturating_duration_since(began);
        observer.longest_turn.set(observer.longest_turn.get().max(duration));
        let has_ended = task.is_ended();
        if let Some(watch) = &observer.watch {
            watch.end_turn(ended, (!has_ended).then_some(to));
        }
        if let Some(recorder) = &observer.recorder {
            recorder.turn(task.name(), task.id.get(), (began, from), (ended, to));
        }
        self.note_ready(observer, Some((task.id.get(), last_id)));
        if let Some(recorder) = &observer.recorder {
            if let Some(reason) = cancelled.filter(|_| !task.has(State::CANCEL_DEFERRED)) {
                recorder.cancelled(task.id.get(), ended, &reason);
            }
            if has_ended {
                let end = match task.error() {
                    _ if has_panicked => End::Panicked,
                    None => End::Value,
                    Some(_) if was_cancelled => End::Cancelled,
                    Some(_) => End::Error,
                };
                recorder.ended(task.id.get(), ended, end);
            }
        }
        // The last reference may own what is the user's.
        drop(task);
    }

    /// Notes the tasks that have become ready since the last call: in a turn, by the task with that id, which had the last id before;
    /// or between two rounds.
    fn note_ready(&self, observer: &Observer, by: Option<(u64, u64)>) {
        let seen = observer.seen_ready.replace(self.run_queue.next_round_len());
        if observer.seen_ready.get() <= seen {
            return;
        }
        let now = if observer.recorder.is_some() { Some(Instant::now()) } else { None };
        for task in self.run_queue.next_round_after(seen) {
            let id = task.id.get();
            match by {
                Some((starter, last_id)) if id > last_id => {
                    self.note_starter(observer, id, starter);
                    if let (Some(recorder), Some(now)) = (&observer.recorder, now) {
                        recorder.started(task.name(), id, starter, task.location.get(), now);
                    }
                }
                _ => {
                    if let (Some(recorder), Some(now)) = (&observer.recorder, now) {
                        let waker = match by {
                            Some((waker, _)) if waker == id => continue,
                            Some((waker, _)) => Waker::Task(waker),
                            None if task.blocked_on().contains(BlockedOn::TIMER) => Waker::Timer,
                            None => Waker::Outside,
                        };
                        recorder.woken(task.name(), id, waker, task.location.get(), now);
                    }
                }
            }
        }
    }

    fn note_starter(&self, observer: &Observer, id: u64, starter: u64) {
        let mut starters = observer.starters.borrow_mut();
        if starters.starters.len() >= starters.prune_at {
            let alive: HashMap<u64, ()> = self.root().all_tasks().iter().map(|task| (task.id.get(), ())).collect();
            starters.starters.retain(|id, _| alive.contains_key(id));
            starters.prune_at = 2 * starters.starters.len().max(alive.len()) + 64;
        }
        starters.starters.insert(id, starter);
    }
}
