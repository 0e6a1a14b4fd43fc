//! Timers. The timer with the earliest deadline fires first. If two deadlines are equal, the timer that was set first fires
//! first.

use std::cmp::Ordering;
use std::rc::Rc;
use std::time::{Duration, Instant};

use dary_heap::{PeekMut, QuaternaryHeap};
use slab::Slab;

use super::scope::Scope;
use super::timer_key::TimerKey;
use super::wait::Waiter;

/// The action at a deadline.
pub(crate) enum Timer {
    /// Settles a wait.
    Settle(Waiter),
    /// Cancels a scope that has run out of time.
    Expire(Rc<Scope>),
}

/// The timers of a loop.
///
/// Recent deadlines are in a heap. When this heap is full, its entries become a sorted list, a [`SortedRun`]. A second heap has these
/// lists, ordered by their first entry. So of a million deadlines, all but a few thousand are in sorted lists. These deadlines
/// do not move, and are read in order.
///
/// When a timer is cancelled, its entry is not removed at once. All such entries are removed as soon as they outnumber the
/// timers by more than 32.
pub(crate) struct Timers {
    heap: QuaternaryHeap<Entry>,
    runs: QuaternaryHeap<SortedRun>,
    timers: Slab<Stamped>,
    /// An empty list. Its memory is used for the next timers that fire.
    due: Vec<Timer>,
    /// How many entries belong to timers that were cancelled.
    cancelled: usize,
    stamp: u32,
    zero: Instant,
}

/// How many timers are taken out before the first of their tasks is woken.
pub(super) const AT_ONCE: usize = 1024;

/// How many entries a full heap has. Together they take 32 KiB.
const RUN: usize = 2048;

/// A timer with its stamp. The stamp is inside of each variant, so that a value takes two words.
enum Stamped {
    Settle(u32, Waiter),
    Expire(u32, Rc<Scope>),
}

const _: () = assert!(size_of::<Option<Stamped>>() == 16);

impl Stamped {
    fn new(stamp: u32, timer: Timer) -> Stamped {
        match timer {
            Timer::Settle(waiter) => Stamped::Settle(stamp, waiter),
            Timer::Expire(scope) => Stamped::Expire(stamp, scope),
        }
    }

    fn stamp(&self) -> u32 {
        match self {
            Stamped::Settle(stamp, _) | Stamped::Expire(stamp, _) => *stamp,
        }
    }

    fn timer(self) -> Timer {
        match self {
            Stamped::Settle(_, waiter) => Timer::Settle(waiter),
            Stamped::Expire(_, scope) => Timer::Expire(scope),
        }
    }
}

/// In the order of entries, the entry that fires first is the greatest.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Entry {
    /// In nanoseconds since [`zero`](Timers::zero).
    deadline: u64,
    key: TimerKey,
}

