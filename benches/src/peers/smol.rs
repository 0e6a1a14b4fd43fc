//! smol: a `LocalExecutor`, and the faster form that is leaked.

use std::time::Duration;

use async_executor::{LocalExecutor, StaticLocalExecutor, Task};
use async_io::Timer;
use futures_lite::{FutureExt, future};

use super::{Connected, Peer, Timed};

#[derive(Clone, Copy)]
pub struct Smol(&'static LocalExecutor<'static>);

#[derive(Clone, Copy)]
pub struct SmolStatic(&'static StaticLocalExecutor);

impl Smol {
    fn new() -> Self {
        Self(Box::leak(Box::new(LocalExecutor::new())))
    }
}

impl Peer for Smol {
    type Handle<T: 'static> = Task<T>;

    fn run<T: 'static, F: Future<Output = T> + 'static>(main: impl FnOnce(Self) -> F) -> T {
        let smol = Self::new();
        future::block_on(smol.0.run(smol.0.spawn(main(smol))))
    }

    fn spawn<T: 'static>(&self, task: impl Future<Output = T> + 'static) -> Task<T> {
        self.0.spawn(task)
    }

    fn detach(&self, task: impl Future<Output = ()> + 'static) {
        self.0.spawn(task).detach();
    }
}

impl Peer for SmolStatic {
    type Handle<T: 'static> = Task<T>;

    fn run<T: 'static, F: Future<Output = T> + 'static>(main: impl FnOnce(Self) -> F) -> T {
        let smol = Self(LocalExecutor::new().leak());
        future::block_on(smol.0.run(smol.0.spawn(main(smol))))
    }

    fn spawn<T: 'static>(&self, task: impl Future<Output = T> + 'static) -> Task<T> {
        self.0.spawn(task)
    }

    fn detach(&self, task: impl Future<Output = ()> + 'static) {
        self.0.spawn(task).detach();
    }
}

impl Timed for Smol {
    fn run_timed<T: 'static, F: Future<Output = T> + 'static>(main: impl FnOnce(Self) -> F) -> T {
        let smol = Self::new();
        async_io::block_on(smol.0.run(smol.0.spawn(main(smol))))
    }

    async fn sleep(&self, time: Duration) {
        Timer::after(time).await;
    }

    fn timeout<T>(&self, limit: Duration, future: impl Future<Output = T>) -> impl Future<Output = Option<T>> {
        timeout(limit, future)
    }
}

impl Timed for SmolStatic {
    fn run_timed<T: 'static, F: Future<Output = T> + 'static>(main: impl FnOnce(Self) -> F) -> T {
        let smol = Self(LocalExecutor::new().leak());
        async_io::block_on(smol.0.run(smol.0.spawn(main(smol))))
    }

    async fn sleep(&self, time: Duration) {
        Timer::after(time).await;
    }

    fn timeout<T>(&self, limit: Duration, future: impl Future<Output = T>) -> impl Future<Output = Option<T>> {
        timeout(limit, future)
    }
}

impl Connected for Smol {
    fn run_connected<T: 'static, F: Future<Output = T> + 'static>(main: impl FnOnce(Self) -> F) -> T {
        Self::run_timed(main)
    }
}

impl Connected for SmolStatic {
    fn run_connected<T: 'static, F: Future<Output = T> + 'static>(main: impl FnOnce(Self) -> F) -> T {
        Self::run_timed(main)
    }
}

/// smol has no `timeout`. Its manual builds one with `or`.
fn timeout<T>(limit: Duration, future: impl Future<Output = T>) -> impl Future<Output = Option<T>> {
    let late = async move {
        Timer::after(limit).await;
        None
    };
    async { Some(future.await) }.or(late)
}
