//! Wake-ups from the loop's own thread, while the loop runs. They take no lock and no atomic read-modify-write, and allocate
//! memory only if a list has to grow.
//!
//! Most futures that wake their own task do so while they are polled. Such a wake-up is noted at the wake slot, and the task is
//! queued at the end of its turn, as after a `yield`. A wake-up of a task that does not run queues that task at once. Any other
//! wake-up goes to a list that only the loop's own thread uses. The list is served between two rounds, as the inbox is.
//!
//! If a waker is dropped or consumed on this thread, it is kept with its counts as the *spare* waker of its slot, for the next
//! clone. A slot keeps one spare waker. Spare wakers are dropped when the loop stops running, and before the loop checks whether
//! anything outside could wake it.

use std::cell::UnsafeCell;
use std::marker::PhantomData;
use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering::Relaxed};

use super::marks::{LISTED, POLLED, SPARE, WITH_SPARE, WOKEN};
use super::this_thread::{is_this_thread, this_thread};
use super::wake_slot::WakeSlot;
use crate::capacity::KEPT_CAPACITY;
use crate::scheduler::slot_table::SlotKey;
use crate::scheduler::{Scheduler, State, TaskRef};

/// The wake-ups of a loop that come from its own thread.
pub(in crate::scheduler) struct LocalWakes {
    owner: u64,
    /// The list is not empty. Only the loop's own thread reads and writes this field and the next one.
    is_signalled: AtomicBool,
    /// The scheduler of the loop, while the loop runs, and null otherwise. A scheduler that runs looks at its run queue and at the
    /// list before it becomes idle, so nothing has to wake the loop.
    scheduler: AtomicPtr<Scheduler>,
    list: UnsafeCell<List>,
}

#[derive(Default)]
struct List {
    woken: Vec<SlotKey>,
    /// An empty list, whose memory is used when `woken` is taken out.
    spare: Vec<SlotKey>,
    /// How many watchers were added, minus how many were removed, since [`LocalWakes::take_watchers`] was last called.
    watchers: isize,
    /// The slots that may have a spare waker.
    with_spare: Vec<Arc<WakeSlot>>,
    /// When `with_spare` has this many slots, the retired ones are removed.
    prune_at: usize,
}

// SAFETY: the only field that is not `Sync` is `list`. Only `with` refers to it, and only on the thread whose number is
// `owner`. No two threads ever have the same number, so no other thread ever reads or writes the list through a shared
// reference. Dropping the list needs exclusive access, and its content is `Send`.
unsafe impl Sync for LocalWakes {}

impl Default for LocalWakes {
    /// Must be called on the thread of the loop, which becomes the owner.
    fn default() -> LocalWakes {
        LocalWakes {
            owner: this_thread(),
            is_signalled: AtomicBool::new(false),
            scheduler: AtomicPtr::default(),
            list: UnsafeCell::default(),
        }
    }
}

impl LocalWakes {
    /// Calls `change` with the list, if this is the loop's own thread. Otherwise returns `None`.
    #[inline]
    fn with<R>(&self, change: impl FnOnce(&mut List) -> R) -> Option<R> {
        if !self.is_here() {
            return None;
        }
        // SAFETY: this is the thread `owner`, and no other thread gets here. Each `change` below calls only code of `Vec` and of
        // atomics, and none of them calls `with` again. So there is no second borrow while this one lasts.
        Some(change(unsafe { &mut *self.list.get() }))
    }

    /// Sends wake-ups to `scheduler`, until [`close`](LocalWakes::close) is called.
    ///
    /// # Safety
    ///
    /// Until `close` is called, the scheduler is not dropped, moved, or borrowed mutably.
    pub(in crate::scheduler) unsafe fn open(&self, scheduler: &Scheduler) {
        if self.is_here() {
            self.scheduler.store(std::ptr::from_ref(scheduler).cast_mut(), Relaxed);
        }
    }

    /// From here on, wake-ups go to the inbox.
    pub(in crate::scheduler) fn close(&self) {
        if self.is_here() {
            self.scheduler.store(null_mut(), Relaxed);
        }
    }

