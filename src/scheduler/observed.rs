//! The second copy of the main loop: for simulated loops, and for loops that something observes.
//!
//! The copy is chosen once per call of [`run`](Scheduler::run). So a loop without an observer takes no additional instructions
//! in a turn. The observed loop compares the run queue and the last id before and after each turn. If a task became ready in
//! the turn and its id is new, the turn has started it. Otherwise the turn has woken it.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::run::Progress;
use super::watch::Watch;
use super::{Scheduler, State, TaskRef};
use crate::error::Cancelled;
use crate::reports::recorder::{End, RunRecorder, WokenBy};
use crate::trace::Frame;

/// Code that runs before and after each turn of a run.
pub(crate) struct Observer {
    watch: Option<Arc<Watch>>,
    recorder: Option<RunRecorder>,
    current: RefCell<Option<Current>>,
    /// How many tasks of the next round the observer has looked at.
    seen_ready: Cell<usize>,
    longest_turn: Cell<Duration>,
    starters: RefCell<Starters>,
}

/// The phase in which tasks have become ready.
enum Phase<'a> {
    Turn(&'a EndedTurn),
    /// Between two turns, and not by a timer.
    Outside,
    Timers,
}

/// A turn that is over.
struct EndedTurn {
    id: u64,
    /// The last id before the turn.
    last_id: u64,
    is_internal: bool,
    /// The coroutine that took it, if it has started a task.
    frame: Option<Frame>,
}

/// The turn that is being taken.
struct Current {
    task: TaskRef,
    began: Instant,
    from: &'static Location<'static>,
    /// The last id before the turn.
    last_id: u64,
    /// Whether the scope of the task was cancelled before the turn.
    was_cancelled: bool,
    /// Why the scope was cancelled, if this is the turn in which the task sees its cancellation.
    cancelled: Option<Cancelled>,
}

/// Which task started which, by id. If an internal task has started a task, the starter of the internal task counts as the
/// starter.
#[derive(Default)]
struct Starters {
    starters: HashMap<u64, u64>,
    /// The coroutine that started each internal task.
    coroutines: HashMap<u64, Frame>,
    /// When there are this many entries, the entries of tasks that have ended are removed.
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

    /// The coroutine to which a turn of `task` belongs. If `task` is internal, this is the coroutine that waits for `task`. If
    /// there is none, it is the coroutine that started `task`.
    fn frame_of(&self, task: &TaskRef) -> Frame {
        let frame = |task: &TaskRef| Frame::new(task.name(), task.location.get());
        if !task.is_internal() {
            return frame(task);
        }
        if let Some(waiting) = task.first_waiting_task().filter(|waiting| !waiting.is_internal()) {
            return frame(&waiting);
        }
        let started_by = self.starters.borrow().coroutines.get(&task.id.get()).cloned();
        started_by.unwrap_or_else(|| Frame::new("run".into(), task.location.get()))
    }

    pub(super) fn starter_of(&self, id: u64) -> Option<u64> {
        self.starters.borrow().starters.get(&id).copied()
    }
}

impl Scheduler {
    /// Whether to use the second copy of the main loop.
    #[inline(always)]
    pub(super) fn is_observed(&self) -> bool {
        self.is_simulated() || self.observer.is_some()
    }

    /// As [`steps`](Scheduler::steps). Also sets the order of the rounds, records the turns, and calls the observer.
    #[cold]
    #[inline(never)]
    pub(super) fn observed_steps(self: &Rc<Scheduler>, budget: &mut usize) -> Progress {
        let given = *budget + self.turns_of_call.get();
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
            } else if self.begin_observed_round(given - *budget) {
                self.simulated_round_has_begun();
            } else if !self.is_cancelling.get()
                && !self.is_signalled()
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

    fn begin_observed_round(self: &Rc<Scheduler>, turns_of_call: usize) -> bool {
        let Some(observer) = self.observer.as_deref() else { return self.begin_round() };
        self.turns_of_call.set(turns_of_call);
        self.note_ready(observer, &Phase::Outside);
        if self.may_have_news() {
            self.look_outside();
            self.note_ready(observer, &Phase::Outside);
            self.look_at_clock();
            self.note_ready(observer, &Phase::Timers);
        }
        let has_begun = self.run_queue.begin_round();
        observer.seen_ready.set(0);
        if let Some(watch) = observer.watch.as_deref().filter(|watch| watch.is_asked()) {
            watch.answer(|| self.take_dump(None));
        }
        has_begun
    }

