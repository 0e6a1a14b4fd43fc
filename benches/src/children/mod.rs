//! Starting tasks and waiting for them.

#[cfg(feature = "tinyield")]
mod ours;
mod peers;
mod raw;

use crate::harness::{Contender, Workload, all};
use crate::peers::{Boxed, every_peer};

/// The number of trivial children, one after the other.
const SPAWNS: u64 = 200_000;
/// The children of a gather, and how often it runs.
const CHILDREN: u64 = 1_000;
const GATHERS: u64 = 200;
/// The depth of a binary tree, its nodes, and how often it is built.
const DEPTH: u32 = 13;
const NODES: u64 = (1 << (DEPTH + 1)) - 1;
const TREES: u64 = 10;
/// The length of a chain, and how often it runs.
const LINKS: u64 = 10_000;
const CHAINS: u64 = 20;
/// A gather in a gather in a gather: the levels, the children of each task, all tasks, and how often it runs.
const LEVELS: u32 = 3;
const BRANCHES: u64 = 10;
const NESTED: u64 = 1_111;
const NESTS: u64 = 200;
/// The tasks that wait for one shared task, and the number of shared tasks.
const WAITERS: u64 = 100;
const SHARED: u64 = 2_000;

pub fn workloads() -> Vec<Workload> {
    vec![
        Workload {
            name: "spawn",
            what: "start a trivial child and wait for it, one after the other",
            units: &["ns per child"],
            pinned: false,
            contenders: all([
                vec![
                    Contender::raw(raw::spawn),
                    #[cfg(feature = "tinyield")]
                    Contender::ours(ours::spawn),
                ],
                every_peer!(peers::spawn),
                vec![Contender::aside("boxed future inline", peers::spawn::<Boxed>)],
            ]),
        },
        Workload {
            name: "gather",
            what: "start 1000 children, each of which yields once, and wait for all",
            units: &["ns per child"],
            pinned: false,
            contenders: all([
                vec![
                    Contender::raw(raw::gather),
                    #[cfg(feature = "tinyield")]
                    Contender::ours(ours::gather),
                ],
                every_peer!(peers::gather),
                vec![
                    Contender::peer("join_all", peers::join_all),
                    Contender::peer("FuturesUnordered", peers::futures_unordered),
                ],
            ]),
        },
        Workload {
            name: "nested",
            what: "a gather of 10 gathers of 10 gathers of 10 children, each of which yields once",
            units: &["ns per task"],
            pinned: false,
            contenders: all([
                vec![
                    Contender::raw(raw::nested),
                    #[cfg(feature = "tinyield")]
                    Contender::ours(ours::nested),
                ],
                every_peer!(peers::nested),
            ]),
        },
        Workload {
            name: "shared-100",
            what: "100 tasks wait for one shared task, which yields once",
            units: &["ns per waiter"],
            pinned: false,
            contenders: all([
                vec![
                    #[cfg(feature = "tinyield")]
                    Contender::ours(ours::shared),
                ],
                every_peer!(peers::shared),
            ]),
        },
        Workload {
            name: "tree",
            what: "a binary tree of 16,383 tasks, each waiting for its two children",
            units: &["ns per node"],
            pinned: false,
            contenders: all([
                vec![
                    Contender::raw(raw::tree),
                    #[cfg(feature = "tinyield")]
                    Contender::ours(ours::tree),
                ],
                every_peer!(peers::tree),
                vec![Contender::aside("boxed futures inline", peers::tree::<Boxed>)],
            ]),
        },
        Workload {
            name: "chain",
            what: "10,000 tasks, each waiting for the next",
            units: &["ns per link"],
            pinned: false,
            contenders: all([
                vec![
                    Contender::raw(raw::chain),
                    #[cfg(feature = "tinyield")]
                    Contender::ours(ours::chain),
                ],
                every_peer!(peers::chain),
                vec![Contender::aside("boxed futures inline", peers::chain::<Boxed>)],
            ]),
        },
    ]
}
