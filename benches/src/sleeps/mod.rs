//! Sleeps and timeouts.

mod memory;
mod naps;
#[cfg(feature = "tinyield")]
mod ours;
mod peers;
mod raw;

use std::time::Duration;

use self::naps::Plan;
use crate::harness::{Contender, Workload, all};
use crate::peers::every_timed_peer;

const SLEEPERS: usize = 1_000_000;
const TIMEOUTS: u64 = 100_000;
const LIMIT: Duration = Duration::from_secs(30);

#[cfg(feature = "tinyield")]
const WITH_SLACK: &str = "tinyield with 1 ms of slack";

/// The upper bound of the sleeps.
const LONGEST: Duration = Duration::from_millis(200);

/// The duration of the sleep with this number: whole microseconds, random, and the same in each run. A binary heap
/// would be faster with durations in an arithmetic progression.
fn nap(number: usize, longest: Duration) -> Duration {
    Duration::from_micros(split_mix(number as u64) % longest.as_micros() as u64)
}

/// The output of the random number generator SplitMix64 for this state.
fn split_mix(state: u64) -> u64 {
    let mixed = state.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Longer than it takes to start all sleepers and measure them.
const LONG: Duration = Duration::from_mins(10);

pub fn workloads() -> Vec<Workload> {
    vec![
        again(
            "sleep-1",
            "one task sleeps for 0 to 1 ms, repeatedly; each time it waits in the kernel",
            // With 500 sleeps, the figures of two rounds often differed by a half.
            Plan { tasks: 1, sleeps: 2_000, longest: Duration::from_millis(1) },
        ),
        // From here on, on average, a sleep is due every one or two microseconds, so that fast contenders keep up.
        again(
            "sleep-100",
            "100 tasks sleep for 0 to 200 us, repeatedly",
            Plan { tasks: 100, sleeps: 50_000, longest: Duration::from_micros(200) },
        ),
        again(
            "sleep-10k",
            "10,000 tasks sleep for 0 to 40 ms, repeatedly",
            Plan { tasks: 10_000, sleeps: 150_000, longest: Duration::from_millis(40) },
        ),
        again(
            "sleep-1m",
            "1,000,000 tasks sleep for 0 to 4 s, repeatedly",
            Plan { tasks: 1_000_000, sleeps: 200_000, longest: Duration::from_secs(4) },
        ),
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
                    #[cfg(feature = "tinyield")]
                    Contender::ours_variant(WITH_SLACK, ours::sleeps_with_slack),
                ],
                every_timed_peer!(peers::sleeps),
            ]),
        },
        memory("memory-1", "one task sleeps for a long time; resident and heap memory per task", 1),
        memory("memory-100", "100 tasks sleep for a long time; resident and heap memory per task", 100),
        memory("memory-10k", "10,000 tasks sleep for a long time; resident and heap memory per task", 10_000),
        memory("memory-1m", "1,000,000 tasks sleep for a long time; resident and heap memory per task", 1_000_000),
        bytes("sleeping-bytes", "1,000,000 tasks sleep for a long time; resident and heap memory per task", SLEEPERS),
        Workload {
            name: "timeout",
            what: "a timeout of 30 s around a single yield; raw reads the clock once",
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

fn again(name: &'static str, what: &'static str, plan: Plan) -> Workload {
    let contenders = all([
        vec![
            Contender::raw(move || raw::naps(plan)),
            #[cfg(feature = "tinyield")]
            Contender::ours(move || ours::naps(plan)),
            #[cfg(feature = "tinyield")]
            Contender::ours_variant(WITH_SLACK, move || ours::naps_with_slack(plan)),
        ],
        every_timed_peer!(peers::naps, plan),
    ]);
    Workload { name, what, units: &["CPU ns per sleep"], pinned: false, contenders }
}

fn bytes(name: &'static str, what: &'static str, sleepers: usize) -> Workload {
    let contenders = all([
        vec![
            Contender::raw(move || raw::bytes(sleepers)),
            #[cfg(feature = "tinyield")]
            Contender::ours(move || ours::bytes(sleepers)),
        ],
        every_timed_peer!(peers::bytes, sleepers),
    ]);
    Workload { name, what, units: &["bytes per task", "heap bytes per task"], pinned: false, contenders }
}

/// As [`bytes`], but with exact heap memory, even for one task: without glibc's cache per thread, whose memory counts as
/// allocated.
fn memory(name: &'static str, what: &'static str, sleepers: usize) -> Workload {
    let mut workload = bytes(name, what, sleepers);
    let uncached = |contender: Contender| contender.with_environment("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0");
    workload.contenders = workload.contenders.into_iter().map(uncached).collect();
    workload
}
