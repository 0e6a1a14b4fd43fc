//! Simulations of programs that are not well-behaved: loops inside of loops, threads, foreign futures, panics in destructors, leaks,
//! seeds at the limits.
#![feature(coroutines)]

mod common;

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use common::text_of;
use tinyield::{
    Coro, Loop, Simulation, Step, TimedOut, Wait, co, coro, now, run_in_loop, run_in_thread, settled, sleep,
    sleep_until, spawn, timeout,
};

const HOUR: Duration = Duration::from_secs(3600);

fn report_of<W: Wait>(simulation: Simulation, program: impl Fn() -> W) -> String {
    let checked = catch_unwind(AssertUnwindSafe(|| simulation.check(program)));
    text_of(checked.expect_err("the program fails"))
}

/// Panics when it is dropped, unless the thread panics already.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("the bomb is dropped");
        }
    }
}

#[test]
fn a_destructor_that_panics_in_some_orders_is_reported_with_the_order() {
    let report = report_of(Simulation::new(), || {
        let slot = Rc::new(RefCell::new(Some(Bomb)));
        let (defused, dropped) = (slot.clone(), slot);
        let defuse = co! { yield; std::mem::forget(defused.borrow_mut().take()); };
        let clear = co! {
            yield;
            let taken = dropped.borrow_mut().take();
            drop(taken);
        };
        (defuse.named("defuse"), clear.named("clear"))
    });
    assert!(report.contains("the bomb is dropped"), "{report}");
    assert!(report.contains("fails when clear (") && report.contains(") goes before defuse ("), "{report}");
}

#[test]
fn a_panic_in_the_destructor_of_a_cancelled_coroutine_is_reported() {
    let report = report_of(Simulation::new(), || {
        co! {
            let sleeper = co! { let _bomb = Bomb; yield sleep(HOUR); };
            let _late = yield timeout(sleeper, Duration::ZERO);
        }
    });
    assert!(report.contains("the bomb is dropped"), "{report}");
}

#[test]
fn a_panic_whose_payload_panics_when_it_is_dropped_is_reported() {
    let report = report_of(Simulation::new(), || co! { std::panic::panic_any(Bomb); });
    assert!(report.contains("panicked: a value that is not text"), "{report}");
}

#[test]
fn the_smallest_and_the_largest_seeds_work() {
    let seeds = [0, 1, u64::MAX - 1, u64::MAX];
    let checked = Simulation::new().seeds(seeds).check(|| co! { yield (co! { yield; }, sleep(HOUR)); });
    assert_eq!(checked.runs(), 4);
    let report = report_of(Simulation::new().seeds([u64::MAX]), || co! { yield; Err("always")?; });
    assert!(report.contains("fails with seed 18446744073709551615"), "{report}");
    assert!(report.ends_with("TINYIELD_SEED=18446744073709551615"), "{report}");
}

#[test]
fn a_program_that_leaks_its_state_is_simulated() {
    let checked = Simulation::new().check(|| {
        let leaked = Rc::new(Cell::new(0));
        std::mem::forget(leaked.clone());
        let handle = co! { leaked.set(1); yield sleep(HOUR); };
        co! {
            let forgotten = yield spawn(handle);
            std::mem::forget(forgotten);
            std::mem::forget(co! { yield sleep(HOUR); });
        }
    });
    assert_eq!(checked.runs(), 100);
}

#[test]
fn loops_inside_of_a_simulated_loop_have_their_own_clock_and_order() {
    let inner = |seed: u64| {
        co! {
            let start = yield now();
            yield (sleep(HOUR), co! { yield; });
            let mut simulated = Loop::builder().simulated(seed).build();
            let nested = co! { let start = yield now(); yield sleep(5 * HOUR); (yield now()) - start };
            assert_eq!(simulated.run(nested)?, 5 * HOUR);
            Loop::new().run(sleep(Duration::from_micros(1)))?;
            (yield now()) - start
        }
    };
    let checked = Simulation::new().seeds(0..20).check(move || {
        co! {
            let (one, other) = yield (inner(1), inner(2));
            assert_eq!((one, other), (HOUR, HOUR));
        }
    });
    assert!(!checked.came_from_outside());
}

