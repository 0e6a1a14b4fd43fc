//! What tasks that sleep take.

use crate::harness::{Measured, machine};

/// The memory of this process before there is anything.
pub struct Memory {
    resident: f64,
    heap: f64,
}

impl Memory {
    pub fn now() -> Self {
        let resident = machine::resident_bytes();
        Self { resident, heap: machine::heap_bytes() }
    }

    /// What each of so many tasks has taken since: resident, and of the heap.
    pub fn per_task(&self, tasks: usize) -> Measured {
        let now = Self::now();
        let figures = [now.resident - self.resident, now.heap - self.heap];
        Measured { figures: figures.map(|bytes| bytes / tasks as f64).to_vec(), note: None }
    }
}
