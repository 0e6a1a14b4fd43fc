//! The pools of the peers for blocking work. The number of threads matters, so it is in the name if
//! it is not the peer's default.

use std::hint::black_box;
use std::time::Instant;

use futures::executor::ThreadPool;
use futures::task::SpawnExt;
use monoio::blocking::DefaultThreadPool;
use tokio::runtime::{Builder, LocalOptions};
use tokio::task::spawn_local;

use super::{CLOSURES, FLIGHT, FLIGHTS};
use crate::harness::Measured;
use crate::peers::{self, Peer};

pub trait Pool: 'static {
    /// Runs a task on the runtime that the pool belongs to.
    fn run<T: 'static>(&self, main: impl Future<Output = T> + 'static) -> T;

    /// Starts a closure that returns the number.
    fn start(number: u64) -> impl Future<Output = u64> + 'static;
}

pub fn one_at_a_time<P: Pool>(pool: &P) -> Measured {
    pool.run(async {
        let mut begin = Instant::now();
        for i in 0..2 * CLOSURES {
            if i == CLOSURES {
                begin = Instant::now();
            }
            assert_eq!(P::start(i).await, i);
        }
        Measured::one(begin.elapsed().as_secs_f64() * 1e6 / CLOSURES as f64)
    })
}

pub fn in_flight<P: Pool>(pool: &P) -> Measured {
    pool.run(async {
        let mut begin = Instant::now();
        for i in 0..2 * FLIGHTS {
            if i == FLIGHTS {
                begin = Instant::now();
            }
            let flight: Vec<_> = (0..FLIGHT).map(P::start).collect();
            let mut sum = 0;
            for closure in flight {
                sum += closure.await;
            }
            assert_eq!(sum, FLIGHT * (FLIGHT - 1) / 2);
        }
        Measured::one(begin.elapsed().as_secs_f64() * 1e6 / (FLIGHTS * FLIGHT) as f64)
    })
}

/// The `blocking` crate, whose pool belongs to the process.
pub struct Smol;

impl Pool for Smol {
    fn run<T: 'static>(&self, main: impl Future<Output = T> + 'static) -> T {
        peers::Smol::run(|_| main)
    }

    fn start(number: u64) -> impl Future<Output = u64> + 'static {
        blocking::unblock(move || black_box(number))
    }
}

pub struct TokioLocalSet;

impl Pool for TokioLocalSet {
    fn run<T: 'static>(&self, main: impl Future<Output = T> + 'static) -> T {
        peers::TokioLocalSet::run(|_| main)
    }

    fn start(number: u64) -> impl Future<Output = u64> + 'static {
        start_in_tokio(number)
    }
}

/// A `LocalRuntime` with a pool of this size.
pub struct TokioLocalRuntime(pub usize);

/// tokio's default number of threads.
pub const TOKIO_DEFAULT: usize = 512;

impl Pool for TokioLocalRuntime {
    fn run<T: 'static>(&self, main: impl Future<Output = T> + 'static) -> T {
        let mut builder = Builder::new_current_thread();
        let runtime = builder.max_blocking_threads(self.0).build_local(LocalOptions::default()).expect("a runtime");
        runtime.block_on(async { spawn_local(main).await.expect("the task ends") })
    }

    fn start(number: u64) -> impl Future<Output = u64> + 'static {
        start_in_tokio(number)
    }
}

/// Starts the closure now, not when it is awaited.
fn start_in_tokio(number: u64) -> impl Future<Output = u64> + 'static {
    let handle = tokio::task::spawn_blocking(move || black_box(number));
    async { handle.await.expect("the closure ends") }
}

/// A pool of two threads with a `LocalPool`.
pub struct FuturesTwo;

thread_local! {
    static FUTURES_TWO: ThreadPool = ThreadPool::builder().pool_size(2).create().expect("two threads");
}

impl Pool for FuturesTwo {
    fn run<T: 'static>(&self, main: impl Future<Output = T> + 'static) -> T {
        peers::LocalPool::run(|_| main)
    }

    fn start(number: u64) -> impl Future<Output = u64> + 'static {
        FUTURES_TWO.with(|pool| pool.spawn_with_handle(async move { black_box(number) }).expect("the pool is there"))
    }
}

/// A pool of two threads, because monoio has none by default.
pub struct MonoioTwo;

impl Pool for MonoioTwo {
    fn run<T: 'static>(&self, main: impl Future<Output = T> + 'static) -> T {
        let builder = monoio::RuntimeBuilder::<monoio::FusionDriver>::new();
        let builder = builder.attach_thread_pool(Box::new(DefaultThreadPool::new(2)));
        builder.build().expect("a runtime").block_on(async { monoio::spawn(main).await })
    }

    fn start(number: u64) -> impl Future<Output = u64> + 'static {
        let handle = monoio::spawn_blocking(move || black_box(number));
        async { handle.await.expect("the closure ends") }
    }
}

/// A pool of this size.
pub struct Compio(pub usize);

/// compio's default number of threads.
pub const COMPIO_DEFAULT: usize = 256;

impl Pool for Compio {
    fn run<T: 'static>(&self, main: impl Future<Output = T> + 'static) -> T {
        let mut proactor = compio::driver::ProactorBuilder::new();
        proactor.thread_pool_limit(self.0);
        let runtime = compio::runtime::RuntimeBuilder::new().with_proactor(proactor).build().expect("a runtime");
        runtime.block_on(async { compio::runtime::spawn(main).await.expect("the task ends") })
    }

    fn start(number: u64) -> impl Future<Output = u64> + 'static {
        let handle = compio::runtime::spawn_blocking(move || black_box(number));
        async { handle.await.expect("the closure ends") }
    }
}
