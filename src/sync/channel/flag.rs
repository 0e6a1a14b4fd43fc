//! Flags on which threads can block until they are set. A flag is a channel of crossbeam with room for one message, and it is set while
//! there is a message.

use crate::primitives::channel::{self as crossbeam, Receiver, Sender};

/// A flag that is changed under a lock.
pub(super) struct Flag {
    is_set: bool,
    sender: Sender<()>,
    receiver: Receiver<()>,
}

impl Default for Flag {
    fn default() -> Flag {
        let (sender, receiver) = crossbeam::bounded(1);
        Flag { is_set: false, sender, receiver }
    }
}

impl Flag {
    #[inline]
    pub(super) fn set(&mut self, is_set: bool) {
        if std::mem::replace(&mut self.is_set, is_set) != is_set {
            self.change(is_set);
        }
    }

    #[inline(never)]
    fn change(&self, is_set: bool) {
        let is_changed = if is_set { self.sender.try_send(()).is_ok() } else { self.receiver.try_recv().is_ok() };
        debug_assert!(is_changed, "only this flag sends and receives");
    }

    /// For threads that block: while the flag is set, this has something to receive.
    pub(super) fn watch(&self) -> Receiver<()> {
        self.receiver.clone()
    }
}
