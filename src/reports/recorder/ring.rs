//! The ring buffer of a recorder: the last events, and the names, parents and lines of their tasks.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};
use std::panic::Location;

use crate::iterations;

/// How many events a [`Recorder`](crate::Recorder) keeps, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recorded {
    /// The coroutines that have events.
    pub coroutines: usize,
    /// Starts of coroutines.
    pub starts: usize,
    /// Turns. A turn goes from one `yield` of a coroutine to its next `yield`. The turns of internal tasks, which the library
    /// starts for some waits, count, too.
    pub turns: usize,
    /// Wake-ups, by another coroutine, by a timer or from outside. The wake-ups of internal tasks count, too.
    pub wakes: usize,
    /// How many of the [`wakes`](Recorded::wakes) were wake-ups by another coroutine or by an internal task.
    pub wakes_by_coroutines: usize,
    /// Cancellations.
    pub cancellations: usize,
    /// Ends of coroutines.
    pub ends: usize,
    /// How many older events were dropped to make room.
    pub dropped: u64,
}

/// Identifies a task of one of the recorded runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct TaskKey {
    pub(super) run: u64,
    pub(super) task: u64,
}

#[derive(Clone, Debug)]
pub(super) enum Event {
    /// `by` is the task in whose turn it was started.
    Started {
        at: u64,
        by: Option<u64>,
    },
    Turn {
        began: u64,
        ended: u64,
        from: &'static Location<'static>,
        to: &'static Location<'static>,
    },
    Woken {
        at: u64,
        by: WokenBy,
    },
    Cancelled {
        at: u64,
        reason: Box<str>,
    },
    Ended {
        at: u64,
        end: End,
    },
}

/// The cause that has made a task ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WokenBy {
    /// The task with this id, in its turn.
    Task(u64),
    Timer,
    /// Another thread, a foreign future, or the host.
    Outside,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Value,
    Error,
    Cancelled,
    Panicked,
}

/// The data of a task that has events, or that has not ended.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// Empty if the task is internal.
    pub(super) name: Cow<'static, str>,
    /// The coroutine that started it. If an internal task started it: the coroutine to which that internal task belongs.
    pub(super) parent: Option<u64>,
    pub(super) location: &'static Location<'static>,
    /// How many events of this task are kept.
    events: usize,
    has_ended: bool,
}

impl Known {
    fn is_coroutine(&self) -> bool {
        !self.name.is_empty()
    }
}

/// A run that is not over, or that has a known task.
#[derive(Clone)]
struct Run {
    thread: String,
    /// The tasks that have not ended.
    live: HashSet<u64>,
    /// How many tasks are known.
    known: usize,
    is_over: bool,
}

#[derive(Clone)]
pub(super) struct Ring {
    capacity: usize,
    events: VecDeque<(TaskKey, Event)>,
    tasks: HashMap<TaskKey, Known>,
    runs: HashMap<u64, Run>,
    last_run: u64,
    recorded: Recorded,
}

impl Ring {
    pub(super) fn new(capacity: usize) -> Ring {
        Ring {
            capacity,
            events: VecDeque::new(),
            tasks: HashMap::new(),
            runs: HashMap::new(),
            last_run: 0,
            recorded: Recorded::default(),
        }
    }

    pub(super) fn begin_run(&mut self, thread: String) -> u64 {
        self.last_run += 1;
        self.runs.insert(self.last_run, Run { thread, live: HashSet::new(), known: 0, is_over: false });
        self.last_run
    }

    /// Notes that the run is over. From now on, a task of this run stays known only while one of its events is kept.
    pub(super) fn end_run(&mut self, number: u64) {
        let Some(run) = self.runs.get_mut(&number) else { return };
        run.is_over = true;
        for task in std::mem::take(&mut run.live) {
            iterations::count();
            let key = TaskKey { run: number, task };
            if let Some(known) = self.tasks.get_mut(&key) {
                known.has_ended = true;
                self.forget_unused(key);
            }
        }
        self.forget_unused_run(number);
    }

    /// Removes a task if it has ended and has no event left.
    fn forget_unused(&mut self, key: TaskKey) {
        if self.tasks.get(&key).is_some_and(|known| known.has_ended && known.events == 0) {
            self.tasks.remove(&key);
            if let Some(run) = self.runs.get_mut(&key.run) {
                run.known -= 1;
            }
            self.forget_unused_run(key.run);
        }
    }

    fn forget_unused_run(&mut self, number: u64) {
        if self.runs.get(&number).is_some_and(|run| run.is_over && run.known == 0) {
            self.runs.remove(&number);
        }
    }

    /// The number of runs that are not over or have an event that is kept.
    pub(super) fn run_count(&self) -> usize {
        self.runs.len()
    }

