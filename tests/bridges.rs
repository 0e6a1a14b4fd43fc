//! Loops as futures of each host: smol, async-std and tokio. The tests are the same for all of them.
#![cfg(any(feature = "smol", feature = "async-std", feature = "tokio"))]
#![feature(coroutines)]
#![allow(clippy::duplicate_mod)]

mod common;

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

/// Counts how often a future is polled.
async fn counting_polls<F: Future>(polls: &Cell<usize>, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|context| {
        polls.set(polls.get() + 1);
        future.as_mut().poll(context)
    })
    .await
}

async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_fn(|context| Poll::Ready(Pin::new(&mut *future).poll(context))).await
}

#[cfg(feature = "smol")]
#[path = "."]
mod in_smol {
    mod host {
        use std::time::Duration;

        pub use smol::block_on;
        pub use smol::future::yield_now;
        pub use smol::spawn as host_spawn;
        pub use tinyield::bridge::ToSmolWith as HostedWith;
        pub use tinyield::{from_smol as from_host, to_smol as to_host, to_smol_with as to_host_with};

        pub const TO_HOST: &str = "to_smol";

        /// Calls `f` where futures of the host can be polled by hand.
        pub fn in_context<R>(f: impl FnOnce() -> R) -> R {
            f()
        }

        pub async fn timer(duration: Duration) {
            smol::Timer::after(duration).await;
        }

        /// Runs `future` on this thread, with `other` as another task, until both have ended.
        pub fn run_beside<F: Future>(other: impl Future<Output = ()> + 'static, future: F) -> F::Output {
            let executor = smol::LocalExecutor::new();
            let other = executor.spawn(other);
            smol::block_on(executor.run(async {
                let output = future.await;
                other.await;
                output
            }))
        }
    }

    #[path = "bridges/cases.rs"]
    mod cases;
}

#[cfg(feature = "async-std")]
#[path = "."]
mod in_async_std {
    mod host {
        use async_std::task;

        pub use async_std::task::sleep as timer;
        pub use async_std::task::{block_on, spawn as host_spawn, yield_now};
        pub use tinyield::bridge::ToAsyncStdWith as HostedWith;
        pub use tinyield::{from_async_std as from_host, to_async_std as to_host, to_async_std_with as to_host_with};

        pub const TO_HOST: &str = "to_async_std";

        /// Calls `f` where futures of the host can be polled by hand.
        pub fn in_context<R>(f: impl FnOnce() -> R) -> R {
            f()
        }

        /// Runs `future` on this thread, with `other` as another task, until both have ended.
        pub fn run_beside<F: Future>(other: impl Future<Output = ()> + 'static, future: F) -> F::Output {
            let executor = smol::LocalExecutor::new();
            let other = executor.spawn(other);
            task::block_on(executor.run(async {
                let output = future.await;
                other.await;
                output
            }))
        }
    }

    #[path = "bridges/cases.rs"]
    mod cases;
}

#[cfg(feature = "tokio")]
#[path = "."]
mod in_tokio {
    mod host {
        use std::sync::LazyLock;

        use tokio::runtime::{Builder, Runtime};
        use tokio::task::{LocalSet, spawn_local};

        pub use tinyield::bridge::ToTokioWith as HostedWith;
        pub use tinyield::{from_tokio as from_host, to_tokio as to_host, to_tokio_with as to_host_with};
        pub use tokio::task::yield_now;
        pub use tokio::time::sleep as timer;

        pub const TO_HOST: &str = "to_tokio";

        thread_local! {
            static HERE: Runtime = Builder::new_current_thread().enable_all().build().unwrap();
        }

        static THREADS: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

        /// Calls `f` where futures of the host can be polled by hand.
        pub fn in_context<R>(f: impl FnOnce() -> R) -> R {
            HERE.with(|runtime| {
                let _entered = runtime.enter();
                f()
            })
        }

        pub fn block_on<F: Future>(future: F) -> F::Output {
            HERE.with(|runtime| runtime.block_on(future))
        }

        pub fn host_spawn<F: Future<Output: Send> + Send + 'static>(future: F) -> impl Future<Output = F::Output> {
            let handle = THREADS.spawn(future);
            async { handle.await.unwrap() }
        }

        /// Runs `future` on this thread, with `other` as another task, until both have ended.
        pub fn run_beside<F: Future>(other: impl Future<Output = ()> + 'static, future: F) -> F::Output {
            HERE.with(|runtime| {
                LocalSet::new().block_on(runtime, async {
                    let other = spawn_local(other);
                    let output = future.await;
                    other.await.unwrap();
                    output
                })
            })
        }
    }

    #[path = "bridges/cases.rs"]
    mod cases;
}
