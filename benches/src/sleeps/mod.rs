//! Sleeping, and limits of time.

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

/// Sleeps are shorter than this.
const LONGEST: Duration = Duration::from_millis(200);

/// How long a sleep is, of many: some microseconds, in no order.
fn nap(number: usize, longest: Duration) -> Duration {
    Duration::from_micros(number as u64 * 2_654_435_761 % longest.as_micros() as u64)
}

/// Longer than it takes to start all the sleepers and look at them.
const LONG: Duration = Duration::from_mins(10);

pub fn workloads() -> Vec<Workload> {
    vec![
        again(
            "sleep-1",
            "one task sleeps for 0 to 1 ms, again and again; it waits in the kernel each time",
            Plan { tasks: 1, sleeps: 500, longest: Duration::from_millis(1) },
        ),
        // From here on one is due each one to four microseconds: not so often that the fast fall behind.
        again(
            "sleep-100",
            "100 tasks sleep for 0 to 200 us, again and again",
            Plan { tasks: 100, sleeps: 50_000, longest: Duration::from_micros(200) },
        ),
        again(
            "sleep-10k",
            "10,000 tasks sleep for 0 to 40 ms, again and again",
            Plan { tasks: 10_000, sleeps: 150_000, longest: Duration::from_millis(40) },
        ),
        again(
            "sleep-1m",
            "1,000,000 tasks sleep for 0 to 4 s, again and again",
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
                ],
                every_timed_peer!(peers::sleeps),
            ]),
        },
        memory("memory-1", "one task sleeps for long; memory, resident and of the heap", 1),
        memory("memory-100", "100 tasks sleep for long; memory, resident and of the heap", 100),
        memory("memory-10k", "10,000 tasks sleep for long; memory, resident and of the heap", 10_000),
        memory("memory-1m", "1,000,000 tasks sleep for long; memory, resident and of the heap", 1_000_000),
        bytes("sleeping-bytes", "1,000,000 tasks sleep for long; memory, resident and of the heap", SLEEPERS),
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

fn again(name: &'static str, what: &'static str, plan: Plan) -> Workload {
    let contenders = all([
        vec![
            Contender::raw(move || raw::naps(plan)),
            #[cfg(feature = "tinyield")]
            Contender::ours(move || ours::naps(plan)),
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

/// As [`bytes`], but exact on the heap, even where there is one task: what lies in glibc's cache of a thread, which
/// would count as allocated, is none.
fn memory(name: &'static str, what: &'static str, sleepers: usize) -> Workload {
    let mut workload = bytes(name, what, sleepers);
    let uncached = |contender: Contender| contender.with_environment("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0");
    workload.contenders = workload.contenders.into_iter().map(uncached).collect();
    workload
}
