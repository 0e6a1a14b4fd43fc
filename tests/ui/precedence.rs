#![feature(coroutines)]
use std::time::Duration;
use tinyield::{Coro, coro, sleep, timeout};

#[coro]
fn n() -> Coro<i32> {
    1
}

#[coro]
fn question() -> Coro<i32> {
    yield timeout(n(), Duration::MAX)?
}

#[coro]
fn sum() -> Coro<i32> {
    yield n() + 1
}

#[coro]
fn comparison() -> Coro<bool> {
    yield n() == 1 && true
}

#[coro]
fn cast() -> Coro<i64> {
    yield n() as i64
}

#[coro]
fn nap() -> Coro<()> {
    sleep(Duration::MAX).await;
}

#[coro]
fn join() -> Coro<()> {
    let _both = futures::join!(async {}, async {});
}

#[coro]
fn select() -> Coro<()> {
    tokio::select! {
        _ = async {} => {}
    }
}

#[coro]
fn sent(jobs: tinyield::sync::channel::Sender<u32>) -> Coro<()> {
    for job in 0..3 {
        yield jobs.send(job)?;
    }
    let _sent = yield jobs.send(1)?;
}

fn main() {}
