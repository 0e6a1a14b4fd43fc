//! A data loader: 16 threads run slow transforms, and each result is used as soon as it is ready.
//!
//! On a terminal it draws a progress bar.
#![feature(coroutines)]

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tinyield::{Coro, Loop, ThreadPool, as_completed, coro};

const ITEMS: u64 = 100;
const THREADS: usize = 16;

static RUNNING: AtomicUsize = AtomicUsize::new(0);
static MAX_RUNNING: AtomicUsize = AtomicUsize::new(0);

/// From 50 to 248 ms, so that the results arrive in another order than the items.
fn delay(item: u64) -> Duration {
    Duration::from_millis(50 + item * 37 % 100 * 2)
}

/// Blocks, as reading and decoding a file would.
fn slow_transform(item: u64) -> u64 {
    MAX_RUNNING.fetch_max(RUNNING.fetch_add(1, SeqCst) + 1, SeqCst);
    thread::sleep(delay(item));
    RUNNING.fetch_sub(1, SeqCst);
    item * item
}

#[coro]
fn load(bar: ProgressBar) -> Coro<Vec<u64>> {
    let pool = ThreadPool::new(THREADS);
    let mut loaded = Vec::new();
    for next in yield as_completed((0..ITEMS).map(|item| pool.run_in_thread(move || slow_transform(item)))) {
        loaded.push(yield next);
        bar.inc(1);
    }
    loaded
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let start = Instant::now();
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} after {elapsed}, {eta} left")?;
    let bar = ProgressBar::new(ITEMS).with_style(style);
    let mut loaded = Loop::new().run(load(bar.clone()))?;
    let elapsed = start.elapsed();
    bar.finish_and_clear();

    let sequential: Duration = (0..ITEMS).map(delay).sum();
    println!(
        "{} transforms took {:.1} s; one after the other they take {:.1} s",
        loaded.len(),
        elapsed.as_secs_f64(),
        sequential.as_secs_f64()
    );
    println!("the first results: {:?}", &loaded[..8]);

    let squares: Vec<_> = (0..ITEMS).map(|item| item * item).collect();
    assert_ne!(loaded, squares, "results arrive in order of completion, not in the order of the items");
    loaded.sort_unstable();
    assert_eq!(loaded, squares);
    let max_running = MAX_RUNNING.load(SeqCst);
    println!("at most {max_running} ran at once; each result arrived exactly once");
    assert!(max_running <= THREADS);
    Ok(())
}
