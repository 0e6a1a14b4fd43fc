//! The smallest runtime of each peer, without drivers where possible. It runs a future that starts a task and awaits it.

use std::hint::black_box;

use async_executor::LocalExecutor;
use futures::task::LocalSpawnExt;
use futures_lite::future::block_on;
use tokio::runtime::{Builder, LocalOptions};
use tokio::task::{LocalSet, spawn_local};

use super::LOOPS;
use crate::harness::{Measured, per_op};

fn loops(run: impl Fn(u64) -> u64) -> Measured {
    per_op(LOOPS, || (0..LOOPS).for_each(|i| assert_eq!(run(i), i)))
}

async fn child(i: u64) -> u64 {
    black_box(i)
}

pub fn smol() -> Measured {
    loops(|i| {
        let executor = LocalExecutor::new();
        let main = async { executor.spawn(child(i)).await };
        block_on(executor.run(main))
    })
}

pub fn tokio_local_set() -> Measured {
    loops(|i| {
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        LocalSet::new().block_on(&runtime, async { spawn_local(child(i)).await.expect("the task ends") })
    })
}

pub fn tokio_local_runtime() -> Measured {
    loops(|i| {
        let runtime = Builder::new_current_thread().build_local(LocalOptions::default()).expect("a runtime");
        runtime.block_on(async { spawn_local(child(i)).await.expect("the task ends") })
    })
}

pub fn local_pool() -> Measured {
    loops(|i| {
        let mut pool = futures::executor::LocalPool::new();
        let spawner = pool.spawner();
        pool.run_until(async { spawner.spawn_local_with_handle(child(i)).expect("the pool is there").await })
    })
}

pub fn monoio() -> Measured {
    loops(|i| {
        let builder = monoio::RuntimeBuilder::<monoio::FusionDriver>::new();
        builder.build().expect("a runtime").block_on(async { monoio::spawn(child(i)).await })
    })
}

pub fn compio() -> Measured {
    loops(|i| {
        let runtime = compio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async { compio::runtime::spawn(child(i)).await.expect("the task ends") })
    })
}