impl Entry {
    /// The number by which entries are compared. A comparison field by field would make a million sleeps a tenth slower.
    fn rank(&self) -> u128 {
        u128::from(self.deadline) << 64 | u128::from(self.key.stamp) << 32 | u128::from(self.key.slot)
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> Ordering {
        other.rank().cmp(&self.rank())
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Sorted entries.
#[derive(PartialEq, Eq)]
struct SortedRun {
    first: Entry,
    /// The other entries, from the last one to the second one.
    rest: Vec<Entry>,
}

impl SortedRun {
    fn new(mut sorted: Vec<Entry>) -> Option<SortedRun> {
        sorted.pop().map(|first| SortedRun { first, rest: sorted })
    }

    fn retain(mut self, keep: impl Fn(&Entry) -> bool) -> Option<SortedRun> {
        self.rest.push(self.first);
        self.rest.retain(keep);
        self.rest.shrink_to_fit();
        SortedRun::new(self.rest)
    }
}

impl Ord for SortedRun {
    fn cmp(&self, other: &SortedRun) -> Ordering {
        self.first.cmp(&other.first)
    }
}

impl PartialOrd for SortedRun {
    fn partial_cmp(&self, other: &SortedRun) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The deadline of a timer that never fires.
const NEVER: u64 = u64::MAX;

impl TimerKey {
    fn is_of(self, timers: &Slab<Stamped>) -> bool {
        timers.get(self.slot as usize).is_some_and(|timer| timer.stamp() == self.stamp)
    }
}

impl Timers {
    /// `zero` is the time from which deadlines count. An earlier deadline counts as zero.
    pub(crate) fn new(zero: Instant) -> Timers {
        Timers {
            heap: QuaternaryHeap::new(),
            runs: QuaternaryHeap::new(),
            timers: Slab::new(),
            due: Vec::new(),
            cancelled: 0,
            stamp: 0,
            zero,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.timers.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.timers.len()
    }

    /// Converts `time` to nanoseconds since `zero`.
    pub(crate) fn count(&self, time: Instant) -> u64 {
        let duration = time.saturating_duration_since(self.zero);
        duration.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(duration.subsec_nanos()))
    }

    /// Sets `timer` to fire at `deadline`, or never.
    pub(crate) fn set(&mut self, deadline: Option<Instant>, timer: Timer) -> TimerKey {
        let deadline = deadline.map_or(NEVER, |deadline| self.count(deadline));
        self.stamp = self.stamp.wrapping_add(1);
        if self.stamp == 0 {
            // From here on, the stamps repeat. So the entries of cancelled timers are removed: none of them may have the key of a
            // new timer.
            self.sweep();
        }
        let slot = self.timers.insert(Stamped::new(self.stamp, timer));
        let slot = u32::try_from(slot).expect("fewer than 2^32 deadlines in one loop");
        let key = TimerKey { slot, stamp: self.stamp };
        if self.heap.len() == RUN {
            self.add_run();
        }
        self.heap.push(Entry { deadline, key });
        key
    }

    #[cold]
    fn add_run(&mut self) {
        let mut entries: Vec<Entry> = self.heap.drain().collect();
        entries.sort_unstable();
        self.runs.extend(SortedRun::new(entries));
    }

    pub(crate) fn is_set(&self, key: TimerKey) -> bool {
        key.is_of(&self.timers)
    }

    pub(crate) fn cancel(&mut self, key: TimerKey) -> Option<Timer> {
        if !self.is_set(key) {
            return None;
        }
        let timer = self.timers.remove(key.slot as usize).timer();
        self.cancelled += 1;
        if self.cancelled > self.timers.len() + 32 {
            self.sweep();
        }
        Some(timer)
    }

    fn sweep(&mut self) {
        let timers = &self.timers;
        let is_set = |entry: &Entry| entry.key.is_of(timers);
        self.heap.retain(is_set);
        self.runs = self.runs.drain().filter_map(|run| run.retain(is_set)).collect();
        self.cancelled = 0;
        self.shrink();
    }

    /// The next deadline. `None` if no timer is set, or if none of the timers that are set ever fires.
    pub(crate) fn next(&mut self) -> Option<Instant> {
        let mut first = self.first()?;
        while !self.is_set(first.key) {
            self.pop();
            self.cancelled -= 1;
            first = self.first()?;
        }
        if first.deadline == NEVER { None } else { self.zero.checked_add(Duration::from_nanos(first.deadline)) }
    }

    /// Takes the first timers that are due at `now`, but at most [`AT_ONCE`].
    ///
    /// If each timer was taken alone, and its task woken before the next timer was taken, a million sleeps would be two fifths
    /// slower: each step would wait for memory.
    pub(crate) fn take_due(&mut self, now: u64) -> Vec<Timer> {
        let mut due = std::mem::take(&mut self.due);
        while due.len() < AT_ONCE
            && let Some(first) = self.first()
            && first.deadline <= now
            && first.deadline != NEVER
        {
            self.pop();
            if self.is_set(first.key) {
                due.push(self.timers.remove(first.key.slot as usize).timer());
            } else {
                self.cancelled -= 1;
            }
        }
        if self.timers.is_empty() {
            self.shrink();
        }
        due
    }

    /// Takes back the list that [`take_due`](Timers::take_due) returned, to use its memory again. The caller has emptied the
    /// list.
    pub(crate) fn keep(&mut self, due: Vec<Timer>) {
        self.due = due;
    }

    fn first(&self) -> Option<Entry> {
        self.heap.peek().copied().max(self.runs.peek().map(|run| run.first))
    }

    /// Removes the first entry.
    fn pop(&mut self) {
        if let Some(mut run) = self.runs.peek_mut()
            && self.heap.peek().is_none_or(|entry| *entry < run.first)
        {
            match run.rest.pop() {
                Some(next) => {
                    run.first = next;
                    if run.rest.capacity() > 4 * run.rest.len() + 64 {
                        run.rest.shrink_to_fit();
                    }
                }
                None => drop(PeekMut::pop(run)),
            }
        } else {
            self.heap.pop();
        }
    }

    fn shrink(&mut self) {
        if self.heap.capacity() > 4 * self.heap.len() + 64 {
            self.heap.shrink_to(2 * self.heap.len());
        }
        if self.timers.capacity() > 4 * self.timers.len() + 64 {
            self.timers.shrink_to_fit();
        }
    }
}