    /// Notes the name and the line of a task, and the task that started it, `by`. Returns whether the task was not known
    /// before.
    ///
    /// Internal tasks may start one another in a long chain. So the coroutine to which a task belongs is looked up only once,
    /// here.
    pub(super) fn know(
        &mut self,
        key: TaskKey,
        name: Cow<'static, str>,
        by: Option<u64>,
        location: &'static Location<'static>,
    ) -> bool {
        if self.tasks.contains_key(&key) {
            return false;
        }
        let parent = by.and_then(|task| self.coroutine(TaskKey { task, ..key })).map(|parent| parent.task);
        self.tasks.insert(key, Known { name, parent, location, events: 0, has_ended: false });
        if let Some(run) = self.runs.get_mut(&key.run) {
            run.known += 1;
            run.live.insert(key.task);
        }
        true
    }

    pub(super) fn push(&mut self, key: TaskKey, event: Event) {
        let Some(known) = self.tasks.get_mut(&key) else { return };
        known.events += 1;
        let is_coroutine = known.is_coroutine();
        self.recorded.coroutines += usize::from(is_coroutine && known.events == 1);
        self.recorded.add(&event, is_coroutine);
        if self.events.len() == self.capacity {
            self.drop_first();
        }
        self.events.push_back((key, event));
    }

    pub(super) fn end(&mut self, key: TaskKey, at: u64, end: End) {
        self.push(key, Event::Ended { at, end });
        if let Some(known) = self.tasks.get_mut(&key) {
            known.has_ended = true;
        }
        if let Some(run) = self.runs.get_mut(&key.run) {
            run.live.remove(&key.task);
        }
    }

    fn drop_first(&mut self) {
        let Some((key, event)) = self.events.pop_front() else { return };
        self.recorded.dropped += 1;
        let Some(known) = self.tasks.get_mut(&key) else { return };
        known.events -= 1;
        let is_coroutine = known.is_coroutine();
        let is_unused = known.events == 0;
        self.recorded.coroutines -= usize::from(is_coroutine && is_unused);
        self.recorded.subtract(&event, is_coroutine);
        if is_unused {
            self.forget_unused(key);
        }
    }

    pub(super) fn events(&self) -> impl Iterator<Item = (TaskKey, &Event)> {
        self.events.iter().inspect(|_| iterations::count()).map(|(key, event)| (*key, event))
    }

    pub(super) fn known(&self, key: TaskKey) -> Option<&Known> {
        self.tasks.get(&key)
    }

    pub(super) fn thread(&self, run: u64) -> &str {
        self.runs.get(&run).map_or("", |run| &run.thread)
    }

    /// The coroutine to which a task belongs. A coroutine belongs to itself. An internal task belongs to the nearest coroutine
    /// above it. `None` if there is no such coroutine, or if it is no longer known.
    pub(super) fn coroutine(&self, key: TaskKey) -> Option<TaskKey> {
        iterations::count();
        let known = self.known(key)?;
        if known.is_coroutine() { Some(key) } else { self.parent(key) }
    }

    /// The coroutine that started a task, if it is still known.
    pub(super) fn parent(&self, key: TaskKey) -> Option<TaskKey> {
        let parent = TaskKey { task: self.known(key)?.parent?, ..key };
        self.known(parent).map(|_| parent)
    }

    pub(super) fn recorded(&self) -> Recorded {
        self.recorded
    }
}

impl Recorded {
    /// The counter for `event`. For internal tasks, only turns and wake-ups are counted.
    fn counter_of(&mut self, event: &Event, is_coroutine: bool) -> Option<&mut usize> {
        match event {
            Event::Turn { .. } => Some(&mut self.turns),
            Event::Woken { .. } => Some(&mut self.wakes),
            Event::Started { .. } => is_coroutine.then_some(&mut self.starts),
            Event::Cancelled { .. } => is_coroutine.then_some(&mut self.cancellations),
            Event::Ended { .. } => is_coroutine.then_some(&mut self.ends),
        }
    }

    fn add(&mut self, event: &Event, is_coroutine: bool) {
        if let Some(counter) = self.counter_of(event, is_coroutine) {
            *counter += 1;
        }
        self.wakes_by_coroutines += usize::from(event.is_wake_by_task());
    }

    fn subtract(&mut self, event: &Event, is_coroutine: bool) {
        if let Some(counter) = self.counter_of(event, is_coroutine) {
            *counter -= 1;
        }
        self.wakes_by_coroutines -= usize::from(event.is_wake_by_task());
    }
}

impl Event {
    fn is_wake_by_task(&self) -> bool {
        matches!(self, Event::Woken { by: WokenBy::Task(_), .. })
    }
}
