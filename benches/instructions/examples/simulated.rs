//! Measures the cost of simulated time: `cargo run --release --example simulated`. With the argument `threads`, it also runs a thousand
//! timeouts of 1 ms, each around 50 ms of work on a thread. All of this work has to be in time. This takes 50 s.

#![feature(coroutines)]

use std::time::{Duration, Instant};

use tinyield::{Coro, Loop, coro, now, run_in_thread, sleep, sleep_until, timeout};

const DAY: Duration = Duration::from_hours(24);

#[coro]
fn sleeper(first: u64, sleeps: u64) -> Coro<()> {
    for number in first..first + sleeps {
        // Microseconds up to an hour, without an order.
        yield sleep(Duration::from_micros(number * 2_654_435_761 % 3_600_000_000));
    }
}

/// Ticks each minute for three years.
#[coro]
fn ticker() -> Coro<u64> {
    let start = yield now();
    let mut ticks = 0;
    let mut next = start;
    while next < start + 3 * 365 * DAY {
        next += Duration::from_mins(1);
        yield sleep_until(next);
        ticks += 1;
    }
    ticks
}

fn simulated(seed: u64) -> Loop {
    Loop::builder().simulated(seed).build()
}

fn measure(what: &str, limit: Duration, work: impl Fn()) {
    let start = Instant::now();
    work();
    let taken = start.elapsed();
    let verdict = if taken < limit { "" } else { ": TOO LONG" };
    println!("{what}: {:.3} s (limit {:.1} s){verdict}", taken.as_secs_f64(), limit.as_secs_f64());
}

fn main() {
    let limit = Duration::from_millis(300);
    for seed in [0, 1] {
        println!("seed {seed}:");
        measure("1,000,000 sleeps of one coroutine", limit, || simulated(seed).run(sleeper(0, 1_000_000)).unwrap());
        measure("1,000,000 sleeps of 1,000 coroutines", limit, || {
            let all: Vec<_> = (0..1_000).map(|task| sleeper(task * 1_000, 1_000)).collect();
            simulated(seed).run(all).unwrap();
        });
        // Most of this time goes into the start of a million coroutines and into cache misses: each coroutine has a
        // round of its own.
        measure("1,000,000 sleeps of 1,000,000 coroutines", Duration::from_secs(3), || {
            let all: Vec<_> = (0..1_000_000).map(|task| sleeper(task, 1)).collect();
            simulated(seed).run(all).unwrap();
        });
        measure("three years of a minute ticker", Duration::from_secs(1), || {
            assert_eq!(simulated(seed).run(ticker()).unwrap(), 3 * 365 * 24 * 60);
        });
    }
    if std::env::args().nth(1).is_some_and(|argument| argument == "threads") {
        let in_time = (0..1_000).filter(|_| {
            let work = run_in_thread(|| std::thread::sleep(Duration::from_millis(50)));
            simulated(0).run(timeout(work, Duration::from_millis(1))).unwrap().is_ok()
        });
        println!("{} of 1000 timeouts around a thread in time", in_time.count());
    }
}
