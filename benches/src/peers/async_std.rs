//! async-std: the local tasks of a thread.

use std::time::Duration;

use async_std::task::{self, JoinHandle};

use super::{Connected, Peer, Timed};

#[derive(Clone, Copy)]
pub struct AsyncStd;

impl Peer for AsyncStd {
    type Handle<T: 'static> = JoinHandle<T>;

    fn run<T: 'static, F: Future<Output = T> + 'static>(main: impl FnOnce(Self) -> F) -> T {
        task::block_on(task::spawn_local(main(Self)))
    }

    fn spawn<T: 'static>(&self, task: impl Future<Output = T> + 'static) -> JoinHandle<T> {
        task::spawn_local(task)
    }

    fn detach(&self, task: impl Future<Output = ()> + 'static) {
        task::spawn_local(task);
    }
}

impl Timed for AsyncStd {
    fn run_timed<T: 'static, F: Future<Output = T> + 'static>(main: impl FnOnce(Self) -> F) -> T {
        Self::run(main)
    }

    fn sleep(&self, time: Duration) -> impl Future<Output = ()> {
        task::sleep(time)
    }

    async fn timeout<T>(&self, limit: Duration, future: impl Future<Output = T>) -> Option<T> {
        async_std::future::timeout(limit, future).await.ok()
    }
}

impl Connected for AsyncStd {
    fn run_connected<T: 'static, F: Future<Output = T> + 'static>(main: impl FnOnce(Self) -> F) -> T {
        Self::run(main)
    }
}
