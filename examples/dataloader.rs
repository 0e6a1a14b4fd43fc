//! A data loader: slow transforms, 16 at once on threads, and each result is taken as soon as it is there.
//!
//! On a terminal it draws a progress bar, by indicatif.
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
static MOST_AT_ONCE: AtomicUsize = AtomicUsize::new(0);

/// From 50 to 248 ms, so the results come in another order than the items.
fn delay(item: u64) -> Duration {
    Duration::from_millis(50 + item * 37 % 100 * 2)
}

/// Stands for reading a file and decoding it: it blocks.
fn slow_transform(item: u64) -> u64 {
    MOST_AT_ONCE.fetch_max(RUNNING.fetch_add(1, SeqCst) + 1, SeqCst);
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
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} after {elapsed}, {eta} to go")?;
    let bar = ProgressBar::new(ITEMS).with_style(style);
    let mut loaded = Loop::new().run(load(bar.clone()))?;
    let took = start.elapsed();
    bar.finish_and_clear();

    let one_by_one: Duration = (0..ITEMS).map(delay).sum();
    println!(
        "{} transforms, {:.1} s one by one, took {:.1} s",
        loaded.len(),
        one_by_one.as_secs_f64(),
        took.as_secs_f64()
    );
    println!("the first to come: {:?}", &loaded[..8]);

    let squares: Vec<_> = (0..ITEMS).map(|item| item * item).collect();
    assert_ne!(loaded, squares, "they come as they are completed, not in the order of the items");
    loaded.sort_unstable();
    assert_eq!(loaded, squares);
    let most = MOST_AT_ONCE.load(SeqCst);
    println!("at most {most} at once; each has come, exactly once");
    assert!(most <= THREADS);
    Ok(())
}
