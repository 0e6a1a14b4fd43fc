//! Scheduling: first in, first out, in rounds. A coroutine that is not ready costs nothing.
#![feature(coroutines)]

mod common;

use std::cell::Cell;
use std::rc::Rc;

use common::{Alive, Counter, Gate, LONG, Log, forever, ms, ran, to_end, to_idle, turns};
use tinyield::{Coro, Loop, Shared, Step, co, coro, isolate, race, shield, sleep, spawn, timeout};

#[coro]
fn busy(log: Log, name: char, turns: u32) -> Coro<()> {
    for _ in 0..turns {
        log.push(name);
        yield;
    }
}

#[test]
fn every_ready_coroutine_has_a_turn_between_two_turns_of_another() {
    let log = Log::new();
    let all: Vec<_> = ('a'..='e').map(|name| busy(log.clone(), name, 4)).collect();
    Loop::new().run(all).unwrap();
    assert_eq!(log.take().concat(), "abcde".repeat(4));
}

#[test]
fn every_wait_is_a_turn_even_if_it_is_ready_at_once() {
    let finished: Shared<()> = co! {}.shared();
    Loop::new().run(&finished).unwrap();
    let turns = Log::new();
    macro_rules! turn {
        ($wait:expr) => {{
            let log = turns.clone();
            let one = {
                let log = log.clone();
                co! {
                    log.push("one");
                    let _ = yield $wait;
                    log.push("one again");
                }
            };
            let two = co! { log.push("two"); };
            Loop::new().run((one, two)).unwrap();
            assert_eq!(turns.take(), ["one", "two", "one again"], "{}", stringify!($wait));
        }};
    }
    let shared = || finished.clone();
    let (a, b, c) = (shared(), shared(), shared());
    turn!(());
    turn!(a);
    turn!(&b);
    turn!((c.clone(), c));
    turn!(Vec::<Coro<()>>::new());
    turn!(None::<Coro<()>>);
    turn!([(), ()]);
    turn!(spawn(()));
    turn!(spawn(co! {}));
    turn!(sleep(ms(0)));
    turn!(co! {});
    turn!(shield(()));
    turn!(timeout((), LONG));
    turn!(isolate(co! {}));
    turn!(race([co! {}]));
    turn!(tinyield::catch(()));
}

#[test]
fn ready_future_is_not_a_turn() {
    // As in an `async fn`.
    let log = Log::new();
    let logs = log.clone();
    let one = co! { logs.push("one"); std::future::ready(()).await; logs.push("one again"); };
    let logs = log.clone();
    Loop::new().run((one, co! { logs.push("two"); })).unwrap();
    assert_eq!(log.take(), ["one", "one again", "two"]);
}

#[test]
fn started_coroutine_runs_after_those_that_were_ready() {
    let log = Log::new();
    let logs = log.clone();
    let starts = co! {
        logs.push("starts");
        let child = busy(logs.clone(), 'c', 1);
        yield spawn(child);
        logs.push("goes on");
    };
    Loop::new().run((starts, busy(log.clone(), 'a', 2), busy(log.clone(), 'b', 2))).unwrap();
    assert_eq!(log.take(), ["starts", "a", "b", "c", "goes on", "a", "b"]);
}

#[test]
fn gather_goes_on_in_the_round_after_its_last_part() {
    let log = Log::new();
    let logs = log.clone();
    let waits = co! {
        yield (turns(2), turns(1), turns(0));
        logs.push("gathered");
    };
    let other = {
        let log = log.clone();
        co! { for turn in 0..6 { log.push(turn); yield; } }
    };
    Loop::new().run((waits, other)).unwrap();
    let log = log.take();
    // The last part of the gather starts in the second round, and ends in the fourth.
    assert_eq!(log, ["0", "1", "2", "3", "gathered", "4", "5"]);
}

#[test]
fn waiters_of_a_shared_coroutine_go_on_in_order() {
    let log = Log::new();
    let shared = turns(5).shared();
    let waiters: Vec<_> = (0..10)
        .map(|n| {
            let (shared, log) = (shared.clone(), log.clone());
            co! { yield shared; log.push(n); }
        })
        .collect();
    Loop::new().run(waiters).unwrap();
    assert_eq!(log.take().concat(), "0123456789");
}

#[test]
fn waiters_keep_their_order_when_the_first_gives_up() {
    let log = Log::new();
    let shared = turns(20).shared();
    let outside = shared.clone();
    let logs = log.clone();
    let waiter = move |n: u32, late: usize| {
        let (shared, log) = (shared.clone(), logs.clone());
        co! { yield turns(late); yield shared; log.push(n); }
    };
    let first = waiter(0, 0);
    let gives_up = co! { yield race([first, turns(3)]); };
    let others = (waiter(1, 2), waiter(2, 3), waiter(3, 8));
    // Spawned, so that it does not end with its first waiter.
    Loop::new().run(co! { yield spawn(&outside); yield (gives_up, others); }).unwrap();
    assert_eq!(log.take().concat(), "123");
}

