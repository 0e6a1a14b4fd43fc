//! Makes a loop, runs a task with a trivial child on it, and drops it.

#[cfg(feature = "tinyield")]
mod ours;
mod peers;
mod raw;

use crate::harness::{Contender, Workload};

const LOOPS: u64 = 10_000;

pub fn workloads() -> Vec<Workload> {
    vec![Workload {
        name: "loop",
        what: "make a loop, start a trivial task there and await it, drop the loop",
        units: &["ns per loop"],
        pinned: false,
        contenders: vec![
            Contender::raw(raw::trivial),
            #[cfg(feature = "tinyield")]
            Contender::ours(ours::trivial),
            Contender::peer("smol", peers::smol),
            Contender::peer("tokio LocalSet", peers::tokio_local_set),
            Contender::peer("tokio LocalRuntime", peers::tokio_local_runtime),
            Contender::peer("futures LocalPool", peers::local_pool),
            Contender::peer("monoio", peers::monoio),
            Contender::peer("compio", peers::compio),
        ],
    }]
}
