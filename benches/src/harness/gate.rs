//! Waits for detached tasks in the same way on every runtime.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

/// Opens when the expected number of tasks have passed.
pub struct Gate {
    missing: Cell<usize>,
    waiter: RefCell<Option<Waker>>,
}

impl Gate {
    pub fn new(expected: usize) -> Rc<Self> {
        Rc::new(Self { missing: Cell::new(expected), waiter: RefCell::new(None) })
    }

    pub fn pass(&self) {
        self.missing.set(self.missing.get() - 1);
        if self.missing.get() == 0
            && let Some(waiter) = self.waiter.take()
        {
            waiter.wake();
        }
    }

    pub async fn opened(&self) {
        poll_fn(|context| {
            if self.missing.get() == 0 {
                return Poll::Ready(());
            }
            self.waiter.replace(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}
