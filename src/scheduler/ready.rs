//! The ready queue: first in, first out, taken in rounds.

use std::cell::RefCell;

use super::task::TaskRef;

/// Tasks that are to be resumed. A round is what is ready when it begins; what becomes ready meanwhile is for the next one.
/// Between two rounds the loop looks at the clock and the inbox.
#[derive(Default)]
pub(crate) struct Ready {
    /// What is left of this round, last first: to take the next is to pop.
    round: RefCell<Vec<TaskRef>>,
    next_round: RefCell<Vec<TaskRef>>,
}

/// A queue that has held more than this gives its memory back when it is empty.
const KEPT_CAPACITY: usize = 1024;

impl Ready {
    #[inline]
    pub(crate) fn push(&self, task: TaskRef) {
        self.next_round.borrow_mut().push(task);
    }

    /// The next of this round.
    #[inline]
    pub(crate) fn pop(&self) -> Option<TaskRef> {
        self.round.borrow_mut().pop()
    }

    /// Begins a round with what is ready; false if nothing is.
    pub(crate) fn begin_round(&self) -> bool {
        let mut round = self.round.borrow_mut();
        let mut next = self.next_round.borrow_mut();
        debug_assert!(round.is_empty());
        if round.capacity() > KEPT_CAPACITY && next.len() < round.capacity() / 4 {
            *round = Vec::new();
        }
        std::mem::swap(&mut *round, &mut *next);
        round.reverse();
        !round.is_empty()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.round.borrow().is_empty() && self.next_round.borrow().is_empty()
    }

    pub(crate) fn clear(&self) {
        let left = (self.round.take(), self.next_round.take());
        drop(left);
    }
}