#[test]
fn a_simulation_inside_of_a_simulation_does_not_disturb_it() {
    let program = |log: Rc<RefCell<Vec<u32>>>| {
        let entry = move |number: u32| {
            let log = log.clone();
            co! {
                yield;
                Simulation::new().seeds(0..3).check(|| (co! { yield; }, sleep(HOUR)));
                log.borrow_mut().push(number);
            }
        };
        co! { yield [entry(1), entry(2), entry(3)]; }
    };
    let trace_of = |seed| {
        let log = Rc::<RefCell<Vec<u32>>>::default();
        let made = log.clone();
        Simulation::new().seeds([seed]).check(move || program(made.clone()));
        log.take()
    };
    assert!((1..20).all(|seed| trace_of(seed) == trace_of(seed)));
    assert!((1..20).any(|seed| trace_of(seed) != [1, 2, 3]));
}

#[test]
fn the_clock_of_a_simulated_loop_waits_for_threads_and_loops_on_threads() {
    let program = co! {
        let start = yield now();
        let thread = yield timeout(run_in_thread(|| 1), Duration::from_nanos(1));
        let in_loop = yield timeout(run_in_loop(|| co! { yield sleep(Duration::from_millis(1)); 2 }), Duration::from_nanos(1));
        assert_eq!((thread, in_loop), (Ok(1), Ok(2)));
        assert_eq!((yield now()) - start, Duration::ZERO);
    };
    let mut event_loop = Loop::builder().simulated(3).build();
    event_loop.run(program).unwrap();
    assert!(event_loop.came_from_outside());
}

#[test]
fn the_clock_of_a_simulated_loop_waits_for_the_futures_of_others() {
    let program = co! {
        let start = yield now();
        smol::Timer::after(Duration::from_millis(2)).await;
        assert_eq!((yield now()) - start, Duration::ZERO);
        yield sleep(HOUR);
        assert_eq!((yield now()) - start, HOUR);
    };
    Simulation::new().seeds(0..3).check(move || co! { yield; });
    Loop::builder().simulated(1).build().run(program).unwrap();
}

/// Four coroutines that sleep for the same times. Each logs its number after each sleep.
#[coro]
fn sleepers(log: Rc<RefCell<Vec<u32>>>) -> Coro<()> {
    let sleeper = |number: u32| {
        let log = log.clone();
        co! {
            for _ in 0..3 {
                yield sleep(HOUR);
                log.borrow_mut().push(number);
            }
        }
    };
    yield [sleeper(1), sleeper(2), sleeper(3), sleeper(4)];
}

#[test]
fn a_stepped_and_a_polled_loop_take_the_turns_of_the_seed() {
    for seed in [0, 9, u64::MAX] {
        let log = Rc::<RefCell<Vec<u32>>>::default();
        Loop::builder().simulated(seed).build().run(sleepers(log.clone())).unwrap();
        let run = log.take();
        let mut event_loop = Loop::builder().simulated(seed).build();
        let mut runtime = event_loop.runtime(sleepers(log.clone()));
        while let Step::Ran = runtime.step() {}
        drop(runtime);
        assert_eq!(log.take(), run);
        let mut polled = Loop::builder().simulated(seed).build().into_runtime(sleepers(log.clone()));
        let mut context = Context::from_waker(Waker::noop());
        while polled.poll(&mut context).is_pending() {}
        drop(polled);
        assert_eq!(log.take(), run);
    }
}

