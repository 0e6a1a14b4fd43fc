//! compio, with io_uring if the kernel supports it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use compio::runtime::{JoinHandle, Runtime, spawn};

use super::{Connected, Peer, Timed};

#[derive(Clone, Copy)]
pub struct Compio;

/// A `JoinHandle` whose task does not panic.
pub struct Joined<T>(JoinHandle<T>);

impl<T> Future for Joined<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        Poll::Ready(ready!(Pin::new(&mut self.0).poll(context)).expect("the task ends"))
    }
}

impl Peer for Compio {
    type Handle<T: 'static> = Joined<T>;

    fn run<T: 'static, F: Future<Output = T> + 'static>(main: impl FnOnce(Self) -> F) -> T {
        let runtime = Runtime::new().expect("a runtime");
        runtime.block_on(async { Joined(spawn(main(Self))).await })
    }

    fn spawn<T: 'static>(&self, task: impl Future<Output = T> + 'static) -> Joined<T> {
        Joined(spawn(task))
    }

    fn detach(&self, task: impl Future<Output = ()> + 'static) {
        spawn(task).detach();
    }
}

impl Timed for Compio {
    fn run_timed<T: 'static, F: Future<Output = T> + 'static>(main: impl FnOnce(Self) -> F) -> T {
        Self::run(main)
    }

    async fn sleep(&self, time: Duration) {
        compio::time::sleep(time).await;
    }

    async fn timeout<T>(&self, limit: Duration, future: impl Future<Output = T>) -> Option<T> {
        compio::time::timeout(limit, future).await.ok()
    }
}

impl Connected for Compio {
    fn run_connected<T: 'static, F: Future<Output = T> + 'static>(main: impl FnOnce(Self) -> F) -> T {
        Self::run(main)
    }
}