    /// Returns the number of watchers that were counted here, and sets it to zero.
    pub(in crate::scheduler) fn take_watchers(&self) -> isize {
        self.with(|list| std::mem::take(&mut list.watchers)).unwrap_or(0)
    }

    /// Adds `count` to the watchers that are counted here. Returns false if the inbox has to count them instead: on another thread,
    /// or if the loop does not run.
    #[inline]
    pub(in crate::scheduler) fn count_watchers(&self, count: isize) -> bool {
        let is_counted = self.with(|list| {
            let is_open = !self.scheduler.load(Relaxed).is_null();
            list.watchers += isize::from(is_open) * count;
            is_open
        });
        is_counted.unwrap_or(false)
    }

    /// Returns `Some` only on the loop's own thread.
    #[inline]
    pub(in crate::scheduler) fn here(&self) -> Option<Here<'_>> {
        self.is_here().then_some(Here(self, PhantomData))
    }

    /// Drops all spare wakers.
    pub(in crate::scheduler) fn drop_spares(&self) {
        while let Some(here) = self.here()
            && let Some(slot) = self.next_with_spare()
        {
            here.drop_spare(&slot);
        }
    }

    /// Takes one slot out of the list of slots that may have a spare waker. `None` if this list is empty.
    #[inline]
    fn next_with_spare(&self) -> Option<Arc<WakeSlot>> {
        let slot = self.with(|list| {
            let slot = list.with_spare.pop();
            if slot.is_none() && list.with_spare.capacity() > KEPT_CAPACITY {
                list.with_spare.shrink_to(KEPT_CAPACITY);
            }
            slot
        })??;
        slot.local.set(slot.local.get() & !WITH_SPARE);
        Some(slot)
    }

    /// Whether this is the loop's own thread.
    #[inline]
    pub(in crate::scheduler) fn is_here(&self) -> bool {
        is_this_thread(self.owner)
    }

    /// Whether the list has entries. Called only on the loop's own thread.
    #[inline]
    pub(in crate::scheduler) fn is_signalled(&self) -> bool {
        self.is_signalled.load(Relaxed)
    }

    /// Takes the list out. Afterwards, [`keep`](LocalWakes::keep) gets the list back, to use its memory again.
    #[inline]
    pub(in crate::scheduler) fn take(&self) -> Vec<SlotKey> {
        let taken = self.with(|list| {
            self.is_signalled.store(false, Relaxed);
            let spare = std::mem::take(&mut list.spare);
            std::mem::replace(&mut list.woken, spare)
        });
        taken.unwrap_or_default()
    }

    /// Keeps the memory of a list that was taken out, for a later list.
    #[inline]
    pub(in crate::scheduler) fn keep(&self, mut list: Vec<SlotKey>) {
        list.clear();
        if list.capacity() > KEPT_CAPACITY {
            list.shrink_to(KEPT_CAPACITY);
        }
        self.with(|lists| lists.spare = list);
    }
}

/// The local wake-ups of a loop. A value of this type exists only on the loop's own thread.
#[derive(Clone, Copy)]
pub(in crate::scheduler) struct Here<'a>(&'a LocalWakes, PhantomData<*const ()>);

