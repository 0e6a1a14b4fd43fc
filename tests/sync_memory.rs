//! Waiters that give up leave nothing behind: a million of them keep memory flat.
#![feature(coroutines)]

use std::time::Duration;

use tinyield::channel::bounded;
use tinyield::{Coro, Event, Loop, Semaphore, Wait, co, coro, timeout};

const MILLION: usize = 1_000_000;

/// The pages that the process has in memory.
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

/// Runs it a little first, so that what is needed once is there.
fn assert_flat<W: Wait>(what: &str, count: usize, wait: impl Fn() -> W + Clone + 'static) {
    Loop::new().run(many_times(10_000, wait.clone())).unwrap();
    let before = resident_pages();
    Loop::new().run(many_times(count, wait)).unwrap();
    let grown = resident_pages().saturating_sub(before);
    // A page is 4 KiB. Were a word left behind by each wait, it would be a page for 512 of them.
    assert!(grown < 64 + count / 5000, "{what}: {grown} pages more");
}

// One test, as others on other threads would be measured with it.
#[test]
fn a_million_waits_that_give_up_keep_memory_flat() {
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
    assert_flat("a limit that runs out, and remote handles", MILLION / 10, {
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
