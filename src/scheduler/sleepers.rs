//! Those who wait for a point in time: a heap of deadlines, earliest first, and first come first among equals.

use dary_heap::QuaternaryHeap;
use std::cmp::{Ordering, Reverse};
use std::time::{Duration, Instant};

use slab::Slab;

use super::scope::Scope;
use super::task::Waiter;
use std::rc::Rc;

/// What happens at a deadline.
pub(crate) enum Alarm {
    /// A wait is over.
    Settle(Waiter),
    /// A scope has run out of time.
    Expire(Rc<Scope>),
}

/// The deadlines of a loop. An alarm that is cancelled leaves its entry in the heap; these are swept out before they are as
/// many as the living.
pub(crate) struct Sleepers {
    heap: QuaternaryHeap<Reverse<Entry>>,
    alarms: Slab<(u32, Alarm)>,
    stamp: u32,
    zero: Instant,
}

#[derive(PartialEq, Eq)]
struct Entry {
    /// In nanoseconds since the loop's own zero.
    deadline: u64,
    /// Counts up, so that equals ring in the order in which they were set.
    stamp: u32,
    slot: u32,
}

impl Entry {
    /// What it is compared by. As one number, a million sleeps take a tenth less time than field by field.
    fn rank(&self) -> u128 {
        u128::from(self.deadline) << 64 | u128::from(self.stamp) << 32 | u128::from(self.slot)
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The deadline of what never rings.
const NEVER: u64 = u64::MAX;

/// An alarm. Of one that has rung, it stays behind and names nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AlarmKey {
    slot: u32,
    stamp: u32,
}

impl Sleepers {
    pub(crate) fn new() -> Sleepers {
        Sleepers { heap: QuaternaryHeap::new(), alarms: Slab::new(), stamp: 0, zero: Instant::now() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.alarms.is_empty()
    }

    /// In nanoseconds since the loop's own zero.
    pub(crate) fn count(&self, time: Instant) -> u64 {
        let duration = time.saturating_duration_since(self.zero);
        duration.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(duration.subsec_nanos()))
    }

    /// Has `alarm` ring at `deadline`, or never if there is none.
    pub(crate) fn set(&mut self, deadline: Option<Instant>, alarm: Alarm) -> AlarmKey {
        let deadline = deadline.map_or(NEVER, |deadline| self.count(deadline));
        self.stamp = self.stamp.wrapping_add(1);
        let slot = self.alarms.insert((self.stamp, alarm));
        let slot = u32::try_from(slot).expect("fewer than 2^32 deadlines in one loop");
        self.heap.push(Reverse(Entry { deadline, stamp: self.stamp, slot }));
        AlarmKey { slot, stamp: self.stamp }
    }

    pub(crate) fn is_set(&self, key: AlarmKey) -> bool {
        self.alarms.get(key.slot as usize).is_some_and(|(stamp, _)| *stamp == key.stamp)
    }

    pub(crate) fn cancel(&mut self, key: AlarmKey) -> Option<Alarm> {
        if !self.is_set(key) {
            return None;
        }
        let (_, alarm) = self.alarms.remove(key.slot as usize);
        if self.heap.len() > 2 * self.alarms.len() + 32 {
            let alarms = &self.alarms;
            self.heap.retain(|Reverse(entry)| {
                alarms.get(entry.slot as usize).is_some_and(|(stamp, _)| *stamp == entry.stamp)
            });
            self.shrink();
        }
        Some(alarm)
    }

    /// The next deadline; `None` if there is none, or if it is never.
    pub(crate) fn next(&mut self) -> Option<Instant> {
        self.skip_cancelled();
        let Reverse(entry) = self.heap.peek()?;
        if entry.deadline == NEVER { None } else { self.zero.checked_add(Duration::from_nanos(entry.deadline)) }
    }

    /// An alarm whose time has come by `now`, in the same count, if there is one.
    pub(crate) fn pop_due(&mut self, now: u64) -> Option<Alarm> {
        self.skip_cancelled();
        let Reverse(entry) = self.heap.peek()?;
        if entry.deadline > now || entry.deadline == NEVER {
            return None;
        }
        let slot = entry.slot as usize;
        self.heap.pop();
        let (_, alarm) = self.alarms.remove(slot);
        if self.alarms.is_empty() {
            self.shrink();
        }
        Some(alarm)
    }

    fn skip_cancelled(&mut self) {
        while let Some(Reverse(entry)) = self.heap.peek()
            && !self.is_set(AlarmKey { slot: entry.slot, stamp: entry.stamp })
        {
            self.heap.pop();
        }
    }

    fn shrink(&mut self) {
        if self.heap.capacity() > 4 * self.heap.len() + 64 {
            self.heap.shrink_to(2 * self.heap.len());
            self.alarms.shrink_to_fit();
        }
    }
}