impl Here<'_> {
    /// The scheduler of the loop, if it runs.
    #[inline]
    fn scheduler(&self) -> Option<&Scheduler> {
        // SAFETY: this is the loop's own thread, and only this thread stores a pointer here: `open` stores the address of a
        // scheduler, and `close` stores null. By the contract of `open`, the scheduler is alive, and may be borrowed, until
        // `close` is called. While this file uses the result, it runs no user code, so nothing calls `close` meanwhile.
        unsafe { self.0.scheduler.load(Relaxed).as_ref() }
    }

    /// Wakes `slot`, which belongs to this loop and is not retired. Returns false if the loop does not run: then the wake-up has
    /// to go to the inbox.
    #[inline]
    pub(in crate::scheduler) fn wake(&self, slot: &WakeSlot) -> bool {
        let marks = &slot.local;
        let marked = marks.get();
        if marked & POLLED != 0 {
            marks.set(marked | WOKEN);
            return true;
        }
        let Some(scheduler) = self.scheduler() else { return false };
        if marked & LISTED != 0 {
            return true;
        }
        // SAFETY: a slot that is not retired is in the table of its scheduler, because each slot is retired before it is removed,
        // both on this thread. The table is emptied only when the scheduler no longer runs, and here it runs. The table owns a
        // reference to the task.
        let task = unsafe { TaskRef::lend(marks.task.load(Relaxed)) };
        if !task.is_some_and(|task| task.wake_unless_running(scheduler)) {
            self.list(slot);
        }
        true
    }

    /// Does both [`wake`](Here::wake) and [`keep_spare`](Here::keep_spare) in the usual case, in which the slot wakes a task that
    /// does not run. Returns false if it did nothing.
    #[inline(always)]
    pub(in crate::scheduler) fn wake_and_keep_spare(&self, slot: &WakeSlot) -> bool {
        let marks = &slot.local;
        let marked = marks.get();
        if marked & (POLLED | LISTED | SPARE | WITH_SPARE) != WITH_SPARE || slot.is_retired() {
            return false;
        }
        let Some(scheduler) = self.scheduler() else { return false };
        // SAFETY: as in `wake`.
        let task = unsafe { TaskRef::lend(marks.task.load(Relaxed)) };
        let Some(task) = task.filter(|task| !task.has(State::RUNNING)) else { return false };
        marks.set(marked | SPARE);
        // This call comes last, so that the function need not save registers for it.
        task.wake_on(scheduler);
        true
    }

    /// Adds `slot` to the list, to be woken between two rounds.
    #[inline(never)]
    fn list(&self, slot: &WakeSlot) {
        self.0.with(|list| list.woken.push(slot.key));
        slot.local.set(slot.local.get() | LISTED);
        self.0.is_signalled.store(true, Relaxed);
    }

    /// Keeps a waker of `slot`, with its counts, for the next clone. So neither the drop nor the clone takes an atomic
    /// read-modify-write. Returns false if the waker is not kept: then the caller has to drop it.
    #[inline]
    pub(in crate::scheduler) fn keep_spare(&self, slot: &Arc<WakeSlot>) -> bool {
        let marks = &slot.local;
        let marked = marks.get();
        if marked & SPARE != 0 || self.scheduler().is_none() {
            return false;
        }
        marks.set(marked | SPARE | WITH_SPARE);
        if marked & WITH_SPARE == 0 {
            self.note_spare(slot);
        }
        true
    }

    #[inline(never)]
    fn note_spare(&self, slot: &Arc<WakeSlot>) {
        let slot = slot.clone();
        let noted = self.0.with(|list| {
            list.with_spare.push(slot);
            if list.with_spare.len() < list.prune_at { Vec::new() } else { std::mem::take(&mut list.with_spare) }
        });
        // The rest is done outside of `with`, because dropping a waker uses the list.
        let mut noted = noted.unwrap_or_default();
        if noted.is_empty() {
            return;
        }
        noted.retain(|slot| {
            let is_retired = slot.is_retired();
            if is_retired {
                self.drop_spare(slot);
                slot.local.set(slot.local.get() & !WITH_SPARE);
            }
            !is_retired
        });
        self.0.with(|list| {
            list.prune_at = 2 * noted.len() + 4;
            list.with_spare = noted;
        });
    }

    /// Drops the spare waker of `slot`, if there is one.
    fn drop_spare(&self, slot: &Arc<WakeSlot>) {
        if self.take_spare(slot) {
            // SAFETY: the spare waker was a waker of this slot, with its counts. `take_spare` has taken it out, so it is used up
            // here, and only once.
            unsafe { WakeSlot::drop_counts(Arc::as_ptr(slot)) };
        }
    }

    /// Takes out the spare waker of `slot`. Returns false if there is none.
    #[inline]
    pub(in crate::scheduler) fn take_spare(&self, slot: &WakeSlot) -> bool {
        let marked = slot.local.get();
        slot.local.set(marked & !SPARE);
        marked & SPARE != 0
    }
}
