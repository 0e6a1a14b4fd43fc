//! Sleeping, and limits of time.

#[cfg(feature = "tinyield")]
mod ours;
mod peers;
mod raw;

use std::time::Duration;

use crate::harness::{Contender, Workload, all};
use crate::peers::every_timed_peer;

const SLEEPERS: usize = 1_000_000;
const TIMEOUTS: u64 = 100_000;
const LIMIT: Duration = Duration::from_secs(30);

/// How long a sleeper sleeps: from 0 to 200 ms, in no order.
fn nap(sleeper: usize) -> Duration {
    Duration::from_micros(sleeper as u64 * 2_654_435_761 % 200_000)
}

/// Longer than it takes to start all the sleepers and look at them.
const LONG: Duration = Duration::from_mins(10);

pub fn workloads() -> Vec<Workload> {
    vec![
        Workload {
            name: "sleeps",
            what: "1,000,000 tasks sleep for 0 to 200 ms each",
            units: &["CPU s", "peak MiB"],
            pinned: false,
            contenders: all([
                vec![
                    Contender::raw(raw::sleeps),
                    #[cfg(feature = "tinyield")]
                    Contender::ours(ours::sleeps),
                ],
                every_timed_peer!(peers::sleeps),
            ]),
        },
        Workload {
            name: "sleeping-bytes",
            what: "1,000,000 tasks sleep for long; resident memory",
            units: &["bytes per task"],
            pinned: false,
            contenders: all([
                vec![
                    Contender::raw(raw::bytes),
                    #[cfg(feature = "tinyield")]
                    Contender::ours(ours::bytes),
                ],
                every_timed_peer!(peers::bytes),
            ]),
        },
        Workload {
            name: "timeout",
            what: "a limit of 30 s on something that yields once; raw is the clock's reading",
            units: &["ns per timeout"],
            pinned: false,
            contenders: all([
                vec![
                    Contender::bare("Instant::now()", raw::now),
                    #[cfg(feature = "tinyield")]
                    Contender::ours(ours::timeouts),
                ],
                every_timed_peer!(peers::timeout),
            ]),
        },
    ]
}
