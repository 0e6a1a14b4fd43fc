//! The ready queue: first in, first out, taken in rounds.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use super::task::TaskRef;

/// Tasks that are to be resumed. A round is what is ready when it begins; what becomes ready meanwhile is for the next one.
/// Between two rounds the loop looks at the clock and the inbox.
#[derive(Default)]
pub(crate) struct Ready {
    queue: RefCell<VecDeque<TaskRef>>,
    left_in_round: Cell<usize>,
}

impl Ready {
    pub(crate) fn push(&self, task: TaskRef) {
        self.queue.borrow_mut().push_back(task);
    }

    /// The next of this round.
    pub(crate) fn pop(&self) -> Option<TaskRef> {
        let left = self.left_in_round.get();
        if left == 0 {
            return None;
        }
        self.left_in_round.set(left - 1);
        self.queue.borrow_mut().pop_front()
    }

    /// Whether anything is ready, in this round or the next.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.borrow().is_empty()
    }

    pub(crate) fn begin_round(&self) {
        let mut queue = self.queue.borrow_mut();
        if queue.is_empty() && queue.capacity() > 1024 {
            *queue = VecDeque::new();
        }
        self.left_in_round.set(queue.len());
    }

    pub(crate) fn clear(&self) {
        self.left_in_round.set(0);
        let left = self.queue.take();
        drop(left);
    }
}
