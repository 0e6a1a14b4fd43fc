//! Tasks that outlived their cancellation, because they wait behind a shield, and those that are therefore not cancelled yet.

use std::collections::BTreeMap;

use super::task::TaskRef;

#[derive(Default)]
pub(crate) struct CancelOrder {
    /// By the id of the task that lingers: those that it holds back.
    held_by: BTreeMap<u64, Vec<TaskRef>>,
    /// By the id of a task that is held back: how many hold it.
    holders: BTreeMap<u64, usize>,
}

impl CancelOrder {
    pub(crate) fn hold(&mut self, cancel_order: &TaskRef, held: Vec<TaskRef>) {
        for task in &held {
            *self.holders.entry(task.id.get()).or_default() += 1;
        }
        self.held_by.insert(cancel_order.id.get(), held);
    }

    pub(crate) fn holds(&self, task: &TaskRef) -> bool {
        self.holders.contains_key(&task.id.get())
    }

    /// `cancel_order` has ended: gives those that nothing holds back any longer.
    pub(crate) fn release(&mut self, cancel_order: &TaskRef) -> Vec<TaskRef> {
        let mut free = self.held_by.remove(&cancel_order.id.get()).unwrap_or_default();
        free.retain(|task| {
            let id = task.id.get();
            let Some(count) = self.holders.get_mut(&id) else { return false };
            *count -= 1;
            let is_free = *count == 0;
            if is_free {
                self.holders.remove(&id);
            }
            is_free
        });
        free
    }
}
