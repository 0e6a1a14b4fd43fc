//! The cost of waking a foreign future: no wake-up allocates, on any thread.
#![feature(coroutines)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::thread;

use tinyield::{Coro, Loop, co, coro};

/// Counts the allocations of each thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: the system's allocator does everything. The count does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: by contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: by contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How many allocations this thread makes in `work`.
fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

const FEW: usize = 1_000;
const MANY: usize = 10 * FEW;

/// The allocations of this thread in `MANY` rounds, minus those in `FEW` rounds, after a run that warms up.
fn rise(work: impl Fn(usize)) -> isize {
    work(FEW);
    let few = allocations(|| work(FEW));
    allocations(|| work(MANY)).cast_signed() - few.cast_signed()
}

/// Wakes itself at the first poll, and is ready at the second.
async fn wake_self() {
    let mut is_woken = false;
    poll_fn(|context| {
        if is_woken {
            return Poll::Ready(());
        }
        is_woken = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

#[coro]
fn wakes_itself(rounds: usize) -> Coro<()> {
    for _ in 0..rounds {
        wake_self().await;
    }
}

#[test]
fn a_future_that_wakes_itself_does_not_allocate() {
    for tasks in [1, 100] {
        let run = |rounds| {
            let all: Vec<_> = (0..tasks).map(|_| wakes_itself(rounds)).collect();
            Loop::new().run(all).unwrap();
        };
        assert_eq!(rise(run), 0, "{tasks} tasks");
    }
}

/// Gives its waker away at the first poll, and is ready at the second.
async fn leave_waker(mut leave: impl FnMut(Waker)) {
    let mut is_polled = false;
    poll_fn(|context| {
        if is_polled {
            return Poll::Ready(());
        }
        is_polled = true;
        leave(context.waker().clone());
        Poll::Pending
    })
    .await
}

#[test]
fn a_wake_up_from_another_coroutine_does_not_allocate() {
    let run = |rounds| {
        let left = Rc::new(Cell::new(None));
        let taken = left.clone();
        let waits = co! {
            for _ in 0..rounds {
                leave_waker(|waker| left.set(Some(waker))).await;
            }
        };
        let wakes = co! {
            let mut woken = 0;
            while woken < rounds {
                if let Some(waker) = taken.take() {
                    Waker::wake(waker);
                    woken += 1;
                }
                yield;
            }
        };
        Loop::new().run((waits, wakes)).unwrap();
    };
    assert_eq!(rise(run), 0);
}

/// An async-channel allocates a listener for each `recv` that waits. A bare poll of the same futures shows the number of these allocations.
#[test]
fn a_channel_between_two_coroutines_allocates_no_more_than_the_channel_itself() {
    let players = |rounds| {
        let (ping, pinged) = async_channel::bounded(1);
        let (pong, ponged) = async_channel::bounded(1);
        let serves = async move {
            for ball in 0..rounds {
                ping.send(ball).await.unwrap();
                assert_eq!(ponged.recv().await, Ok(ball));
            }
        };
        let answers = async move {
            while let Ok(ball) = pinged.recv().await {
                pong.send(ball).await.unwrap();
            }
        };
        (serves, answers)
    };
    let of_channel = rise(|rounds| {
        let (serves, answers) = players(rounds);
        let (mut serves, mut answers) = (pin!(serves), pin!(answers));
        let context = &mut Context::from_waker(Waker::noop());
        while serves.as_mut().poll(context).is_pending() {
            let _ = answers.as_mut().poll(context);
        }
    });
    let of_loop = rise(|rounds| {
        let (serves, answers) = players(rounds);
        Loop::new().run((co! { serves.await }, co! { answers.await })).unwrap();
    });
    assert_eq!(of_loop, of_channel);
}

/// Wakes a future `rounds` times from another thread, and returns how many allocations the calls of the waker made there.
fn wake_from_thread(rounds: usize, is_busy: bool) -> usize {
    let (sender, receiver) = mpsc::sync_channel::<Waker>(1);
    let other = thread::spawn(move || receiver.iter().map(|waker| allocations(|| waker.wake())).sum());
    let is_over = Rc::new(Cell::new(!is_busy));
    let ends = is_over.clone();
    let waits = co! {
        for _ in 0..rounds {
            leave_waker(|waker| sender.send(waker).unwrap()).await;
        }
        drop(sender);
        ends.set(true);
    };
    let busy = co! {
        while !is_over.get() {
            yield;
        }
    };
    Loop::new().run((waits, busy)).unwrap();
    other.join().unwrap()
}

#[test]
fn a_wake_up_from_another_thread_allocates_nothing_there() {
    for is_busy in [true, false] {
        assert_eq!(wake_from_thread(FEW, is_busy), wake_from_thread(MANY, is_busy), "busy: {is_busy}");
    }
}

/// The loop is busy here, because an idle one checks its own state in debug builds, and that allocates.
#[test]
fn a_wake_up_from_another_thread_allocates_nothing_on_the_thread_of_the_loop() {
    let run = |rounds| {
        wake_from_thread(rounds, true);
    };
    assert_eq!(rise(run), 0);
}
