//! The memory of a coroutine: its handle, its header and its frame, compared with the same `async fn`, and the number of its allocations.
//!
//! The sizes of handles are exact. Those of headers and frames are upper bounds, for the nightly of
//! `rust-toolchain.toml`. If one gets smaller, lower the number. `--nocapture` prints them.
#![feature(coroutines)]
#![cfg(target_pointer_width = "64")]

mod common;

#[path = "common/allocations.rs"]
mod allocations;

use std::future::ready;
use std::time::Duration;

use allocations::{count, last_size, live};
use common::wakes_itself;
use tinyield::channel::{Receiver, Sender, bounded};
use tinyield::{
    Barrier, Cancelled, Coro, Error, Event, JoinHandle, Lock, LockGuard, Loop, LoopError, Permit, RemoteEvent,
    Semaphore, Shared, Step, ThreadPool, Wait, catch, co, coro, from_future, isolate, race, run_in_thread, shield,
    sleep, spawn, timeout,
};

/// The size of the one allocation that making a coroutine takes.
fn size<T: 'static>(make: impl FnOnce() -> Coro<T>) -> usize {
    let before = count();
    let coro = make();
    assert_eq!(count() - before, 1);
    let size = last_size();
    drop(coro);
    size
}

/// The size of the frame alone. The smallest frame, that of `empty`, takes one word.
fn frame<T: 'static>(make: impl FnOnce() -> Coro<T>) -> usize {
    size(make) - (size(empty) - 8)
}

/// Asserts the size in bytes, and prints it.
#[track_caller]
fn at_most(bound: usize, what: &str, size: usize) {
    println!("{what}: {size} bytes, at most {bound}");
    assert!(size <= bound, "{what} takes {size} bytes, not {bound}");
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
fn child(x: u64) -> Coro<u64> {
    yield;
    x
}

#[test]
fn coroutine_is_one_allocation_with_a_small_header() {
    // The empty body takes a word.
    at_most(64, "header", size(empty) - 8);
}

#[test]
fn any_number_of_turns_takes_one_word_of_the_frame() {
    at_most(8, "one turn", frame(one_turn));
    at_most(8, "ten turns", frame(ten_turns));
}

#[test]
fn frame_holds_nothing_but_its_wait() {
    let (event, semaphore, lock, barrier) = (Event::new(), Semaphore::new(1), Lock::new(1), Barrier::new(1));
    let limited = event.clone();
    let (sender, receiver) = bounded(1);
    let second = Duration::from_secs(1);
    at_most(16, "a child", frame(|| co! { yield child(1) }));
    at_most(24, "a gather of two", frame(|| co! { yield (child(1), child(2)) }));
    at_most(32, "a gather of many", frame(|| co! { yield vec![child(1), child(2)] }));
    at_most(24, "spawn", frame(|| co! { drop(yield spawn(child(1))); }));
    at_most(32, "sleep", frame(|| co! { yield sleep(Duration::from_secs(1)); }));
    at_most(72, "timeout", frame(|| co! { yield timeout(child(1), second) }));
    at_most(40, "race", frame(|| co! { yield race([child(1), child(2)]) }));
    at_most(32, "isolate", frame(|| co! { yield isolate(child(1)) }));
    at_most(24, "shield", frame(|| co! { yield shield(child(1)) }));
    at_most(16, "catch", frame(|| co! { yield catch(child(1)) }));
    at_most(40, "event", frame(|| co! { yield event.wait(); }));
    at_most(72, "event with a limit", frame(|| co! { yield limited.wait_timeout(second) }));
    at_most(32, "semaphore", frame(|| co! { drop(yield semaphore.acquire()); }));
    at_most(48, "lock", frame(|| co! { drop(yield lock.acquire()); }));
    at_most(56, "barrier", frame(|| co! { yield barrier.wait() }));
    at_most(40, "send", frame(|| co! { yield sender.send(1_u64) }));
    at_most(40, "receive", frame(|| co! { yield receiver.recv() }));
    at_most(32, "a future", frame(|| co! { std::future::ready(1_u64).await }));
    at_most(80, "from_future", frame(|| from_future(std::future::ready(1_u64))));
    at_most(72, "run_in_thread", frame(|| run_in_thread(|| 1)));
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
        ready(()).await;
        sum += x;
    }
    sum
}

