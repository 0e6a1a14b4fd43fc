//! Timing work that one thread does.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::Measured;

/// Runs while this process works, on whatever thread: what else the machine does meanwhile is not
/// counted. For work that never waits.
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

    /// Nanoseconds for each of so many operations.
    pub fn per(self, ops: u64) -> Measured {
        Measured::one(self.elapsed().as_nanos() as f64 / ops as f64)
    }
}

fn cpu_time() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().expect("time since the process began")
}

/// The plain way to time work that does `ops` operations: once to warm up, once by the clock.
pub fn per_op(ops: u64, mut work: impl FnMut()) -> Measured {
    work();
    let stopwatch = Stopwatch::start();
    work();
    stopwatch.per(ops)
}
