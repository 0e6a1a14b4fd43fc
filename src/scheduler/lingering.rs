//! Tasks that outlived their cancellation, because they wait behind a shield, and those that are therefore not cancelled yet.

use std::collections::BTreeMap;

use super::task::TaskRef;

#[derive(Default)]
pub(crate) struct Lingering {
    /// By the number of the task that lingers: those that it holds back.
    held_by: BTreeMap<u64, Vec<TaskRef>>,
    /// By the number of a task that is held back: how many hold it.
    holders: BTreeMap<u64, usize>,
}

impl Lingering {
    pub(crate) fn hold(&mut self, lingering: &TaskRef, held: Vec<TaskRef>) {
        for task in &held {
            *self.holders.entry(task.number.get()).or_default() += 1;
        }
        self.held_by.insert(lingering.number.get(), held);
    }

    pub(crate) fn holds(&self, task: &TaskRef) -> bool {
        self.holders.contains_key(&task.number.get())
    }

    /// `lingering` has ended: gives those that nothing holds back any longer.
    pub(crate) fn release(&mut self, lingering: &TaskRef) -> Vec<TaskRef> {
        let mut free = self.held_by.remove(&lingering.number.get()).unwrap_or_default();
        free.retain(|task| {
            let number = task.number.get();
            let Some(count) = self.holders.get_mut(&number) else { return false };
            *count -= 1;
            let is_free = *count == 0;
            if is_free {
                self.holders.remove(&number);
            }
            is_free
        });
        free
    }
}
