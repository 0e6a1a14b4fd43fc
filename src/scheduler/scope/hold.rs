//! The data of holds: which cancellations the tasks of a scope put off. [`holds`](crate::scheduler::holds) makes and releases
//! holds.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use crate::scheduler::TaskRef;

/// Puts off the cancellation of the owner of a scope, and of the owners of the scopes around it. It ends when the last task that
/// refers to it has ended.
pub(in crate::scheduler) struct Hold {
    pub(in crate::scheduler) owner: Option<TaskRef>,
    pub(in crate::scheduler) around: Option<Rc<Hold>>,
    /// Whether this hold, or a hold around it, has an owner.
    pub(in crate::scheduler) holds_any: bool,
    /// The value of [`Changes`] when this hold was made.
    pub(in crate::scheduler) changes: u64,
}

/// The hold that the tasks directly in a scope share.
#[derive(Default)]
pub(in crate::scheduler) struct SharedHold(pub(in crate::scheduler) RefCell<Weak<Hold>>);

impl SharedHold {
    pub(in crate::scheduler) fn is_used(&self) -> bool {
        self.0.borrow().strong_count() > 0
    }
}

/// Counts changes of the owners and parents from which a [`Hold`] was made. A hold that was made before the last change is not
/// used for further tasks.
#[derive(Default)]
pub(in crate::scheduler) struct Changes(pub(in crate::scheduler) Cell<u64>);

impl Changes {
    pub(in crate::scheduler) fn count(&self) {
        self.0.set(self.0.get() + 1);
    }
}

/// A chain of holds may be thousands long, so it is dropped in a loop.
impl Drop for Hold {
    fn drop(&mut self) {
        let mut next = self.around.take();
        while let Some(mut around) = next.and_then(Rc::into_inner) {
            next = around.around.take();
        }
    }
}