#[test]
fn timers_of_the_same_instant_fire_in_the_same_round_in_the_order_of_the_seed() {
    let orders: std::collections::BTreeSet<Vec<u32>> = (0..200)
        .map(|seed| {
            let log = Rc::<RefCell<Vec<u32>>>::default();
            let made = log.clone();
            let program = co! {
                let deadline = (yield now()) + HOUR;
                let sleeper = |number: u32| {
                    let log = made.clone();
                    co! { yield sleep_until(deadline); log.borrow_mut().push(number); }
                };
                yield [sleeper(1), sleeper(2), sleeper(3)];
            };
            Loop::builder().simulated(seed).build().run(program).unwrap();
            log.take()
        })
        .collect();
    assert_eq!(orders.len(), 6);
}

#[test]
fn a_timeout_of_zero_gives_the_value_of_ready_work_with_any_seed() {
    Simulation::new().check(|| {
        co! {
            let ready = yield timeout(co! { 1 }, Duration::ZERO);
            let late = yield timeout(sleep(HOUR), Duration::ZERO);
            let start = yield now();
            yield sleep(Duration::ZERO);
            yield sleep_until(start);
            assert_eq!((ready, late), (Ok(1), Err(TimedOut)));
            assert_eq!(yield now(), start);
        }
    });
}

#[test]
fn settled_that_is_made_outside_of_the_loop_works_in_it() {
    let outside = settled();
    Loop::builder().simulated(5).build().run(outside).unwrap();
    let outside = settled();
    let turns = Rc::new(Cell::new(0));
    let counted = turns.clone();
    let program = co! {
        yield spawn(co! { for _ in 0..3 { yield; counted.set(counted.get() + 1); } });
        yield outside;
        turns.get()
    };
    assert_eq!(Loop::builder().simulated(5).build().run(program).unwrap(), 3);
    drop(settled());
}

#[test]
fn a_simulated_loop_that_is_dropped_half_way_ends_its_coroutines() {
    let (begun, ended) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let cleans_up = || {
        let (begun, ended) = (begun.clone(), ended.clone());
        let work = co! { begun.set(begun.get() + 1); yield sleep(HOUR); };
        tinyield::finally(work, move || co! { yield sleep(HOUR); ended.set(ended.get() + 1); })
    };
    for seed in [0, 3] {
        let mut runtime = Loop::builder().simulated(seed).build().into_runtime((cleans_up(), cleans_up()));
        while begun.get() < 2 {
            assert!(matches!(runtime.step(), Step::Ran));
        }
        drop(runtime);
        assert_eq!((begun.take(), ended.take()), (2, 2));
    }
}

#[test]
fn values_held_by_a_closure_outlive_the_simulation() {
    let shared = Rc::new(Cell::new(0));
    let kept = RefCell::new(Vec::new());
    Simulation::new().seeds(0..4).check(|| {
        let handle = Rc::new(Cell::new(Instant::now()));
        kept.borrow_mut().push(handle.clone());
        shared.set(shared.get() + 1);
        co! { handle.set(yield now()); }
    });
    assert_eq!((shared.get(), kept.borrow().len()), (4, 4));
    assert!(kept.take().iter().all(|handle| Rc::strong_count(handle) == 1));
}

#[test]
fn a_waker_that_outlives_its_simulated_loop_wakes_nothing() {
    let kept = Rc::new(RefCell::new(None));
    let given = kept.clone();
    let report = report_of(Simulation::new().seeds([2]), move || {
        let given = given.clone();
        // The future keeps its last waker, and never ends.
        let forever = std::future::poll_fn(move |context: &mut Context<'_>| {
            *given.borrow_mut() = Some(context.waker().clone());
            Poll::<()>::Pending
        });
        co! {
            yield spawn(co! { forever.await });
            yield settled();
            Err("stop")?;
        }
    });
    assert!(report.contains("stop"), "{report}");
    let waker: Waker = kept.borrow_mut().take().unwrap();
    waker.wake();
    Simulation::new().seeds([2]).check(|| co! { yield; });
}
