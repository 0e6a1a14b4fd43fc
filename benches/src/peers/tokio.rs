//! tokio on one thread: a `LocalSet` on a current-thread runtime, and a `LocalRuntime`.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::task::{JoinHandle, LocalSet, spawn_local};

use super::{Connected, Peer, Timed};

#[derive(Clone, Copy)]
pub struct TokioLocalSet;

#[derive(Clone, Copy)]
pub struct TokioLocalRuntime;

/// A `JoinHandle` whose task does not fail.
pub struct Joined<T>(JoinHandle<T>);

impl<T> Future for Joined<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        Poll::Ready(ready!(Pin::new(&mut self.0).poll(context)).expect("the task ends"))
    }
}

fn in_local_set<T: 'static>(builder: &mut Builder, main: impl Future<Output = T> + 'static) -> T {
    let runtime = builder.build().expect("a runtime");
    LocalSet::new().block_on(&runtime, async { spawn_local(main).await.expect("the task ends") })
}

fn in_local_runtime<T: 'static>(builder: &mut Builder, main: impl Future<Output = T> + 'static) -> T {
    let runtime = builder.build_local(LocalOptions::default()).expect("a runtime");
    runtime.block_on(async { spawn_local(main).await.expect("the task ends") })
}

macro_rules! peer {
    ($name:ident, $run:ident) => {
        impl Peer for $name {
            type Handle<T: 'static> = Joined<T>;

            fn run<T: 'static, F: Future<Output = T> + 'static>(main: impl FnOnce(Self) -> F) -> T {
                $run(&mut Builder::new_current_thread(), main($name))
            }

            fn spawn<T: 'static>(&self, task: impl Future<Output = T> + 'static) -> Joined<T> {
                Joined(spawn_local(task))
            }

            fn detach(&self, task: impl Future<Output = ()> + 'static) {
                spawn_local(task);
            }
        }

        impl Timed for $name {
            fn run_timed<T: 'static, F: Future<Output = T> + 'static>(main: impl FnOnce(Self) -> F) -> T {
                $run(Builder::new_current_thread().enable_time(), main($name))
            }

            fn sleep(&self, time: Duration) -> impl Future<Output = ()> {
                tokio::time::sleep(time)
            }

            async fn timeout<T>(&self, limit: Duration, future: impl Future<Output = T>) -> Option<T> {
                tokio::time::timeout(limit, future).await.ok()
            }
        }

        impl Connected for $name {
            fn run_connected<T: 'static, F: Future<Output = T> + 'static>(main: impl FnOnce(Self) -> F) -> T {
                $run(Builder::new_current_thread().enable_io(), main($name))
            }
        }
    };
}

peer!(TokioLocalSet, in_local_set);
peer!(TokioLocalRuntime, in_local_runtime);
