//! Wake-ups from the thread on which the woken task runs.

#[cfg(feature = "tinyield")]
mod ours;
mod peers;
mod raw;

use futures_lite::future::yield_now;

use crate::harness::{Contender, Workload};
use crate::peers::{AsyncStd, Compio, LocalPool, Monoio, Smol, SmolStatic, TokioLocalRuntime, TokioLocalSet};

/// How often the message goes to and fro.
const RALLIES: u64 = 200_000;

/// A future that wakes itself once. All contenders await this future, and use no shortcut of their own.
async fn wake_self() {
    yield_now().await;
}

/// Sends the message, and waits for it to come back.
async fn serve(sender: async_channel::Sender<u64>, receiver: async_channel::Receiver<u64>) -> u64 {
    let mut ball = 0;
    for _ in 0..RALLIES {
        sender.send(ball).await.expect("the other end is there");
        ball = receiver.recv().await.expect("the other end is there");
    }
    ball
}

/// Sends the message back each time it arrives.
async fn answer(sender: async_channel::Sender<u64>, receiver: async_channel::Receiver<u64>) {
    while let Ok(ball) = receiver.recv().await {
        if sender.send(ball + 1).await.is_err() {
            return;
        }
    }
}

/// Two tasks that send a message to and fro through oneshot channels, for each crate with such channels. Each message brings the channel
/// for the answer.
macro_rules! oneshots {
    ($name:ident, $($crate_path:ident)::+) => {
        mod $name {
            use $($crate_path)::+::oneshot::{Receiver, Sender, channel};

            use super::RALLIES;

            pub struct Ball {
                number: u64,
                back: Sender<Ball>,
            }

            pub async fn serve(mut other: Sender<Ball>) -> u64 {
                let mut number = 0;
                for _ in 0..RALLIES {
                    let (back, returned) = channel();
                    assert!(other.send(Ball { number, back }).is_ok());
                    let ball = returned.await.expect("the other end is there");
                    (number, other) = (ball.number, ball.back);
                }
                number
            }

            pub async fn answer(mut served: Receiver<Ball>) {
                while let Ok(ball) = served.await {
                    let (back, returned) = channel();
                    if ball.back.send(Ball { number: ball.number + 1, back }).is_err() {
                        return;
                    }
                    served = returned;
                }
            }
        }
    };
}

oneshots!(by_futures, futures::channel);
oneshots!(by_tokio, tokio::sync);

pub fn workloads() -> Vec<Workload> {
    vec![
        self_wake("self-wake-1", "one task awaits a future that wakes itself, alone", 1, 1_000_000),
        self_wake("self-wake-100", "100 tasks await futures that wake themselves, in turn", 100, 10_000),
        Workload {
            name: "ping-pong",
            what: "a message goes to and fro between two tasks, through two async-channels that hold one",
            units: &["ns per message"],
            pinned: false,
            contenders: vec![
                Contender::raw(raw::ping_pong),
                #[cfg(feature = "tinyield")]
                Contender::ours(ours::ping_pong),
                Contender::peer("smol", peers::ping_pong::<Smol>),
                Contender::peer("smol static", peers::ping_pong::<SmolStatic>),
                Contender::peer("tokio LocalSet", peers::ping_pong::<TokioLocalSet>),
                Contender::peer("tokio LocalRuntime", peers::ping_pong::<TokioLocalRuntime>),
                Contender::peer("async-std", peers::ping_pong::<AsyncStd>),
                Contender::peer("compio", peers::ping_pong::<Compio>),
                Contender::peer("futures LocalPool", peers::ping_pong::<LocalPool>),
            ],
        },
        Workload {
            name: "oneshot",
            what: "a message goes to and fro between two tasks; each takes a new oneshot channel, of `futures` or of tokio",
            units: &["ns per message"],
            pinned: false,
            contenders: vec![
                Contender::raw(raw::oneshot),
                Contender::bare("raw, tokio's", raw::oneshot_of_tokio),
                #[cfg(feature = "tinyield")]
                Contender::ours(ours::oneshot),
                #[cfg(feature = "tinyield")]
                Contender::ours_variant("tinyield, tokio's", ours::oneshot_of_tokio),
                Contender::peer("smol", peers::oneshot::<Smol>),
                Contender::peer("smol static", peers::oneshot::<SmolStatic>),
                Contender::peer("tokio LocalSet", peers::oneshot::<TokioLocalSet>),
                Contender::peer("tokio LocalRuntime", peers::oneshot::<TokioLocalRuntime>),
                Contender::peer("LocalSet, tokio's", peers::oneshot_of_tokio::<TokioLocalSet>),
                Contender::peer("LocalRuntime, tokio's", peers::oneshot_of_tokio::<TokioLocalRuntime>),
                Contender::peer("async-std", peers::oneshot::<AsyncStd>),
                Contender::peer("monoio", peers::oneshot::<Monoio>),
                Contender::peer("compio", peers::oneshot::<Compio>),
                Contender::peer("futures LocalPool", peers::oneshot::<LocalPool>),
            ],
        },
    ]
}

/// Without monoio: there, a task that wakes itself starves the others.
fn self_wake(name: &'static str, what: &'static str, tasks: usize, wakes: u64) -> Workload {
    let contenders = vec![
        Contender::raw(move || raw::self_wake(tasks, wakes)),
        #[cfg(feature = "tinyield")]
        Contender::ours(move || ours::self_wake(tasks, wakes)),
        Contender::peer("smol", move || peers::self_wake::<Smol>(tasks, wakes)),
        Contender::peer("smol static", move || peers::self_wake::<SmolStatic>(tasks, wakes)),
        Contender::peer("tokio LocalSet", move || peers::self_wake::<TokioLocalSet>(tasks, wakes)),
        Contender::peer("tokio LocalRuntime", move || peers::self_wake::<TokioLocalRuntime>(tasks, wakes)),
        Contender::peer("async-std", move || peers::self_wake::<AsyncStd>(tasks, wakes)),
        Contender::peer("compio", move || peers::self_wake::<Compio>(tasks, wakes)),
        Contender::peer("futures LocalPool", move || peers::self_wake::<LocalPool>(tasks, wakes)),
    ];
    Workload { name, what, units: &["ns per wake-up"], pinned: false, contenders }
}
