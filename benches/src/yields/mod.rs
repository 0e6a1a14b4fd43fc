//! Tasks that only yield to each other.

#[cfg(feature = "tinyield")]
mod ours;
mod peers;
mod raw;

use crate::harness::{Contender, Workload, all};
use crate::peers::{TokioLocalRuntime, TokioLocalSet, every_peer};

pub fn workloads() -> Vec<Workload> {
    vec![
        workload("yield-1", "one task yields, alone", 1, 1_000_000),
        workload("yield-100", "100 ready tasks yield in turn", 100, 10_000),
        workload("yield-10k", "10,000 ready tasks yield in turn", 10_000, 100),
        workload("yield-1m", "1,000,000 ready tasks yield in turn", 1_000_000, 5),
    ]
}

fn workload(name: &'static str, what: &'static str, tasks: usize, yields: u64) -> Workload {
    let contenders = all([
        vec![
            Contender::raw(move || raw::yields(tasks, yields)),
            #[cfg(feature = "tinyield")]
            Contender::ours(move || ours::yields(tasks, yields)),
        ],
        every_peer!(peers::yields, tasks, yields),
        vec![
            Contender::peer("FuturesUnordered", move || peers::futures_unordered(tasks, yields)),
            Contender::peer("LocalSet yield_now", move || peers::tokio_yield_now::<TokioLocalSet>(tasks, yields)),
            Contender::peer("LocalRuntime yield_now", move || {
                peers::tokio_yield_now::<TokioLocalRuntime>(tasks, yields)
            }),
        ],
    ]);
    Workload { name, what, units: &["ns per yield"], pinned: false, contenders }
}
