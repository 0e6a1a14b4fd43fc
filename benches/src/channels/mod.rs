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
            what: "an unbounded channel between two tasks, in bursts of 64; raw, and `recv` alone, take a turn for each message",
            units: &["ns per message"],
            pinned: false,
            contenders: vec![
                Contender::raw(raw::unbounded),
                #[cfg(feature = "tinyield")]
                Contender::ours(ours::unbounded),
                #[cfg(feature = "tinyield")]
                Contender::ours_variant("tinyield, recv alone", ours::unbounded_in_turns),
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
            name: "bounded-1",
            what: "a channel that holds one message, between two tasks",
            units: &["ns per message"],
            pinned: false,
            contenders: vec![
                Contender::raw(raw::bounded),
                #[cfg(feature = "tinyield")]
                Contender::ours(ours::bounded),
                Contender::peer("smol + async-channel", peers::bounded_async_channel::<Smol>),
                Contender::peer("smol static + async-channel", peers::bounded_async_channel::<SmolStatic>),
                Contender::peer("async-std + async-channel", peers::bounded_async_channel::<AsyncStd>),
                Contender::peer("tokio LocalSet", peers::bounded_tokio::<TokioLocalSet>),
                Contender::peer("tokio LocalRuntime", peers::bounded_tokio::<TokioLocalRuntime>),
                Contender::peer("futures LocalPool", peers::bounded_futures::<LocalPool>),
                Contender::peer("monoio + local-sync", peers::bounded_local_sync::<Monoio>),
                Contender::peer("LocalRuntime + local-sync", peers::bounded_local_sync::<TokioLocalRuntime>),
                Contender::peer("compio + local-sync", peers::bounded_local_sync::<Compio>),
            ],
        },
    ]
}
