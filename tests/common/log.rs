//! A log that a test shares with the coroutines it runs.

use std::cell::RefCell;
use std::fmt::Display;
use std::rc::Rc;

/// The entries in the order in which they were pushed.
#[derive(Clone, Default)]
pub struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    pub fn new() -> Log {
        Log::default()
    }

    pub fn push(&self, entry: impl Display) {
        self.0.borrow_mut().push(entry.to_string());
    }

    pub fn take(&self) -> Vec<String> {
        self.0.take()
    }

    pub fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// A value that logs `entry` when it is dropped.
    pub fn on_drop(&self, entry: impl Display) -> LogOnDrop {
        LogOnDrop(self.clone(), entry.to_string())
    }
}

pub struct LogOnDrop(Log, String);

impl Drop for LogOnDrop {
    fn drop(&mut self) {
        self.0.push(&self.1);
    }
}