#[coro]
fn awaits(x: u64) -> Coro<u64> {
    let one = ready(x).await;
    let two = ready(x + 1).await;
    one + two
}

async fn awaits_async(x: u64) -> u64 {
    let one = ready(x).await;
    let two = ready(x + 1).await;
    one + two
}

#[coro]
fn holds(bytes: [u8; 1024]) -> Coro<u8> {
    yield;
    bytes[0]
}

async fn holds_async(bytes: [u8; 1024]) -> u8 {
    ready(()).await;
    bytes[0]
}

#[coro]
fn uses_between_turns() -> Coro<u64> {
    yield;
    let sum = [1_u64; 128].iter().sum::<u64>();
    yield;
    sum
}

async fn uses_between_turns_async() -> u64 {
    ready(()).await;
    let sum = [1_u64; 128].iter().sum::<u64>();
    ready(()).await;
    sum
}

#[coro]
fn branches(which: bool) -> Coro<u8> {
    if which {
        let bytes = [1_u8; 512];
        yield;
        bytes[0]
    } else {
        let bytes = [2_u8; 512];
        yield;
        bytes[1]
    }
}

async fn branches_async(which: bool) -> u8 {
    if which {
        let bytes = [1_u8; 512];
        ready(()).await;
        bytes[0]
    } else {
        let bytes = [2_u8; 512];
        ready(()).await;
        bytes[1]
    }
}

/// A child is an allocation of its own for a coroutine, and a part of the frame for an `async fn`.
#[coro]
fn calls(bytes: [u8; 1024]) -> Coro<u8> {
    yield holds(bytes)
}

async fn calls_async(bytes: [u8; 1024]) -> u8 {
    holds_async(bytes).await
}

#[test]
fn frame_is_no_larger_than_that_of_the_same_async_fn() {
    let same = |bound, what: &str, coro: usize, other: usize| {
        println!("{what}: an `async fn` takes {other} bytes");
        at_most(bound, what, coro);
        // A frame on the heap takes whole words.
        assert!(coro <= other.next_multiple_of(8), "{what}: {coro} bytes, those of an `async fn` {other}");
    };
    let bytes = [0; 1024];
    same(48, "a loop", frame(|| counts(1)), size_of_val(&counts_async(1)));
    same(48, "two futures", frame(|| awaits(1)), size_of_val(&awaits_async(1)));
    same(1024 + 8, "an argument", frame(|| holds(bytes)), size_of_val(&holds_async(bytes)));
    same(16, "what is not used across a turn", frame(uses_between_turns), size_of_val(&uses_between_turns_async()));
    same(512 + 8, "one of two branches", frame(|| branches(true)), size_of_val(&branches_async(true)));
    same(1024 + 16, "a child and its argument", frame(|| calls(bytes)), size_of_val(&calls_async(bytes)));
}

/// The number of allocations that one of many equal waits takes, after some to warm up.
fn allocations<W: Wait>(make: impl Fn() -> W + 'static) -> f64 {
    const ROUNDS: u32 = 1_000;
    let main = co! {
        for _ in 0..100 {
            let _ = yield make();
        }
        let before = count();
        for _ in 0..ROUNDS {
            let _ = yield make();
        }
        count() - before
    };
    let count = Loop::new().run(main).unwrap();
    f64::from(u32::try_from(count).unwrap()) / f64::from(ROUNDS)
}

#[test]
fn waiting_for_a_leaf_allocates_nothing() {
    let set = Event::new();
    set.set();
    assert!(allocations(|| ()) < 0.01);
    assert!(allocations(|| sleep(Duration::ZERO)) < 0.01);
    assert!(allocations(move || set.wait()) < 0.01);
    let event = Event::new();
    // An event that is set after the wait was made.
    let turns = allocations(move || {
        event.clear();
        let wait = event.wait();
        event.set();
        wait
    });
    assert!(turns < 0.01, "{turns}");
}

