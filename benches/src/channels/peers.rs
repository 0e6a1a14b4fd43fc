//! Each peer with the channel that its users use.

use futures::{SinkExt, StreamExt};

use super::{BOUNDED, BURST, BURSTS, Phase, UNBOUNDED};
use crate::harness::{Measured, Stopwatch};
use crate::peers::Peer;

/// Runs once to warm up, and once with the clock. Each run has a sender in one task and a receiver in another.
fn timed<P: Peer>(messages: u64, once: impl AsyncFn(&P) -> u64 + 'static) -> Measured {
    P::run(move |peer| async move {
        let mut measured = None;
        for _ in 0..2 {
            let stopwatch = Stopwatch::start();
            assert_eq!(once(&peer).await, messages * (messages - 1) / 2);
            measured = Some(stopwatch.per(messages));
        }
        measured.expect("it ran twice")
    })
}

/// Sends bursts, and waits for the acknowledgement of each.
async fn send_bursts(send: impl Fn(u64), mut acknowledged: impl AsyncFnMut()) {
    for burst in 0..BURSTS {
        (0..BURST).for_each(|i| send(burst * BURST + i));
        acknowledged().await;
    }
}

async fn receive_bursts(mut receive: impl AsyncFnMut() -> u64, acknowledge: impl Fn()) -> u64 {
    let mut sum = 0;
    for _ in 0..BURSTS {
        for _ in 0..BURST {
            sum += receive().await;
        }
        acknowledge();
    }
    sum
}

/// `receive` waits for a message, and adds it and all others that have arrived to the vector.
async fn receive_bursts_in_bulk(mut receive: impl AsyncFnMut(&mut Vec<u64>), acknowledge: impl Fn()) -> u64 {
    let mut sum = 0;
    let mut messages = Vec::new();
    for _ in 0..BURSTS {
        let mut received = 0;
        while received < BURST {
            receive(&mut messages).await;
            received += messages.len() as u64;
            sum += messages.drain(..).sum::<u64>();
        }
        acknowledge();
    }
    sum
}

/// As [`receive_bursts_in_bulk`], for channels without a bulk form: `next` returns a message that has arrived.
async fn receive_bursts_in_loops<R>(
    mut receiver: R,
    mut receive: impl AsyncFnMut(&mut R) -> u64,
    next: impl Fn(&mut R) -> Option<u64>,
    acknowledge: impl Fn(),
) -> u64 {
    let mut sum = 0;
    for _ in 0..BURSTS {
        let mut received = 0;
        while received < BURST {
            let mut arrived = Some(receive(&mut receiver).await);
            while let Some(message) = arrived {
                sum += message;
                received += 1;
                arrived = next(&mut receiver);
            }
        }
        acknowledge();
    }
    sum
}

async fn send_all<P: Peer>(peer: P, phase: Phase, mut send: impl AsyncFnMut(u64)) {
    for i in 0..BOUNDED {
        if phase.yields_before(i) {
            peer.turn().await;
        }
        send(i).await;
    }
}

async fn receive_all(mut receive: impl AsyncFnMut() -> u64) -> u64 {
    let mut sum = 0;
    for _ in 0..BOUNDED {
        sum += receive().await;
    }
    sum
}

const OPEN: &str = "the other end is there";

pub fn unbounded_async_channel<P: Peer>() -> Measured {
    timed(UNBOUNDED, async |peer: &P| {
        let (sender, receiver) = async_channel::unbounded();
        let (acknowledge, acknowledged) = async_channel::unbounded();
        peer.detach(send_bursts(
            move |i| sender.try_send(i).expect(OPEN),
            async move || acknowledged.recv().await.expect(OPEN),
        ));
        let receiving = receive_bursts(
            async move || receiver.recv().await.expect(OPEN),
            move || acknowledge.try_send(()).expect(OPEN),
        );
        peer.spawn(receiving).await
    })
}

pub fn unbounded_tokio<P: Peer>() -> Measured {
    timed(UNBOUNDED, async |peer: &P| {
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let (acknowledge, mut acknowledged) = tokio::sync::mpsc::unbounded_channel();
        peer.detach(send_bursts(
            move |i| sender.send(i).expect(OPEN),
            async move || acknowledged.recv().await.expect(OPEN),
        ));
        let receiving =
            receive_bursts(async move || receiver.recv().await.expect(OPEN), move || acknowledge.send(()).expect(OPEN));
        peer.spawn(receiving).await
    })
}

pub fn unbounded_futures<P: Peer>() -> Measured {
    timed(UNBOUNDED, async |peer: &P| {
        let (sender, mut receiver) = futures::channel::mpsc::unbounded();
        let (acknowledge, mut acknowledged) = futures::channel::mpsc::unbounded();
        peer.detach(send_bursts(
            move |i| sender.unbounded_send(i).expect(OPEN),
            async move || acknowledged.next().await.expect(OPEN),
        ));
        let receiving = receive_bursts(
            async move || receiver.next().await.expect(OPEN),
            move || acknowledge.unbounded_send(()).expect(OPEN),
        );
        peer.spawn(receiving).await
    })
}

