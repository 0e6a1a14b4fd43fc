//! Cancelled and timed-out waits leave nothing behind: memory stays flat over a million of them.
#![feature(coroutines)]

use std::time::Duration;

use tinyield::channel::bounded;
use tinyield::{Coro, Event, Loop, Semaphore, Wait, co, coro, timeout};

const MILLION: usize = 1_000_000;

/// The number of pages that the process has in memory.
fn resident_pages() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[coro]
fn many_times<W: Wait>(count: usize, wait: impl Fn() -> W + 'static) -> Coro<()> {
    for _ in 0..count {
        yield wait();
    }
}

/// Repeats a wait, and checks that memory does not grow. Runs some of them first, so that memory that is allocated only
/// once is not counted.
fn assert_flat<W: Wait>(what: &str, count: usize, wait: impl Fn() -> W + Clone + 'static) {
    Loop::new().run(many_times(10_000, wait.clone())).unwrap();
    let before = resident_pages();
    Loop::new().run(many_times(count, wait)).unwrap();
    let grown = resident_pages().saturating_sub(before);
    // A page is 4 KiB: if each wait left a word behind, 512 waits would fill a page.
    assert!(grown < 64 + count / 5000, "{what}: {grown} more pages");
}

// One test, because tests on other threads would be measured too.
#[test]
fn memory_stays_flat_over_a_million_waits_that_give_up() {
    let event = Event::new();
    assert_flat("a limit that runs out", MILLION, {
        let event = event.clone();
        move || event.wait_timeout(Duration::ZERO)
    });
    assert_flat("a limit that never runs out", MILLION / 10, {
        let event = event.clone();
        move || {
            let setter = event.clone();
            (event.wait_timeout(Duration::from_secs(3600)), co! { setter.set(); setter.clear(); })
        }
    });
    assert_eq!(event.statistics().waiting, 0);

    let _remote = event.remote();
    assert_flat("a limit that runs out, with a remote handle", MILLION / 10, {
        let event = event.clone();
        move || event.wait_timeout(Duration::ZERO)
    });

    let semaphore = Semaphore::new(1);
    let permit = semaphore.try_acquire();
    assert_flat("cancelled acquires", MILLION, {
        let semaphore = semaphore.clone();
        move || timeout(semaphore.acquire(), Duration::ZERO)
    });
    assert_eq!(semaphore.statistics().waiting, 0);
    drop(permit);
    assert_eq!(semaphore.available(), 1);

    let (sender, receiver) = bounded::<u32>(1);
    assert_flat("cancelled receives", MILLION / 10, move || timeout(receiver.recv(), Duration::ZERO));
    drop(sender);
}
