//! The holds of a scope, as data: whose cancellation the tasks in it put off. [`holds`](crate::scheduler::holds) makes and releases them.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use crate::scheduler::TaskRef;

/// Holds the owner of a scope, and those of the scopes around it, for the tasks that have a reference to it.
pub(in crate::scheduler) struct Hold {
    pub(in crate::scheduler) owner: Option<TaskRef>,
    pub(in crate::scheduler) around: Option<Rc<Hold>>,
    pub(in crate::scheduler) holds_any: bool,
    /// The count of changes when this hold was made.
    pub(in crate::scheduler) changes: u64,
}

/// What tasks that are directly in a scope share.
#[derive(Default)]
pub(in crate::scheduler) struct SharedHold(pub(in crate::scheduler) RefCell<Weak<Hold>>);

impl SharedHold {
    pub(in crate::scheduler) fn is_used(&self) -> bool {
        self.0.borrow().strong_count() > 0
    }
}

/// Counts changes of owners and parents from which a [`Hold`] in use was made.
#[derive(Default)]
pub(in crate::scheduler) struct Changes(pub(in crate::scheduler) Cell<u64>);

impl Changes {
    pub(in crate::scheduler) fn count(&self) {
        self.0.set(self.0.get() + 1);
    }
}

/// Thousands of them may be in a row.
impl Drop for Hold {
    fn drop(&mut self) {
        let mut next = self.around.take();
        while let Some(mut around) = next.and_then(Rc::into_inner) {
            next = around.around.take();
        }
    }
}
