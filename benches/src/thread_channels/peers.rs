//! Each peer with the channel that its users use between threads.

use futures::StreamExt;
use futures::executor::block_on;

use super::{MESSAGES, Receiving, Sending};
use crate::harness::Measured;
use crate::peers::Peer;

const OPEN: &str = "the other end is there";
/// How many messages `recv_many` takes at most.
const MANY: usize = 64;

/// Runs twice, and returns the figure of the second run. The first run is to warm up.
fn timed<P: Peer>(once: impl AsyncFn(&P) -> Measured + 'static) -> Measured {
    P::run(move |peer| async move {
        once(&peer).await;
        once(&peer).await
    })
}

async fn receive(mut next: impl AsyncFnMut() -> u64) -> u64 {
    let mut sum = 0;
    for _ in 0..MESSAGES {
        sum += next().await;
    }
    sum
}

/// `wait` waits for a message. `next` returns a message that has arrived, or `None`.
async fn receive_in_bulk<R>(
    mut receiver: R,
    mut wait: impl AsyncFnMut(&mut R) -> u64,
    next: impl Fn(&mut R) -> Option<u64>,
) -> u64 {
    let mut sum = 0;
    let mut received = 0;
    while received < MESSAGES {
        let mut arrived = Some(wait(&mut receiver).await);
        while let Some(message) = arrived {
            sum += message;
            received += 1;
            arrived = next(&mut receiver);
        }
    }
    sum
}

pub fn async_channel<P: Peer>() -> Measured {
    timed(async |peer: &P| {
        let (sender, receiver) = async_channel::unbounded();
        let sending = Sending::start(move |i| sender.try_send(i).expect(OPEN));
        sending.end(peer.spawn(receive(async move || receiver.recv().await.expect(OPEN))).await)
    })
}

pub fn tokio<P: Peer>() -> Measured {
    timed(async |peer: &P| {
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let sending = Sending::start(move |i| sender.send(i).expect(OPEN));
        sending.end(peer.spawn(receive(async move || receiver.recv().await.expect(OPEN))).await)
    })
}

pub fn futures<P: Peer>() -> Measured {
    timed(async |peer: &P| {
        let (sender, mut receiver) = futures::channel::mpsc::unbounded();
        let sending = Sending::start(move |i| sender.unbounded_send(i).expect(OPEN));
        sending.end(peer.spawn(receive(async move || receiver.next().await.expect(OPEN))).await)
    })
}

pub fn bulk_async_channel<P: Peer>() -> Measured {
    timed(async |peer: &P| {
        let (sender, receiver) = async_channel::unbounded();
        let sending = Sending::start(move |i| sender.try_send(i).expect(OPEN));
        let receiving = receive_in_bulk(
            receiver,
            async |receiver| receiver.recv().await.expect(OPEN),
            |receiver| receiver.try_recv().ok(),
        );
        sending.end(peer.spawn(receiving).await)
    })
}

pub fn bulk_tokio<P: Peer>() -> Measured {
    timed(async |peer: &P| {
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let sending = Sending::start(move |i| sender.send(i).expect(OPEN));
        let receiving = async move {
            let (mut sum, mut received) = (0, 0);
            let mut messages = Vec::new();
            while received < MESSAGES {
                received += receiver.recv_many(&mut messages, MANY).await as u64;
                sum += messages.drain(..).sum::<u64>();
            }
            sum
        };
        sending.end(peer.spawn(receiving).await)
    })
}

pub fn bulk_futures<P: Peer>() -> Measured {
    timed(async |peer: &P| {
        let (sender, receiver) = futures::channel::mpsc::unbounded();
        let sending = Sending::start(move |i| sender.unbounded_send(i).expect(OPEN));
        let receiving = receive_in_bulk(
            receiver,
            async |receiver| receiver.next().await.expect(OPEN),
            |receiver| receiver.try_recv().ok(),
        );
        sending.end(peer.spawn(receiving).await)
    })
}

pub fn async_channel_to_thread<P: Peer>() -> Measured {
    timed(async |peer: &P| {
        let (sender, receiver) = async_channel::unbounded();
        let receiving = Receiving::start(move || receiver.recv_blocking().expect(OPEN));
        let sending = async move {
            for i in 0..MESSAGES {
                sender.send(i).await.expect(OPEN);
            }
        };
        peer.spawn(sending).await;
        receiving.end()
    })
}

pub fn tokio_to_thread<P: Peer>() -> Measured {
    timed(async |peer: &P| {
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let receiving = Receiving::start(move || receiver.blocking_recv().expect(OPEN));
        peer.spawn(async move { (0..MESSAGES).for_each(|i| sender.send(i).expect(OPEN)) }).await;
        receiving.end()
    })
}

pub fn futures_to_thread<P: Peer>() -> Measured {
    timed(async |peer: &P| {
        let (sender, mut receiver) = futures::channel::mpsc::unbounded();
        let receiving = Receiving::start(move || block_on(receiver.next()).expect(OPEN));
        peer.spawn(async move { (0..MESSAGES).for_each(|i| sender.unbounded_send(i).expect(OPEN)) }).await;
        receiving.end()
    })
}
