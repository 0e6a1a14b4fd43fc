//! When something is due, and whether that is worth a look at the clock.

use std::time::{Duration, Instant};

/// A point in time before which nothing is due.
///
/// A busy loop asks before every round whether it has come. On Linux, where the kernel leaves the time of its last tick to be
/// read, that costs a fifth of a look at the clock (on the machine of the benchmarks, 7 ns to 32), as long as it is far off.
#[derive(Clone, Copy)]
pub(super) struct Due {
    at: Instant,
    /// Until the last tick was at this time, there is no need to look at the clock. Zero is always.
    soon: u64,
}

/// Ticks are at most 10 ms apart. Ten times that is for those of a virtual machine, which may come late.
const SOON: Duration = Duration::from_millis(100);

impl Due {
    /// `now` may have been a little while ago.
    pub(super) fn new(at: Instant, now: Instant) -> Due {
        let far = at.saturating_duration_since(now).saturating_sub(SOON);
        let far = u64::try_from(far.as_nanos()).unwrap_or(u64::MAX);
        Due { at, soon: if far == 0 { 0 } else { last_tick().saturating_add(far) } }
    }

    pub(super) fn is_before(&self, at: Instant) -> bool {
        self.at <= at
    }

    pub(super) fn is_far(&self) -> bool {
        self.soon != 0 && last_tick() < self.soon
    }
}

/// In nanoseconds; later than any time if nobody knows.
#[cfg(target_os = "linux")]
fn last_tick() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

#[cfg(not(target_os = "linux"))]
fn last_tick() -> u64 {
    u64::MAX
}
