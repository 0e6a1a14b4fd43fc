//! The smallest runtime of each peer, without drivers where possible, and a task that it runs itself.

use std::hint::black_box;

use async_executor::LocalExecutor;
use futures::executor::LocalPool;
use futures_lite::future::block_on;
use tokio::runtime::{Builder, LocalOptions};
use tokio::task::LocalSet;

use super::LOOPS;
use crate::harness::{Measured, per_op};

fn loops(run: impl Fn(u64) -> u64) -> Measured {
    per_op(LOOPS, || (0..LOOPS).for_each(|i| assert_eq!(run(i), i)))
}

pub fn smol() -> Measured {
    loops(|i| {
        let executor = LocalExecutor::new();
        block_on(executor.run(async { black_box(i) }))
    })
}

pub fn tokio_local_set() -> Measured {
    loops(|i| {
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        LocalSet::new().block_on(&runtime, async { black_box(i) })
    })
}

pub fn tokio_local_runtime() -> Measured {
    loops(|i| {
        let runtime = Builder::new_current_thread().build_local(LocalOptions::default()).expect("a runtime");
        runtime.block_on(async { black_box(i) })
    })
}

pub fn local_pool() -> Measured {
    loops(|i| LocalPool::new().run_until(async { black_box(i) }))
}

pub fn monoio() -> Measured {
    loops(|i| {
        let builder = monoio::RuntimeBuilder::<monoio::FusionDriver>::new();
        builder.build().expect("a runtime").block_on(async move { black_box(i) })
    })
}

pub fn compio() -> Measured {
    loops(|i| compio::runtime::Runtime::new().expect("a runtime").block_on(async { black_box(i) }))
}
