//! What a coroutine costs in memory: its frame, beside that of the same `async fn`, and how often it allocates.
#![feature(coroutines)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use tinyield::{Coro, Event, Loop, Wait, co, coro, sleep, timeout};

/// Notes the allocations of this thread: how many there were, and the size of the last.
struct Noting;

thread_local! {
    static LAST: Cell<usize> = const { Cell::new(0) };
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: all is left to the system's allocator; what notes has no allocations of its own.
unsafe impl GlobalAlloc for Noting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = LAST.try_with(|last| last.set(layout.size()));
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
        // SAFETY: by contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: by contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Noting = Noting;

/// The size of the one allocation that making a coroutine takes.
fn size<T: 'static>(make: impl FnOnce() -> Coro<T>) -> usize {
    let before = COUNT.get();
    let coro = make();
    assert_eq!(COUNT.get() - before, 1);
    let size = LAST.get();
    drop(coro);
    size
}

/// The size of the frame alone: that of `empty` is the least there is, one word.
fn frame<T: 'static>(make: impl FnOnce() -> Coro<T>) -> usize {
    size(make) - (size(empty) - 8)
}

#[coro]
fn empty() -> Coro<()> {}

#[coro]
fn one_turn() -> Coro<()> {
    yield;
}

#[coro]
fn ten_turns() -> Coro<()> {
    yield;
    yield;
    yield;
    yield;
    yield;
    yield;
    yield;
    yield;
    yield;
    yield;
}

#[coro]
fn counts(n: u64) -> Coro<u64> {
    let mut sum = 0;
    for x in 0..n {
        yield;
        sum += x;
    }
    sum
}

async fn counts_async(n: u64) -> u64 {
    let mut sum = 0;
    for x in 0..n {
        std::future::ready(()).await;
        sum += x;
    }
    sum
}

#[coro]
fn child(x: u64) -> Coro<u64> {
    yield;
    x
}

#[coro]
fn waits_for_a_child(x: u64) -> Coro<u64> {
    1 + yield child(x)
}

#[coro]
fn sleeps() -> Coro<()> {
    yield sleep(Duration::from_secs(1));
}

#[coro]
fn awaits(x: u64) -> Coro<u64> {
    std::future::ready(x).await
}

#[coro]
fn holds(bytes: [u8; 1024]) -> Coro<u8> {
    yield;
    bytes[0]
}

#[test]
fn a_coroutine_costs_one_small_allocation() {
    assert!(size(empty) <= 88, "{}", size(empty));
}

#[test]
fn a_turn_costs_no_place_in_the_frame_and_ten_share_theirs() {
    assert_eq!(frame(one_turn), 8);
    assert!(frame(ten_turns) <= 16, "{}", frame(ten_turns));
}

#[test]
fn a_frame_is_no_larger_than_that_of_the_same_async_fn() {
    assert!(frame(|| counts(1)) <= size_of_val(&counts_async(1)), "{}", frame(|| counts(1)));
}

#[test]
fn a_wait_is_all_that_a_frame_holds_while_it_waits() {
    assert!(frame(|| waits_for_a_child(1)) <= 24, "{}", frame(|| waits_for_a_child(1)));
    assert!(frame(sleeps) <= 32, "{}", frame(sleeps));
    assert!(frame(|| awaits(1)) <= 40, "{}", frame(|| awaits(1)));
}

#[test]
fn an_argument_is_held_once() {
    assert!(frame(|| holds([0; 1024])) <= 1024 + 16, "{}", frame(|| holds([0; 1024])));
}

/// How many allocations each of many waits takes, when all has been warmed up.
fn allocations<W: Wait>(make: impl Fn() -> W + 'static) -> f64 {
    const ROUNDS: u32 = 1_000;
    let main = co! {
        for _ in 0..100 {
            let _ = yield make();
        }
        let before = COUNT.get();
        for _ in 0..ROUNDS {
            let _ = yield make();
        }
        COUNT.get() - before
    };
    let count = Loop::new().run(main).unwrap();
    f64::from(u32::try_from(count).unwrap()) / f64::from(ROUNDS)
}

#[test]
fn leaves_that_are_waited_for_alone_allocate_nothing() {
    let set = Event::new();
    set.set();
    assert!(allocations(|| ()) < 0.01);
    assert!(allocations(|| sleep(Duration::ZERO)) < 0.01);
    assert!(allocations(move || set.wait()) < 0.01);
    let event = Event::new();
    // An event that is not set yet: set by one who is awake then.
    let turns = allocations(move || {
        event.clear();
        let wait = event.wait();
        event.set();
        wait
    });
    assert!(turns < 0.01, "{turns}");
}

#[test]
fn a_child_is_one_allocation() {
    let child = allocations(|| child(1));
    assert!((1.0..1.01).contains(&child), "{child}");
}

#[test]
fn a_timeout_is_a_few_allocations() {
    let limited = allocations(|| timeout(child(1), Duration::from_secs(60)));
    assert!(limited <= 5.0, "{limited}");
}

#[test]
fn awaiting_again_and_again_allocates_nothing() {
    let main = co! {
        let mut before = 0;
        for round in 0..1_100 {
            let mut woken = false;
            std::future::poll_fn(|context| {
                if woken {
                    return std::task::Poll::Ready(());
                }
                woken = true;
                context.waker().wake_by_ref();
                std::task::Poll::Pending
            })
            .await;
            if round == 100 {
                before = COUNT.get();
            }
        }
        COUNT.get() - before
    };
    let count = Loop::new().run(main).unwrap();
    // What has come in from outside is kept in a list, which is handed over whole.
    assert!(count <= 1_010, "{count}");
}
