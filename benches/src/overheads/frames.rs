//! The memory of a body that has not started: a `#[coro]`, and the same `async fn`, boxed.

use std::hint::black_box;
use std::time::Duration;

use crate::harness::{Measured, machine};

const BODIES: usize = 10_000;
const LONG: Duration = Duration::from_secs(60);

/// The bodies, in the order of the figures.
pub const UNITS: &[&str] = &[
    "bytes, an empty body",
    "bytes, 3 yields",
    "bytes, a child",
    "bytes, a sleep",
    "bytes, a message",
    "bytes, 1 KiB across a yield",
    "bytes, all but the KiB",
];

/// The heap memory of a body, with glibc's header of 8 bytes, rounded up to 16 bytes.
fn bytes<B>(make: impl Fn() -> B) -> f64 {
    let mut bodies = Vec::with_capacity(BODIES);
    let before = machine::heap_bytes();
    bodies.extend((0..BODIES).map(|_| make()));
    (machine::heap_bytes() - before) / BODIES as f64
}

pub fn of_coroutines() -> Measured {
    use self::coroutines::{all, buffer, child, empty, message, sleeping, turns};

    let (_sender, receiver) = tinyield::channel::unbounded();
    let figures = vec![
        bytes(empty),
        bytes(|| turns(1)),
        bytes(|| child(1)),
        bytes(sleeping),
        bytes(|| message(receiver.clone())),
        bytes(|| buffer(1)),
        bytes(|| all(1, receiver.clone())),
    ];
    Measured { figures, note: None }
}

pub fn of_futures() -> Measured {
    use self::futures::{all, boxed, buffer, child, empty, message, sleeping, turns};

    let (_sender, receiver) = async_channel::unbounded();
    let figures = vec![
        bytes(|| boxed(empty())),
        bytes(|| boxed(turns(1))),
        bytes(|| boxed(child(1))),
        bytes(|| boxed(sleeping())),
        bytes(|| boxed(message(receiver.clone()))),
        bytes(|| boxed(buffer(1))),
        bytes(|| boxed(all(1, receiver.clone()))),
    ];
    Measured { figures, note: None }
}

mod coroutines {
    use tinyield::channel::Receiver;
    use tinyield::{Coro, coro, sleep};

    use super::{LONG, black_box};

    #[coro]
    pub fn empty() -> Coro<()> {}

    #[coro]
    pub fn turns(i: u64) -> Coro<u64> {
        yield;
        yield;
        yield;
        black_box(i)
    }

    #[coro]
    pub fn child(i: u64) -> Coro<u64> {
        (yield turns(i)) + i
    }

    #[coro]
    pub fn sleeping() -> Coro<()> {
        yield sleep(LONG);
    }

    #[coro]
    pub fn message(receiver: Receiver<u64>) -> Coro<u64> {
        (yield receiver.recv())?
    }

    #[coro]
    pub fn buffer(i: u8) -> Coro<u8> {
        let mut buffer = [i; 1024];
        black_box(&mut buffer);
        yield;
        black_box(&mut buffer)[0]
    }

    #[coro]
    pub fn all(i: u64, receiver: Receiver<u64>) -> Coro<u64> {
        yield;
        let of_child = yield turns(i);
        yield sleep(LONG);
        (yield receiver.recv())? + of_child
    }
}

/// The leaves are those of smol. A child is part of the frame.
mod futures {
    use std::pin::Pin;

    use async_channel::Receiver;
    use async_io::Timer;
    use futures_lite::future::yield_now;

    use super::{LONG, black_box};

    pub fn boxed<T>(body: impl Future<Output = T> + 'static) -> Pin<Box<dyn Future<Output = T>>> {
        Box::pin(body)
    }

    pub async fn empty() {}

    pub async fn turns(i: u64) -> u64 {
        yield_now().await;
        yield_now().await;
        yield_now().await;
        black_box(i)
    }

    pub async fn child(i: u64) -> u64 {
        turns(i).await + i
    }

    pub async fn sleeping() {
        Timer::after(LONG).await;
    }

    pub async fn message(receiver: Receiver<u64>) -> u64 {
        receiver.recv().await.expect("the sender is there")
    }

    pub async fn buffer(i: u8) -> u8 {
        let mut buffer = [i; 1024];
        black_box(&mut buffer);
        yield_now().await;
        black_box(&mut buffer)[0]
    }

    pub async fn all(i: u64, receiver: Receiver<u64>) -> u64 {
        yield_now().await;
        let of_child = turns(i).await;
        Timer::after(LONG).await;
        receiver.recv().await.expect("the sender is there") + of_child
    }
}