#[test]
fn race_of_two_leaves_allocates_nothing() {
    let never = Event::new();
    let (sender, receiver) = tinyield::channel::unbounded();
    let tuple = allocations(move || {
        sender.try_send(1).unwrap();
        race((never.wait().map(|()| 0), receiver.recv().map(|message| message.unwrap())))
    });
    assert!(tuple < 0.01, "{tuple}");
    let (set, never) = (Event::new(), Event::new());
    set.set();
    let array = allocations(move || race([never.wait(), set.wait()]));
    assert!(array < 0.01, "{array}");
}

/// With `tinyield_plain_memory`, each coroutine is an allocation of its own.
const ALLOCATIONS_OF_A_CHILD: f64 = if cfg!(tinyield_plain_memory) { 1.0 } else { 0.0 };

/// The memory of the child that ended before is used again.
#[test]
fn children_that_start_and_end_in_turn_allocate_nothing() {
    let child = allocations(|| child(1));
    assert!(child < ALLOCATIONS_OF_A_CHILD + 0.01, "{child}");
}

#[test]
fn children_of_a_gather_share_allocations() {
    let children = allocations(|| (0..1000).map(child).collect::<Vec<_>>());
    // The list, and a few chunks of 128 children.
    assert!(children < 1000.0 * ALLOCATIONS_OF_A_CHILD + 20.0, "{children}");
}

#[test]
fn timeout_is_at_most_five_allocations() {
    let limited = allocations(|| timeout(child(1), Duration::from_secs(60)));
    assert!(limited <= 5.0, "{limited}");
}

#[test]
fn awaiting_a_future_that_wakes_itself_allocates_nothing() {
    let main = co! {
        let mut before = 0;
        for round in 0..1_100 {
            wakes_itself(1).await;
            if round == 100 {
                before = count();
            }
        }
        count() - before
    };
    let count = Loop::new().run(main).unwrap();
    assert_eq!(count, 0);
}

#[test]
fn handles_are_thin() {
    // A `Coro` is one pointer, for any type of value. An `Option<Coro>` has the same size.
    assert_eq!(size_of::<Coro<()>>(), 8);
    assert_eq!(size_of::<Coro<[u64; 100]>>(), 8);
    assert_eq!(size_of::<Option<Coro<[u64; 100]>>>(), 8);
    assert_eq!(size_of::<JoinHandle<[u64; 100]>>(), 8);
    // A `Shared` is two pointers: one to the coroutine, and one to a function that clones its value.
    assert_eq!(size_of::<Shared<[u64; 100]>>(), 16);
    assert_eq!(size_of::<Option<Shared<()>>>(), 16);

    assert_eq!(size_of::<Event>(), 8);
    assert_eq!(size_of::<RemoteEvent>(), 8);
    assert_eq!(size_of::<Semaphore>(), 8);
    assert_eq!(size_of::<Permit>(), 16);
    assert_eq!(size_of::<Lock<[u64; 100]>>(), 16);
    assert_eq!(size_of::<LockGuard<[u64; 100]>>(), 32);
    assert_eq!(size_of::<Barrier>(), 16);
    assert_eq!(size_of::<Sender<[u64; 100]>>(), 8);
    assert_eq!(size_of::<Receiver<[u64; 100]>>(), 8);
    assert_eq!(size_of::<ThreadPool>(), 8);

    assert_eq!(size_of::<Error>(), 8);
    assert_eq!(size_of::<tinyield::Result<()>>(), 8);
    assert_eq!(size_of::<Cancelled>(), 8);
    assert_eq!(size_of::<LoopError>(), 16);
}

#[test]
fn sleeping_coroutine_takes_at_most_160_bytes() {
    const MANY: usize = 4_000;
    let mut event_loop = Loop::new();
    let before = live();
    let main = co! {
        let many: Vec<_> = (0..MANY).map(|_| co! { yield sleep(Duration::MAX); }).collect();
        drop(yield spawn(many));
    };
    let mut runtime = event_loop.runtime(main);
    while let Step::Ran = runtime.step() {}
    let asleep = live();
    drop(runtime);
    drop(event_loop);
    // Before anything is printed, which may allocate.
    assert_eq!(live(), before);
    at_most(160, "a sleeping coroutine", (asleep - before).cast_unsigned() / MANY);
}
