//! Flags on which threads block. A flag is a crossbeam channel with room for one message, so that a thread can wait for several flags with
//! `Select`. The flag is set while the channel has a message.
//!
//! Builds for loom also use crossbeam here. A flag is changed under a lock, so each change is a part of a step that loom knows. A
//! model must not block on a flag: loom cannot wake the thread.

use crossbeam_channel::{Receiver, Sender};

/// A flag that is changed under a lock.
pub(crate) struct Flag {
    is_set: bool,
    sender: Sender<()>,
    receiver: Receiver<()>,
}

impl Default for Flag {
    fn default() -> Flag {
        let (sender, receiver) = crossbeam_channel::bounded(1);
        Flag { is_set: false, sender, receiver }
    }
}

impl Flag {
    #[inline]
    pub(crate) fn set(&mut self, is_set: bool) {
        if std::mem::replace(&mut self.is_set, is_set) != is_set {
            self.change(is_set);
        }
    }

    #[inline(never)]
    fn change(&self, is_set: bool) {
        let is_changed = if is_set { self.sender.try_send(()).is_ok() } else { self.receiver.try_recv().is_ok() };
        debug_assert!(is_changed, "only this flag sends and receives");
    }

    /// For threads that block: ready while the flag is set. Do not receive from it, because this would clear the flag.
    pub(crate) fn watch(&self) -> Receiver<()> {
        self.receiver.clone()
    }
}
