//! When something is due, and whether that is worth a look at the clock.

use std::time::{Duration, Instant};

/// A point in time before which nothing is due.
///
/// A busy loop asks before every round whether it has come. On Linux, where the kernel leaves the time of its last tick to be
/// read, that costs a fifth of a look at the clock (on the machine of the benchmarks, 7 ns to 32), as long as it is far off.
#[derive(Clone, Copy)]
pub(super) struct DueTime {
    at: Instant,
    /// Until the last tick was at this time, there is no need to look at the clock. Zero is always.
    soon: u64,
}

/// CoarseClock are at most 10 ms apart. Ten times that is for those of a virtual machine, which may come late.
const SOON: Duration = Duration::from_millis(100);

/// One point in time by both clocks.
#[derive(Clone, Copy)]
pub(super) struct CoarseClock {
    at: Instant,
    tick: u64,
}

impl CoarseClock {
    pub(super) fn new() -> CoarseClock {
        // In this order: so what is reckoned from it is early, if anything.
        let tick = last_tick();
        CoarseClock { at: Instant::now(), tick }
    }
}

impl DueTime {
    /// `at` is `left` from now; from a little while ago will do.
    pub(super) fn new(at: Instant, left: Duration, ticks: impl FnOnce() -> CoarseClock) -> DueTime {
        if left <= SOON {
            return DueTime { at, soon: 0 };
        }
        let CoarseClock { at: then, tick } = ticks();
        let far = at.saturating_duration_since(then).saturating_sub(SOON);
        let far = far.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(far.subsec_nanos()));
        DueTime { at, soon: if tick == UNKNOWN { 0 } else { tick.saturating_add(far) } }
    }

    pub(super) fn is_before(&self, at: Instant) -> bool {
        self.at <= at
    }

    pub(super) fn is_far(&self) -> bool {
        self.soon != 0 && last_tick() < self.soon
    }
}

/// Later than any time.
const UNKNOWN: u64 = u64::MAX;

/// In nanoseconds.
#[cfg(target_os = "linux")]
fn last_tick() -> u64 {
    use nix::sys::time::TimeValLike;

    match nix::time::ClockId::CLOCK_MONOTONIC_COARSE.now() {
        Ok(time) => u64::try_from(time.num_nanoseconds()).unwrap_or(UNKNOWN),
        Err(_) => UNKNOWN,
    }
}

#[cfg(not(target_os = "linux"))]
fn last_tick() -> u64 {
    UNKNOWN
}
