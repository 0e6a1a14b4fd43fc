//! A thread that sends messages to a task through an unbounded channel. The workloads are not pinned to one core, because both ends
//! have to run at the same time.

#[cfg(feature = "tinyield")]
mod ours;
mod peers;

use std::thread;
use std::time::Instant;

use crate::harness::{Contender, Measured, Workload};
use crate::peers::{AsyncStd, Compio, LocalPool, Monoio, Smol, SmolStatic, TokioLocalRuntime, TokioLocalSet};

const MESSAGES: u64 = 1_000_000;

pub fn workloads() -> Vec<Workload> {
    vec![
        Workload {
            name: "thread-channel",
            what: "a thread sends through an unbounded channel to a task; a `recv` for each message",
            units: &["ns per message"],
            pinned: false,
            contenders: vec![
                #[cfg(feature = "tinyield")]
                Contender::ours(ours::one_by_one),
                Contender::peer("smol + async-channel", peers::async_channel::<Smol>),
                Contender::peer("smol static + async-channel", peers::async_channel::<SmolStatic>),
                Contender::peer("async-std + async-channel", peers::async_channel::<AsyncStd>),
                Contender::peer("tokio LocalSet", peers::tokio::<TokioLocalSet>),
                Contender::peer("tokio LocalRuntime", peers::tokio::<TokioLocalRuntime>),
                Contender::peer("futures LocalPool", peers::futures::<LocalPool>),
                Contender::peer("monoio + async-channel", peers::async_channel::<Monoio>),
                Contender::peer("compio + async-channel", peers::async_channel::<Compio>),
            ],
        },
        Workload {
            name: "thread-channel-bulk",
            what: "the same, but all messages that have arrived are taken at once",
            units: &["ns per message"],
            pinned: false,
            contenders: vec![
                #[cfg(feature = "tinyield")]
                Contender::ours(ours::in_bulk),
                Contender::peer("smol + async-channel", peers::bulk_async_channel::<Smol>),
                Contender::peer("smol static + async-channel", peers::bulk_async_channel::<SmolStatic>),
                Contender::peer("async-std + async-channel", peers::bulk_async_channel::<AsyncStd>),
                Contender::peer("tokio LocalSet, recv_many", peers::bulk_tokio::<TokioLocalSet>),
                Contender::peer("tokio LocalRuntime, recv_many", peers::bulk_tokio::<TokioLocalRuntime>),
                Contender::peer("futures LocalPool", peers::bulk_futures::<LocalPool>),
                Contender::peer("monoio + async-channel", peers::bulk_async_channel::<Monoio>),
                Contender::peer("compio + async-channel", peers::bulk_async_channel::<Compio>),
            ],
        },
    ]
}

/// The thread that sends, and the time at which it was started.
struct Sending {
    begin: Instant,
    thread: thread::JoinHandle<()>,
}

impl Sending {
    /// Starts a thread that sends all messages.
    fn start(send: impl Fn(u64) + Send + 'static) -> Self {
        Self { begin: Instant::now(), thread: thread::spawn(move || (0..MESSAGES).for_each(send)) }
    }

    /// Stops the clock. Called when all messages have been received. `sum` is their sum.
    fn end(self, sum: u64) -> Measured {
        let elapsed = self.begin.elapsed();
        assert_eq!(sum, MESSAGES * (MESSAGES - 1) / 2);
        self.thread.join().expect("all messages were sent");
        Measured::one(elapsed.as_nanos() as f64 / MESSAGES as f64)
    }
}
