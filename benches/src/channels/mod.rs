//! Channels between two tasks on one thread.

#[cfg(feature = "tinyield")]
mod ours;
mod peers;
mod raw;

use crate::harness::{Contender, Workload};
use crate::peers::{AsyncStd, Compio, LocalPool, Monoio, Smol, SmolStatic, TokioLocalRuntime, TokioLocalSet};

/// Messages through an unbounded channel, in bursts. Each burst is acknowledged, so that the queue has
/// the same length in all contenders, however they share the turns.
const BURST: u64 = 64;
const BURSTS: u64 = 10_000;
const UNBOUNDED: u64 = BURST * BURSTS;
/// Messages through a channel that holds one.
const BOUNDED: u64 = 200_000;

pub fn workloads() -> Vec<Workload> {
    vec![
        Workload {
            name: "unbounded",
            what: "an unbounded channel between two tasks, in bursts of 64, and a `recv` for each message; raw takes a turn for each",
            units: &["ns per message"],
            pinned: false,
            contenders: vec![
                Contender::raw(raw::unbounded),
                #[cfg(feature = "tinyield")]
                Contender::ours(ours::unbounded),
                Contender::peer("smol + async-channel", peers::unbounded_async_channel::<Smol>),
                Contender::peer("smol static + async-channel", peers::unbounded_async_channel::<SmolStatic>),
                Contender::peer("async-std + async-channel", peers::unbounded_async_channel::<AsyncStd>),
                Contender::peer("tokio LocalSet", peers::unbounded_tokio::<TokioLocalSet>),
                Contender::peer("tokio LocalRuntime", peers::unbounded_tokio::<TokioLocalRuntime>),
                Contender::peer("futures LocalPool", peers::unbounded_futures::<LocalPool>),
                Contender::peer("monoio + local-sync", peers::unbounded_local_sync::<Monoio>),
                Contender::peer("LocalRuntime + local-sync", peers::unbounded_local_sync::<TokioLocalRuntime>),
                Contender::peer("compio + local-sync", peers::unbounded_local_sync::<Compio>),
            ],
        },
        Workload {
            name: "unbounded-bulk",
            what: "the same, but all messages that have arrived are taken at once; raw takes a turn for each burst",
            units: &["ns per message"],
            pinned: false,
            contenders: vec![
                Contender::raw(raw::unbounded_bulk),
                #[cfg(feature = "tinyield")]
                Contender::ours(ours::unbounded_bulk),
                Contender::peer("smol + async-channel", peers::bulk_async_channel::<Smol>),
                Contender::peer("smol static + async-channel", peers::bulk_async_channel::<SmolStatic>),
                Contender::peer("async-std + async-channel", peers::bulk_async_channel::<AsyncStd>),
                Contender::peer("tokio LocalSet, recv_many", peers::bulk_tokio::<TokioLocalSet>),
                Contender::peer("tokio LocalRuntime, recv_many", peers::bulk_tokio::<TokioLocalRuntime>),
                Contender::peer("futures LocalPool", peers::bulk_futures::<LocalPool>),
                Contender::peer("monoio + local-sync", peers::bulk_local_sync::<Monoio>),
                Contender::peer("LocalRuntime + local-sync", peers::bulk_local_sync::<TokioLocalRuntime>),
                Contender::peer("compio + local-sync", peers::bulk_local_sync::<Compio>),
            ],
        },
        bounded(
            "bounded-1",
            "a channel that holds one message, between two tasks whose turns alternate, so that hardly any message waits",
            Phase::Kept,
        ),
        bounded(
            "bounded-1-waits",
            "the same, but the sender yields once per 64 messages, so that both sides wait for nearly every message",
            Phase::Shifted,
        ),
    ]
}

/// Whether the sender yields before every 64th message. If it does not, the two sides may alternate in such a way that neither side ever
/// waits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Kept,
    Shifted,
}

impl Phase {
    fn yields_before(self, message: u64) -> bool {
        self == Phase::Shifted && message.is_multiple_of(64)
    }
}

fn bounded(name: &'static str, what: &'static str, phase: Phase) -> Workload {
    let contenders = vec![
        Contender::raw(move || raw::bounded(phase)),
        #[cfg(feature = "tinyield")]
        Contender::ours(move || ours::bounded(phase)),
        Contender::peer("smol + async-channel", move || peers::bounded_async_channel::<Smol>(phase)),
        Contender::peer("smol static + async-channel", move || peers::bounded_async_channel::<SmolStatic>(phase)),
        Contender::peer("async-std + async-channel", move || peers::bounded_async_channel::<AsyncStd>(phase)),
        Contender::peer("tokio LocalSet", move || peers::bounded_tokio::<TokioLocalSet>(phase)),
        Contender::peer("tokio LocalRuntime", move || peers::bounded_tokio::<TokioLocalRuntime>(phase)),
        Contender::peer("futures LocalPool", move || peers::bounded_futures::<LocalPool>(phase)),
        Contender::peer("monoio + local-sync", move || peers::bounded_local_sync::<Monoio>(phase)),
        Contender::peer("LocalRuntime + local-sync", move || peers::bounded_local_sync::<TokioLocalRuntime>(phase)),
        Contender::peer("compio + local-sync", move || peers::bounded_local_sync::<Compio>(phase)),
    ];
    Workload { name, what, units: &["ns per message"], pinned: false, contenders }
}
