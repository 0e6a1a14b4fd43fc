//! What the loop's own thread notes at a wake slot: whether it is in a list, and the wake-ups in a poll.
//!
//! Only that one thread may use it: [`local`](super::local) compares the threads.

use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, Ordering::Relaxed};

use crate::scheduler::{Header, TaskRef};

/// What the loop's own thread notes at a wake slot. No other thread reads or writes it, so loads and stores are enough to change it.
pub(in crate::scheduler) struct LocalMarks {
    /// The task that the slot wakes, or null if it wakes a function. Never changed.
    pub(super) task: AtomicPtr<Header>,
    bits: AtomicU8,
    /// How many futures in a row were ready when the task polled them.
    ready_polls: AtomicU32,
}

/// After this many futures in a row that were ready at once, the task suspends, so that other tasks have their turns.
const MAX_READY_POLLS: u32 = 256;

/// The slot is in the list.
pub(super) const LISTED: u8 = 1;
/// The task of the slot polls a future: a wake-up need not go to the list.
pub(super) const POLLED: u8 = 1 << 1;
/// The slot was woken in this poll.
pub(super) const WOKEN: u8 = 1 << 2;
/// A waker of the slot is kept as a spare one.
pub(super) const SPARE: u8 = 1 << 3;
/// The slot is in the list of those that may have a spare waker.
pub(super) const WITH_SPARE: u8 = 1 << 4;
/// The loop has noted that the task waits for foreign futures.
#[cfg(feature = "smol")]
const FOREIGN: u8 = 1 << 5;
/// The task waits for a future, or polls one: a wake-up is of use to it.
const AWAITS: u8 = 1 << 6;

impl LocalMarks {
    pub(in crate::scheduler) fn new(task: Option<&TaskRef>) -> LocalMarks {
        LocalMarks {
            task: AtomicPtr::new(task.map_or(null_mut(), TaskRef::as_ptr)),
            bits: AtomicU8::new(0),
            ready_polls: AtomicU32::new(0),
        }
    }

    #[inline(always)]
    pub(super) fn get(&self) -> u8 {
        self.bits.load(Relaxed)
    }

    #[inline(always)]
    pub(super) fn set(&self, bits: u8) {
        self.bits.store(bits, Relaxed);
    }

    /// Notes that the slot is no longer in the list: the next wake-up adds it again.
    #[inline]
    pub(in crate::scheduler) fn unlist(&self) {
        self.set(self.get() & !LISTED);
    }

    /// Whether the task waits for a future, so that a wake-up is of use to it.
    pub(in crate::scheduler) fn awaits(&self) -> bool {
        self.get() & AWAITS != 0
    }

    /// Notes that the task no longer waits for a future.
    pub(in crate::scheduler) fn stop_awaiting(&self) {
        self.set(self.get() & !AWAITS);
    }

    /// Notes the wake-ups in a poll, until the result is dropped. `None` if the task has to suspend first.
    #[inline]
    pub(in crate::scheduler) fn begin_poll(&self) -> Option<LocalPoll<'_>> {
        let before = self.get();
        // A poll inside of another poll is not put off, because nothing would wake the outer poll again.
        if before & POLLED == 0 && self.ready_polls.load(Relaxed) >= MAX_READY_POLLS {
            self.ready_polls.store(0, Relaxed);
            return None;
        }
        self.set(before | POLLED | AWAITS);
        Some(LocalPoll { marks: self, is_nested: before & POLLED != 0, over: POLLED | WOKEN })
    }
}

/// A poll of a future, on the loop's own thread.
pub(in crate::scheduler) struct LocalPoll<'a> {
    marks: &'a LocalMarks,
    /// The task polls another future already, by hand, and this poll takes place inside of that one. Wake-ups are noted for the
    /// outer poll.
    is_nested: bool,
    /// The bits that are cleared when the poll is over.
    over: u8,
}

impl LocalPoll<'_> {
    /// Notes that the future is ready.
    #[inline]
    pub(in crate::scheduler) fn note_ready(&mut self) {
        self.over |= AWAITS;
        let ready_polls = &self.marks.ready_polls;
        ready_polls.store(ready_polls.load(Relaxed) + 1, Relaxed);
    }

    /// Notes that the future is a foreign one. Returns whether this is the first foreign future of this slot.
    #[cfg(feature = "smol")]
    #[inline]
    pub(in crate::scheduler) fn note_foreign(&self) -> bool {
        let marked = self.marks.get();
        self.marks.set(marked | FOREIGN);
        marked & FOREIGN == 0
    }

    /// Notes that the future is pending, so the task suspends. Returns whether the slot was woken in this poll.
    #[inline]
    pub(in crate::scheduler) fn note_pending(&self) -> bool {
        self.marks.ready_polls.store(0, Relaxed);
        !self.is_nested && self.marks.get() & WOKEN != 0
    }
}

impl Drop for LocalPoll<'_> {
    #[inline]
    fn drop(&mut self) {
        if !self.is_nested {
            self.marks.set(self.marks.get() & !self.over);
        }
    }
}
