//! Records the turns of a data loader, and writes them as a trace for Perfetto.
//!
//! ```text
//! cargo run --release --example timeline -- timeline.pftrace
//! ```
#![feature(coroutines)]

use std::env;
use std::fs::File;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use tinyield::{Coro, Loop, Recorder, Semaphore, ThreadPool, coro};

/// Waits for a place in memory. Then loads an item on a thread, and decodes it on the loop.
#[coro]
fn item(number: u64, pool: ThreadPool, memory: Semaphore) -> Coro<u64> {
    let _place = yield memory.acquire();
    let read = yield pool.run_in_thread(move || {
        thread::sleep(Duration::from_millis(2 + number % 5));
        number
    });
    yield decode(read)
}

#[coro]
fn decode(read: u64) -> Coro<u64> {
    yield;
    read * read
}

#[coro]
fn load() -> Coro<u64> {
    let (pool, memory) = (ThreadPool::new(4), Semaphore::new(6));
    let items: Vec<_> = (0..40).map(|number| item(number, pool.clone(), memory.clone())).collect();
    (yield items).iter().sum()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = env::args_os().nth(1).map_or_else(|| env::temp_dir().join("tinyield.pftrace"), PathBuf::from);
    let recorder = Recorder::last(1_000_000);
    let sum: u64 = Loop::builder().record(&recorder).build().run(load())?;
    assert_eq!(sum, (0..40).map(|number| number * number).sum::<u64>());

    recorder.write_perfetto(File::create(&path)?)?;
    let recorded = recorder.recorded();
    println!(
        "coroutines: {}, turns: {}, wakes: {}, ends: {}",
        recorded.coroutines, recorded.turns, recorded.wakes, recorded.ends
    );
    println!("open {} in https://ui.perfetto.dev", path.display());
    Ok(())
}
