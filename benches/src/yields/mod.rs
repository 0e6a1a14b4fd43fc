//! Tasks that only yield to each other.

#[cfg(feature = "tinyield")]
mod ours;
mod peers;
mod raw;

use std::cell::Cell;

use crate::harness::{Contender, Workload, all};
use crate::peers::{TokioLocalRuntime, TokioLocalSet, every_peer};

pub fn workloads() -> Vec<Workload> {
    vec![
        workload("yield-1", "one task yields, alone", 1, 1_000_000),
        workload("yield-100", "100 ready tasks yield in turn", 100, 10_000),
        workload("yield-10k", "10,000 ready tasks yield in turn", 10_000, 100),
        workload("yield-1m", "1,000,000 ready tasks yield in turn", 1_000_000, 5),
        whole("yield-1m-whole", "1,000,000 tasks start, yield 4 times each, and end", 1_000_000, 4),
    ]
}

/// Includes the start and the end of the tasks.
fn whole(name: &'static str, what: &'static str, tasks: usize, yields: u64) -> Workload {
    let contenders = all([
        vec![
            Contender::raw(move || raw::whole(tasks, yields)),
            #[cfg(feature = "tinyield")]
            Contender::ours(move || ours::whole(tasks, yields)),
        ],
        every_peer!(peers::whole, tasks, yields),
        vec![Contender::peer("FuturesUnordered", move || peers::whole_futures_unordered(tasks, yields))],
    ]);
    Workload { name, what, units: &["ns per yield"], pinned: false, contenders }
}

/// Counts the tasks that have started and ended.
#[derive(Default)]
struct Counts {
    started: Cell<usize>,
    ended: Cell<usize>,
}

impl Counts {
    fn start(&self) {
        assert_eq!(self.ended.get(), 0, "no task ends before all have started");
        self.started.update(|started| started + 1);
    }

    fn end(&self) {
        self.ended.update(|ended| ended + 1);
    }

    fn check(&self, tasks: usize) {
        assert_eq!((self.started.get(), self.ended.get()), (tasks, tasks));
    }
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
