//! Measures the CPU time of work.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::Measured;

/// Measures the CPU time of this process, on all its threads. Other load on the machine does not
/// count. For work that never waits.
#[derive(Clone, Copy)]
pub struct Stopwatch {
    begin: Duration,
}

impl Stopwatch {
    pub fn start() -> Self {
        Self { begin: cpu_time() }
    }

    pub fn elapsed(self) -> Duration {
        cpu_time() - self.begin
    }

    /// The nanoseconds per operation, for `ops` operations.
    pub fn per(self, ops: u64) -> Measured {
        Measured::one(self.elapsed().as_nanos() as f64 / ops as f64)
    }
}

fn cpu_time() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().expect("a CPU time is positive")
}

/// Times work that does `ops` operations: once to warm up, once with the clock.
pub fn per_op(ops: u64, mut work: impl FnMut()) -> Measured {
    work();
    let stopwatch = Stopwatch::start();
    work();
    stopwatch.per(ops)
}
