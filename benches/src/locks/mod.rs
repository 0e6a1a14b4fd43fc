//! Semaphores and locks under contention. Each holder yields once.

#[cfg(feature = "tinyield")]
mod ours;
mod peers;
mod raw;
mod shares;

use crate::harness::{Contender, Workload};
use crate::peers::{AsyncStd, LocalPool, Monoio, Smol, SmolStatic, TokioLocalRuntime, TokioLocalSet};

const TASKS: usize = 100;
/// How often each task acquires a permit.
const TIMES: u64 = 2_000;
const PERMITS: usize = 2;

pub fn workloads() -> Vec<Workload> {
    vec![
        Workload {
            name: "semaphore",
            what: "100 tasks share 2 permits; a holder yields once",
            units: &["ns per permit"],
            pinned: false,
            contenders: vec![
                Contender::raw(|| raw::permits(PERMITS)),
                #[cfg(feature = "tinyield")]
                Contender::ours(ours::semaphore),
                Contender::peer("smol + async-lock", peers::semaphore_async_lock::<Smol>),
                Contender::peer("smol static + async-lock", peers::semaphore_async_lock::<SmolStatic>),
                Contender::peer("async-std + async-lock", peers::semaphore_async_lock::<AsyncStd>),
                Contender::peer("tokio LocalSet", peers::semaphore_tokio::<TokioLocalSet>),
                Contender::peer("tokio LocalRuntime", peers::semaphore_tokio::<TokioLocalRuntime>),
                Contender::peer("monoio + local-sync", peers::semaphore_local_sync::<Monoio>),
                Contender::peer("LocalRuntime + local-sync", peers::semaphore_local_sync::<TokioLocalRuntime>),
            ],
        },
        Workload {
            name: "lock",
            what: "100 tasks share a lock; a holder yields once",
            units: &["ns per turn with it"],
            pinned: false,
            contenders: vec![
                Contender::raw(|| raw::permits(1)),
                #[cfg(feature = "tinyield")]
                Contender::ours(ours::lock),
                Contender::peer("smol + async-lock", peers::lock_async_lock::<Smol>),
                Contender::peer("smol static + async-lock", peers::lock_async_lock::<SmolStatic>),
                Contender::peer("async-std + async-lock", peers::lock_async_lock::<AsyncStd>),
                Contender::peer("tokio LocalSet", peers::lock_tokio::<TokioLocalSet>),
                Contender::peer("tokio LocalRuntime", peers::lock_tokio::<TokioLocalRuntime>),
                Contender::peer("futures LocalPool", peers::lock_futures::<LocalPool>),
            ],
        },
    ]
}
