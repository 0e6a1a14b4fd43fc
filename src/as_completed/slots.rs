//! The slots of an `as_completed`: one for each item, in the order in which the reporters end.
//!
//! Only slots with content are stored. So if the user keeps an item without yielding it, the slots of later items can still be
//! freed.

use std::collections::BTreeMap;

use crate::scheduler::{Task, Waiter};

pub(super) struct Slots<T: 'static> {
    /// How many items there are.
    count: usize,
    /// How many reporters have ended. This is also the index of the slot for the next reporter that ends.
    ended: usize,
    kept: BTreeMap<usize, Slot<T>>,
}

pub(super) enum Slot<T: 'static> {
    Awaited(Waiter),
    Ended(Task<T>),
    /// The item was dropped before its reporter ended.
    Dropped,
}

impl<T> Slots<T> {
    pub(super) fn new() -> Slots<T> {
        Slots { count: 0, ended: 0, kept: BTreeMap::new() }
    }

    pub(super) fn add(&mut self, count: usize) {
        self.count += count;
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn ended(&self) -> usize {
        self.ended
    }

    /// The task of a reporter that has ended, if its value was not taken.
    pub(super) fn ended_task(&self, index: usize) -> Option<&Task<T>> {
        if let Some(Slot::Ended(task)) = self.kept.get(&index) { Some(task) } else { None }
    }

    /// Stores the task of a reporter that has ended. Returns the waiter of its item, and the task if that item was dropped.
    pub(super) fn end(&mut self, task: Task<T>) -> (Option<Waiter>, Option<Task<T>>) {
        let index = self.ended;
        self.ended += 1;
        match self.kept.remove(&index) {
            Some(Slot::Dropped) => (None, Some(task)),
            slot => {
                self.kept.insert(index, Slot::Ended(task));
                (if let Some(Slot::Awaited(waiter)) = slot { Some(waiter) } else { None }, None)
            }
        }
    }

    /// Stores the waiter of an item that has no output yet.
    pub(super) fn wait(&mut self, index: usize, waiter: Waiter) {
        self.kept.insert(index, Slot::Awaited(waiter));
    }

    /// Closes a slot, because its value was taken or its item was dropped. Returns the content of the slot.
    pub(super) fn close(&mut self, index: usize) -> Option<Slot<T>> {
        let slot = self.kept.remove(&index);
        if index >= self.ended {
            self.kept.insert(index, Slot::Dropped);
        }
        slot
    }

    /// Takes out the first waiter of the items that have no output yet.
    pub(super) fn take_waiter(&mut self) -> Option<Waiter> {
        let index = self.waiting().next().map(|(index, _)| index)?;
        if let Some(Slot::Awaited(waiter)) = self.kept.remove(&index) { Some(waiter) } else { None }
    }

    /// The items that have no output yet, with the waiter of each.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (usize, &Waiter)> {
        let unended = self.kept.range(self.ended..);
        unended.filter_map(|(index, slot)| if let Slot::Awaited(waiter) = slot { Some((*index, waiter)) } else { None })
    }
}
