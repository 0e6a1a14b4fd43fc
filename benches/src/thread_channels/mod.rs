//! A thread and a task, one of which sends messages to the other through an unbounded channel. The workloads are not pinned to one
//! core, because both ends have to run at the same time.

#[cfg(feature = "tinyield")]
mod ours;
mod peers;

use std::thread;
use std::time::{Duration, Instant};

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
        Workload {
            name: "channel-thread",
            what: "a task sends through an unbounded channel to a thread; a `send` for each message",
            units: &["ns per message"],
            pinned: false,
            contenders: vec![
                #[cfg(feature = "tinyield")]
                Contender::ours(ours::to_thread),
                Contender::peer("smol + async-channel", peers::async_channel_to_thread::<Smol>),
                Contender::peer("smol static + async-channel", peers::async_channel_to_thread::<SmolStatic>),
                Contender::peer("async-std + async-channel", peers::async_channel_to_thread::<AsyncStd>),
                Contender::peer("tokio LocalSet", peers::tokio_to_thread::<TokioLocalSet>),
                Contender::peer("tokio LocalRuntime", peers::tokio_to_thread::<TokioLocalRuntime>),
                Contender::peer("futures LocalPool", peers::futures_to_thread::<LocalPool>),
                Contender::peer("monoio + async-channel", peers::async_channel_to_thread::<Monoio>),
                Contender::peer("compio + async-channel", peers::async_channel_to_thread::<Compio>),
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
        self.thread.join().expect("all messages were sent");
        measured(elapsed, sum)
    }
}

/// The thread that receives, and the time at which it was started.
struct Receiving {
    begin: Instant,
    thread: thread::JoinHandle<u64>,
}

impl Receiving {
    /// Starts a thread that receives all messages. `next` blocks until there is a message.
    fn start(mut next: impl FnMut() -> u64 + Send + 'static) -> Self {
        Self { begin: Instant::now(), thread: thread::spawn(move || (0..MESSAGES).map(|_| next()).sum()) }
    }

    /// Called when all messages have been sent. Stops the clock when all have been received.
    fn end(self) -> Measured {
        let sum = self.thread.join().expect("all messages were received");
        measured(self.begin.elapsed(), sum)
    }
}

fn measured(elapsed: Duration, sum: u64) -> Measured {
    assert_eq!(sum, MESSAGES * (MESSAGES - 1) / 2);
    Measured::one(elapsed.as_nanos() as f64 / MESSAGES as f64)
}
