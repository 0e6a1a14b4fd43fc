//! The memory of sleeping tasks.

use crate::harness::{Measured, machine};

/// The memory of this process at one moment.
pub struct Memory {
    resident: f64,
    heap: f64,
}

impl Memory {
    pub fn now() -> Self {
        let resident = machine::resident_bytes();
        Self { resident, heap: machine::heap_bytes() }
    }

    /// The memory that each of `tasks` tasks has taken since then: resident, and on the heap.
    pub fn per_task(&self, tasks: usize) -> Measured {
        let now = Self::now();
        let figures = [now.resident - self.resident, now.heap - self.heap];
        Measured { figures: figures.map(|bytes| bytes / tasks as f64).to_vec(), note: None }
    }
}