    pub(super) fn begin_turn(&self, task: &TaskRef, is_cancelling: bool) {
        let Some(observer) = self.observer.as_deref() else { return };
        let (began, from) = (Instant::now(), task.location.get());
        if let Some(watch) = &observer.watch {
            watch.begin_turn(observer.frame_of(task), began);
        }
        let cancelled = task.scope().filter(|_| is_cancelling).and_then(|scope| scope.cancelled());
        let (last_id, was_cancelled) = (self.last_id.get(), task.has(State::CANCELLED));
        let current = Current { task: task.clone(), began, from, last_id, was_cancelled, cancelled };
        observer.current.replace(Some(current));
    }

    /// Notes that the turn is over, by a `yield`, an end, or a panic.
    pub(super) fn end_turn(&self, has_panicked: bool) {
        let Some(observer) = self.observer.as_deref() else { return };
        let Some(current) = observer.current.take() else { return };
        let Current { task, began, from, last_id, was_cancelled, cancelled } = current;
        let to = task.location.get();
        let name = observer.recorder.as_ref().map(|_| task.name()).unwrap_or_default();
        let end = task.is_ended().then(|| match task.error() {
            _ if has_panicked => End::Panicked,
            None => End::Value,
            Some(_) if was_cancelled => End::Cancelled,
            Some(_) => End::Error,
        });
        let cancelled = cancelled.filter(|_| !task.has(State::CANCEL_DEFERRED));
        let frame = (self.last_id.get() > last_id).then(|| observer.frame_of(&task));
        let turn = EndedTurn { id: task.id.get(), last_id, is_internal: task.is_internal(), frame };
        // This may be the last reference to the task, and the drop may run a destructor of the user. The destructor counts as
        // part of the turn.
        drop(task);
        let ended = Instant::now();
        let duration = ended.saturating_duration_since(began);
        observer.longest_turn.set(observer.longest_turn.get().max(duration));
        if let Some(watch) = &observer.watch {
            watch.end_turn(ended, end.is_none().then_some(to));
        }
        if let Some(recorder) = &observer.recorder {
            recorder.turn(name, turn.id, (began, from), (ended, to));
        }
        self.note_ready(observer, &Phase::Turn(&turn));
        if let Some(recorder) = &observer.recorder {
            if let Some(reason) = cancelled {
                recorder.cancelled(turn.id, ended, &reason);
            }
            if let Some(end) = end {
                recorder.ended(turn.id, ended, end);
            }
        }
    }

    /// Notes the tasks that have become ready since the last call. All of them have become ready in `phase`.
    fn note_ready(&self, observer: &Observer, phase: &Phase<'_>) {
        let seen = observer.seen_ready.replace(self.run_queue.next_round_len());
        if observer.seen_ready.get() <= seen {
            return;
        }
        let recorder = observer.recorder.as_ref().map(|recorder| (recorder, Instant::now()));
        for task in self.run_queue.next_round_after(seen) {
            let id = task.id.get();
            let waker = match phase {
                Phase::Turn(turn) if id > turn.last_id => {
                    self.note_starter(observer, &task, turn);
                    if let Some((recorder, now)) = recorder {
                        recorder.started(task.name(), id, turn.id, task.location.get(), now);
                    }
                    continue;
                }
                Phase::Turn(turn) if turn.id == id => continue,
                Phase::Turn(turn) => WokenBy::Task(turn.id),
                Phase::Outside => WokenBy::Outside,
                Phase::Timers => WokenBy::Timer,
            };
            if let Some((recorder, now)) = recorder {
                recorder.woken(task.name(), id, waker, task.location.get(), now);
            }
        }
    }

    fn note_starter(&self, observer: &Observer, task: &TaskRef, turn: &EndedTurn) {
        let mut starters = observer.starters.borrow_mut();
        if starters.starters.len() >= starters.prune_at {
            let alive: HashSet<u64> = self.root().all_tasks().iter().map(|task| task.id.get()).collect();
            let Starters { starters: by_id, coroutines, .. } = &mut *starters;
            by_id.retain(|id, _| alive.contains(id));
            by_id.shrink_to(2 * alive.len());
            coroutines.retain(|id, _| alive.contains(id));
            coroutines.shrink_to(2 * coroutines.len());
            starters.prune_at = 2 * starters.starters.len().max(alive.len()) + 64;
        }
        let starter = if turn.is_internal { starters.starters.get(&turn.id).copied() } else { None };
        starters.starters.insert(task.id.get(), starter.unwrap_or(turn.id));
        if task.is_internal() {
            starters.coroutines.extend(turn.frame.clone().map(|frame| (task.id.get(), frame)));
        }
    }
}
