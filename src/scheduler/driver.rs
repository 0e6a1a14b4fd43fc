//! How a run drives a foreign runtime that belongs to it. The thread of the loop drives the runtime instead of parking.

use std::any::Any;
use std::rc::Rc;
use std::task::Waker;
use std::time::Instant;

use super::Scheduler;

/// The result of a number of steps of the loop.
pub(crate) enum Steps {
    /// Something is ready. The driver drives the foreign runtime once, without blocking, and then calls `steps` again.
    Ready,
    /// Nothing is ready until the deadline, or until the waker is called.
    Idle(Option<Instant>),
    /// The run is over.
    Over,
}

/// A foreign runtime of one run.
pub(crate) trait Driver: Any {
    /// Whether the thread of the loop has to drive the runtime. If not, other threads drive it.
    fn is_driven_here(&self) -> bool;

    /// Calls `steps` until the run is over. Between two calls it drives the foreign runtime, and blocks the thread while the loop is
    /// idle.
    fn drive(&self, steps: &mut dyn FnMut(&Waker) -> Steps);
}

impl Scheduler {
    pub(crate) fn driver(&self) -> Option<&Rc<dyn Driver>> {
        self.driver.get()
    }

    /// Sets the runtime for foreign futures of this run. It is dropped with the run.
    pub(crate) fn set_driver(&self, driver: Rc<dyn Driver>) {
        let is_first = self.driver.set(driver).is_ok();
        debug_assert!(is_first, "a run has one runtime");
    }
}
