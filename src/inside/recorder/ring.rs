//! The last events, and what has to be known of the tasks that they are about.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::panic::Location;

use crate::work;

/// How much a [`Recorder`](crate::Recorder) keeps, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recorded {
    /// The coroutines that the events are about.
    pub coroutines: usize,
    /// Starts of coroutines.
    pub starts: usize,
    /// Turns: each from a `yield` of a coroutine to its next one. Those of tasks that the library makes to carry a wait count, too.
    pub turns: usize,
    /// Wake-ups, by another coroutine, by a timer or from outside.
    pub wakes: usize,
    /// Of these, the ones by another coroutine.
    pub wakes_by_coroutines: usize,
    /// Cancellations.
    pub cancellations: usize,
    /// Ends of coroutines.
    pub ends: usize,
    /// How many older events were dropped to make room.
    pub dropped: u64,
}

/// A task, in one of the runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct TaskKey {
    pub(super) run: u32,
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
        by: Waker,
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

/// What has made a task ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waker {
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

/// What is known of a task.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// Empty if the library made it to carry a wait.
    pub(super) name: Cow<'static, str>,
    /// The coroutine that started it. If a task of the library did: the coroutine that this task belongs to.
    pub(super) parent: Option<u64>,
    pub(super) location: &'static Location<'static>,
    /// How many events about it are kept.
    events: usize,
    has_ended: bool,
}

#[derive(Clone)]
pub(super) struct Ring {
    capacity: usize,
    events: VecDeque<(TaskKey, Event)>,
    tasks: HashMap<TaskKey, Known>,
    /// The threads of the runs, by number.
    runs: BTreeMap<u32, String>,
    last_run: u32,
    dropped: u64,
}

impl Ring {
    pub(super) fn new(capacity: usize) -> Ring {
        Ring {
            capacity,
            events: VecDeque::new(),
            tasks: HashMap::new(),
            runs: BTreeMap::new(),
            last_run: 0,
            dropped: 0,
        }
    }

    pub(super) fn begin_run(&mut self, thread: String) -> u32 {
        self.last_run += 1;
        self.runs.insert(self.last_run, thread);
        self.last_run
    }

    /// The run is over: what is still known of its tasks is kept only for their events.
    pub(super) fn end_run(&mut self, run: u32) {
        self.tasks.retain(|key, known| {
            known.has_ended |= key.run == run;
            !known.has_ended || known.events > 0
        });
        let is_used = |run| self.tasks.keys().any(|key| key.run == run);
        if !is_used(run) {
            self.runs.remove(&run);
        }
    }

    /// Notes what a task is, and in whose turn it was started. True if it was not known.
    ///
    /// Tasks of the library may start one another in a long chain, so what they belong to is looked up only here.
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
        true
    }

    pub(super) fn push(&mut self, key: TaskKey, event: Event) {
        let Some(known) = self.tasks.get_mut(&key) else { return };
        known.events += 1;
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
    }

    fn drop_first(&mut self) {
        let Some((key, _)) = self.events.pop_front() else { return };
        self.dropped += 1;
        let Some(known) = self.tasks.get_mut(&key) else { return };
        known.events -= 1;
        if known.events == 0 && known.has_ended {
            self.tasks.remove(&key);
        }
    }

    pub(super) fn events(&self) -> impl Iterator<Item = (TaskKey, &Event)> {
        self.events.iter().map(|(key, event)| (*key, event))
    }

    pub(super) fn known(&self, key: TaskKey) -> Option<&Known> {
        self.tasks.get(&key)
    }

    pub(super) fn thread(&self, run: u32) -> &str {
        self.runs.get(&run).map_or("", String::as_str)
    }

    /// The coroutine that a task belongs to: itself, or, if the library made it to carry a wait, the nearest one above. `None` if
    /// there is none, or if it is not known any more.
    pub(super) fn coroutine(&self, key: TaskKey) -> Option<TaskKey> {
        work::count();
        let known = self.known(key)?;
        if known.name.is_empty() { self.parent(key) } else { Some(key) }
    }

    /// The coroutine that started a task, if it is still known.
    pub(super) fn parent(&self, key: TaskKey) -> Option<TaskKey> {
        let parent = TaskKey { task: self.known(key)?.parent?, ..key };
        self.known(parent).map(|_| parent)
    }

    pub(super) fn recorded(&self) -> Recorded {
        let mut recorded = Recorded { dropped: self.dropped, ..Recorded::default() };
        recorded.coroutines = self.tasks.values().filter(|known| known.events > 0 && !known.name.is_empty()).count();
        for (key, event) in self.events() {
            let is_coroutine = usize::from(self.known(key).is_some_and(|known| !known.name.is_empty()));
            match event {
                Event::Started { .. } => recorded.starts += is_coroutine,
                Event::Turn { .. } => recorded.turns += 1,
                Event::Woken { by, .. } => {
                    recorded.wakes += 1;
                    recorded.wakes_by_coroutines += usize::from(matches!(by, Waker::Task(_)));
                }
                Event::Cancelled { .. } => recorded.cancellations += is_coroutine,
                Event::Ended { .. } => recorded.ends += is_coroutine,
            }
        }
        recorded
    }
}
