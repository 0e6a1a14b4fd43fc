//! Wake-ups from another thread, and blocking closures in a pool. All on one core.

#[cfg(feature = "tinyield")]
mod event;
#[cfg(feature = "tinyield")]
mod ours;
mod partner;
mod peers;
mod pools;

use crate::harness::{Contender, Workload};
use crate::peers::{AsyncStd, Compio, LocalPool, Monoio, Smol, SmolStatic, TokioLocalRuntime, TokioLocalSet};

/// The number of round trips between two threads.
const TRIPS: u32 = 10_000;
/// The number of closures, one at a time.
const CLOSURES: u64 = 10_000;
/// The number of closures in flight, and how often.
const FLIGHT: u64 = 64;
const FLIGHTS: u64 = 500;

/// The variable that the `blocking` crate reads once.
const SMOL_POOL: &str = "BLOCKING_MAX_THREADS";

pub fn workloads() -> Vec<Workload> {
    vec![
        Workload {
            name: "event-thread",
            what: "a task wakes a thread, which sets an event for which the task waits; raw is two threads at two futexes",
            units: &["us per round trip"],
            pinned: true,
            contenders: vec![
                Contender::bare("futex", partner::futexes),
                #[cfg(feature = "tinyield")]
                Contender::ours(event::remote),
                Contender::peer("smol", peers::listener::<Smol>),
                Contender::peer("smol static", peers::listener::<SmolStatic>),
                Contender::peer("tokio LocalSet", peers::notify::<TokioLocalSet>),
                Contender::peer("tokio LocalRuntime", peers::notify::<TokioLocalRuntime>),
                Contender::peer("async-std", peers::listener::<AsyncStd>),
                Contender::peer("futures LocalPool", peers::waker::<LocalPool>),
                Contender::peer("monoio", peers::waker::<Monoio>),
                Contender::peer("compio", peers::waker::<Compio>),
            ],
        },
        Workload {
            name: "blocking-1",
            what: "a trivial closure in the pool, and its result, one at a time",
            units: &["us per closure"],
            pinned: true,
            contenders: vec![
                #[cfg(feature = "tinyield")]
                Contender::ours(ours::one_at_a_time),
                Contender::peer("smol", || pools::one_at_a_time(&pools::Smol)),
                Contender::peer("tokio LocalSet", || pools::one_at_a_time(&pools::TokioLocalSet)),
                Contender::peer("tokio LocalRuntime", || {
                    pools::one_at_a_time(&pools::TokioLocalRuntime(pools::TOKIO_DEFAULT))
                }),
                Contender::peer("futures ThreadPool(2)", || pools::one_at_a_time(&pools::FuturesTwo)),
                Contender::peer("monoio pool of 2", || pools::one_at_a_time(&pools::MonoioTwo)),
                Contender::peer("compio", || pools::one_at_a_time(&pools::Compio(pools::COMPIO_DEFAULT))),
            ],
        },
        Workload {
            name: "blocking-64",
            what: "trivial closures in the default pool, and their results, 64 in flight",
            units: &["us per closure"],
            pinned: true,
            contenders: vec![
                #[cfg(feature = "tinyield")]
                Contender::ours(ours::in_flight),
                Contender::peer("smol", || pools::in_flight(&pools::Smol)),
                Contender::peer("tokio LocalSet", || pools::in_flight(&pools::TokioLocalSet)),
                Contender::peer("tokio LocalRuntime", || {
                    pools::in_flight(&pools::TokioLocalRuntime(pools::TOKIO_DEFAULT))
                }),
                Contender::peer("futures ThreadPool(2)", || pools::in_flight(&pools::FuturesTwo)),
                Contender::peer("monoio pool of 2", || pools::in_flight(&pools::MonoioTwo)),
                Contender::peer("compio", || pools::in_flight(&pools::Compio(pools::COMPIO_DEFAULT))),
            ],
        },
        Workload {
            name: "blocking-64-two",
            what: "trivial closures in a pool of two threads, and their results, 64 in flight",
            units: &["us per closure"],
            pinned: true,
            contenders: vec![
                #[cfg(feature = "tinyield")]
                Contender::ours(ours::in_flight_in_two),
                Contender::peer("smol", || pools::in_flight(&pools::Smol)).with_environment(SMOL_POOL, "2"),
                Contender::peer("tokio LocalRuntime", || pools::in_flight(&pools::TokioLocalRuntime(2))),
                Contender::peer("futures ThreadPool", || pools::in_flight(&pools::FuturesTwo)),
                Contender::peer("monoio", || pools::in_flight(&pools::MonoioTwo)),
                Contender::peer("compio", || pools::in_flight(&pools::Compio(2))),
            ],
        },
    ]
}
