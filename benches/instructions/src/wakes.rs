//! Futures that wake themselves, on the loop's own thread.

use std::future::poll_fn;
use std::hint::black_box;
use std::task::Poll;

use async_channel::{Receiver, Sender};
use tinyield::{Coro, Loop, co, coro};

/// Wakes itself at the first poll, and is ready at the second.
async fn wake_self() {
    let mut is_woken = false;
    poll_fn(|context| {
        if is_woken {
            return Poll::Ready(());
        }
        is_woken = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

#[coro]
fn task(turns: u64) -> Coro<()> {
    for turn in 0..turns {
        black_box(turn);
        wake_self().await;
    }
}

fn tasks(count: u64, turns: u64) -> u64 {
    let all: Vec<_> = (0..count).map(|_| task(turns)).collect();
    Loop::new().run(all).expect("no error");
    count * turns
}

pub fn alone(rounds: u64) -> u64 {
    tasks(1, rounds)
}

pub fn hundred(rounds: u64) -> u64 {
    tasks(100, rounds)
}

async fn serve(rounds: u64, sender: Sender<u64>, receiver: Receiver<u64>) {
    for i in 0..rounds {
        sender.send(i).await.expect("the other end is there");
        assert_eq!(receiver.recv().await, Ok(i));
    }
}

async fn answer(sender: Sender<u64>, receiver: Receiver<u64>) {
    while let Ok(ball) = receiver.recv().await {
        sender.send(ball).await.expect("the other end is there");
    }
}

pub fn ping_pong(rounds: u64) -> u64 {
    let (ping, pinged) = async_channel::bounded(1);
    let (pong, ponged) = async_channel::bounded(1);
    Loop::new().run((co! { serve(rounds, ping, ponged).await }, co! { answer(pong, pinged).await })).expect("no error");
    2 * rounds
}