pub fn unbounded_local_sync<P: Peer>() -> Measured {
    timed(UNBOUNDED, async |peer: &P| {
        let (sender, mut receiver) = local_sync::mpsc::unbounded::channel();
        let (acknowledge, mut acknowledged) = local_sync::mpsc::unbounded::channel();
        peer.detach(send_bursts(
            move |i| sender.send(i).expect(OPEN),
            async move || acknowledged.recv().await.expect(OPEN),
        ));
        let receiving =
            receive_bursts(async move || receiver.recv().await.expect(OPEN), move || acknowledge.send(()).expect(OPEN));
        peer.spawn(receiving).await
    })
}

pub fn bulk_async_channel<P: Peer>() -> Measured {
    timed(UNBOUNDED, async |peer: &P| {
        let (sender, receiver) = async_channel::unbounded();
        let (acknowledge, acknowledged) = async_channel::unbounded();
        peer.detach(send_bursts(
            move |i| sender.try_send(i).expect(OPEN),
            async move || acknowledged.recv().await.expect(OPEN),
        ));
        let acknowledge = move || acknowledge.try_send(()).expect(OPEN);
        peer.spawn(receive_bursts_in_loops(
            receiver,
            async |receiver| receiver.recv().await.expect(OPEN),
            |receiver| receiver.try_recv().ok(),
            acknowledge,
        ))
        .await
    })
}

pub fn bulk_tokio<P: Peer>() -> Measured {
    timed(UNBOUNDED, async |peer: &P| {
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let (acknowledge, mut acknowledged) = tokio::sync::mpsc::unbounded_channel();
        peer.detach(send_bursts(
            move |i| sender.send(i).expect(OPEN),
            async move || acknowledged.recv().await.expect(OPEN),
        ));
        let acknowledge = move || acknowledge.send(()).expect(OPEN);
        peer.spawn(receive_bursts_in_bulk(
            async move |messages| assert!(receiver.recv_many(messages, BURST as usize).await > 0),
            acknowledge,
        ))
        .await
    })
}

pub fn bulk_futures<P: Peer>() -> Measured {
    timed(UNBOUNDED, async |peer: &P| {
        let (sender, receiver) = futures::channel::mpsc::unbounded();
        let (acknowledge, mut acknowledged) = futures::channel::mpsc::unbounded();
        peer.detach(send_bursts(
            move |i| sender.unbounded_send(i).expect(OPEN),
            async move || acknowledged.next().await.expect(OPEN),
        ));
        let acknowledge = move || acknowledge.unbounded_send(()).expect(OPEN);
        peer.spawn(receive_bursts_in_loops(
            receiver,
            async |receiver| receiver.next().await.expect(OPEN),
            |receiver| receiver.try_recv().ok(),
            acknowledge,
        ))
        .await
    })
}

pub fn bulk_local_sync<P: Peer>() -> Measured {
    timed(UNBOUNDED, async |peer: &P| {
        let (sender, receiver) = local_sync::mpsc::unbounded::channel();
        let (acknowledge, mut acknowledged) = local_sync::mpsc::unbounded::channel();
        peer.detach(send_bursts(
            move |i| sender.send(i).expect(OPEN),
            async move || acknowledged.recv().await.expect(OPEN),
        ));
        let acknowledge = move || acknowledge.send(()).expect(OPEN);
        peer.spawn(receive_bursts_in_loops(
            receiver,
            async |receiver| receiver.recv().await.expect(OPEN),
            |receiver| receiver.try_recv().ok(),
            acknowledge,
        ))
        .await
    })
}

pub fn bounded_async_channel<P: Peer>(phase: Phase) -> Measured {
    timed(BOUNDED, async move |peer: &P| {
        let (sender, receiver) = async_channel::bounded(1);
        peer.detach(send_all(peer.clone(), phase, async move |i| sender.send(i).await.expect(OPEN)));
        peer.spawn(receive_all(async move || receiver.recv().await.expect(OPEN))).await
    })
}

pub fn bounded_tokio<P: Peer>(phase: Phase) -> Measured {
    timed(BOUNDED, async move |peer: &P| {
        let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
        peer.detach(send_all(peer.clone(), phase, async move |i| sender.send(i).await.expect(OPEN)));
        peer.spawn(receive_all(async move || receiver.recv().await.expect(OPEN))).await
    })
}

/// Its channel holds one more message than its capacity, for each sender.
pub fn bounded_futures<P: Peer>(phase: Phase) -> Measured {
    timed(BOUNDED, async move |peer: &P| {
        let (mut sender, mut receiver) = futures::channel::mpsc::channel(0);
        peer.detach(send_all(peer.clone(), phase, async move |i| sender.send(i).await.expect(OPEN)));
        peer.spawn(receive_all(async move || receiver.next().await.expect(OPEN))).await
    })
}

pub fn bounded_local_sync<P: Peer>(phase: Phase) -> Measured {
    timed(BOUNDED, async move |peer: &P| {
        let (sender, mut receiver) = local_sync::mpsc::bounded::channel(1);
        peer.detach(send_all(peer.clone(), phase, async move |i| sender.send(i).await.expect(OPEN)));
        peer.spawn(receive_all(async move || receiver.recv().await.expect(OPEN))).await
    })
}
