//! A task that waits for a message or for the request to stop.

#[cfg(feature = "tinyield")]
mod ours;
mod peers;

use crate::harness::{Contender, Workload};
use crate::peers::{AsyncStd, Compio, LocalPool, Monoio, Smol, SmolStatic, TokioLocalRuntime, TokioLocalSet};

const MESSAGES: u64 = 200_000;

pub fn workloads() -> Vec<Workload> {
    vec![Workload {
        name: "race-leaves",
        what: "a race of an event, which is never set, against a `recv`; another task sends a message per turn",
        units: &["ns per race"],
        pinned: false,
        contenders: vec![
            #[cfg(feature = "tinyield")]
            Contender::ours(ours::leaves),
            Contender::peer("smol, or", peers::or::<Smol>),
            Contender::peer("smol static, or", peers::or::<SmolStatic>),
            Contender::peer("async-std, or", peers::or::<AsyncStd>),
            Contender::peer("LocalSet, tokio select!", peers::tokio_select::<TokioLocalSet>),
            Contender::peer("LocalRuntime, tokio select!", peers::tokio_select::<TokioLocalRuntime>),
            Contender::peer("monoio, tokio select!", peers::tokio_select::<Monoio>),
            Contender::peer("compio, tokio select!", peers::tokio_select::<Compio>),
            Contender::peer("LocalPool, futures select!", peers::futures_select::<LocalPool>),
            Contender::peer("LocalSet, futures select!", peers::futures_select::<TokioLocalSet>),
            Contender::peer("LocalRuntime, futures select!", peers::futures_select::<TokioLocalRuntime>),
            Contender::peer("monoio, futures select!", peers::futures_select::<Monoio>),
        ],
    }]
}