#[test]
fn wake_up_from_a_thread_is_served_in_a_busy_loop() {
    let gate = Gate::new();
    let (waits, stop) = (gate.clone(), Rc::new(Cell::new(false)));
    let stops = stop.clone();
    let thread = std::thread::spawn(move || {
        while gate.polls() == 0 {
            std::thread::yield_now();
        }
        gate.open();
    });
    let busy = co! { while !stop.get() { yield; } };
    Loop::new().run((co! { waits.await; stops.set(true); }, busy)).unwrap();
    thread.join().unwrap();
}

#[test]
fn wake_up_is_served_within_one_round() {
    let gate = Gate::new();
    let (waits, opens) = (gate.clone(), gate.clone());
    let log = Log::new();
    let logs = log.clone();
    let busy = co! { yield; yield; opens.open(); for turn in 0..5 { logs.push(turn); yield; } };
    let logs = log.clone();
    Loop::new().run((busy, co! { waits.await; logs.push("woken"); })).unwrap();
    let place = log.take().iter().position(|entry| entry == "woken").unwrap();
    assert!((1..=2).contains(&place), "{place}");
}

#[test]
fn sleeping_coroutines_take_no_steps() {
    let steps = |sleepers: usize| {
        let idle: Vec<_> = (0..sleepers).map(|_| co! { yield forever(); }).collect();
        let mut event_loop = Loop::new();
        let mut runtime = event_loop.runtime(co! {
            yield spawn(idle);
            for _ in 0..1_000 { yield; }
        });
        // Each has its first turn, and no other.
        let mut steps = 0;
        while matches!(runtime.step(), Step::Ran) {
            steps += 1;
        }
        steps - sleepers
    };
    let none = steps(0);
    assert_eq!(none, 1_002);
    assert_eq!(steps(1), none);
    assert_eq!(steps(10_000), none);
}

#[test]
fn waiting_coroutines_of_all_kinds_take_no_steps() {
    // This counts steps, and not time. Thirty thousand coroutines wait for timers, a future and timeouts. A loop with
    // one ready coroutine takes as many steps beside them as without them.
    let alive = Alive::new();
    let never = Gate::new();
    let waits: Vec<_> = (0..30_000)
        .map(|n| {
            let (held, gate) = (alive.token(), never.clone());
            co! {
                let _held = held;
                match n % 3 { 0 => yield forever(), 1 => gate.await, _ => drop(yield timeout(forever(), LONG)) }
            }
        })
        .collect();
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime((waits, turns(1_000)));
    // These steps are those of the gathering task, of the waiting coroutines, and of the internal tasks of the timeouts. After them, only
    // the ready coroutine takes steps.
    for _ in 0..1 + 30_000 + 1 + 10_000 {
        ran(&mut runtime);
    }
    let (steps, _) = to_idle(&mut runtime);
    assert_eq!(steps, 1_000);
    never.drop_waker();
    drop(runtime);
    assert_eq!(alive.get(), 0);
}

#[test]
fn stale_waker_does_not_wake_a_later_coroutine() {
    // The first coroutine keeps its waker in the gate, and ends. A coroutine that reuses its memory must not be polled
    // for it.
    let old = Gate::new();
    let polls = Counter::new();
    let counts = polls.clone();
    let waits = old.clone();
    let new = Gate::new();
    let waits_too = new.clone();
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(co! {
        yield race([co! { waits.await }, turns(2)]);
        let mut gate = Box::pin(waits_too);
        yield co! { std::future::poll_fn(|context| { counts.up(); gate.as_mut().poll(context) }).await };
    });
    let _ = to_idle(&mut runtime);
    assert_eq!(polls.get(), 1);
    for _ in 0..3 {
        old.waker().unwrap().wake();
        let _ = to_idle(&mut runtime);
    }
    assert_eq!(polls.get(), 1);
    new.open();
    to_end(&mut runtime).1.unwrap();
    assert_eq!(polls.get(), 2);
}

#[test]
fn stale_waker_does_not_end_the_next_wait_of_its_coroutine() {
    let old = Gate::new();
    let wakes = old.clone();
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(co! {
        let mut waits = Box::pin(old);
        let mut polls = 0;
        // Polled once, and abandoned.
        std::future::poll_fn(|context| {
            polls += 1;
            let _ = waits.as_mut().poll(context);
            std::task::Poll::Ready(())
        })
        .await;
        yield sleep(LONG);
        polls
    });
    let _ = to_idle(&mut runtime);
    wakes.waker().unwrap().wake();
    let (steps, _) = to_idle(&mut runtime);
    assert_eq!(steps, 0);
}
