//! Deep and wide: chains of a hundred thousand coroutines, a million at once, and memory that stays flat.
#![feature(coroutines)]

mod common;

#[path = "common/allocations.rs"]
mod allocations;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use allocations::live;
use common::{Alive, Gate, LONG, forever, ms, to_idle};
use tinyield::{Coro, Loop, Shared, Step, co, coro, isolate, race, shield, sleep, spawn, timeout};

const DEEP: u32 = 100_000;

#[test]
fn deep_chain_runs_and_finishes() {
    #[coro]
    fn deep(n: u32) -> Coro<u32> {
        if n == 0 { 0 } else { 1 + yield deep(n - 1) }
    }
    let before = live();
    assert_eq!(Loop::new().run(deep(DEEP)).unwrap(), DEEP);
    assert_eq!(live(), before);
}

#[test]
fn error_of_a_deep_chain_has_a_frame_for_each_coroutine() {
    #[coro]
    fn deep(n: u32, alive: Alive) -> Coro<()> {
        let _held = alive.token();
        if n == 0 {
            Err("deep down")?;
        } else {
            yield deep(n - 1, alive.clone())
        }
    }
    let alive = Alive::new();
    let error = Loop::new().run(deep(DEEP, alive.clone())).unwrap_err();
    assert_eq!(error.error().trace().len(), DEEP as usize + 1);
    assert!(error.others().is_empty());
    assert_eq!(alive.get(), 0);
}

#[coro]
fn suspended(n: u32, alive: Alive) -> Coro<()> {
    let _held = alive.token();
    if n == 0 { yield forever() } else { yield suspended(n - 1, alive.clone()) }
}

#[test]
fn deep_chain_is_dropped_suspended() {
    let alive = Alive::new();
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(suspended(DEEP, alive.clone()));
    let _ = to_idle(&mut runtime);
    assert_eq!(alive.get(), DEEP as isize + 1);
    drop(runtime);
    assert_eq!(alive.get(), 0);
}

#[test]
fn deep_chain_that_loses_a_race_is_cancelled() {
    let alive = Alive::new();
    let tokens = alive.clone();
    let main = co! {
        let deep = suspended(DEEP, tokens.clone());
        // One level of the chain begins in each round.
        yield race([deep, co! { for _ in 0..DEEP + 10 { yield; } assert_eq!(tokens.get(), DEEP as isize + 1); }]);
        alive
    };
    assert_eq!(Loop::new().run(main).unwrap().get(), 0);
}

#[test]
fn deep_chain_is_dropped_unstarted() {
    let alive = Alive::new();
    let (before, tokens) = (live(), alive.clone());
    let mut chain = co! { 0u32 };
    for _ in 0..DEEP {
        let (inner, held) = (chain, tokens.token());
        chain = co! { let _held = held; 1 + yield inner };
    }
    assert_eq!(alive.get(), DEEP as isize);
    drop(chain);
    assert_eq!(alive.get(), 0);
    assert_eq!(live(), before);
}

#[test]
fn deep_chain_that_was_built_before_runs() {
    let mut chain = co! { 0u32 };
    for _ in 0..DEEP {
        let inner = chain;
        chain = co! { 1 + yield inner };
    }
    assert_eq!(Loop::new().run(chain).unwrap(), DEEP);
}

#[test]
fn deep_chain_of_shared_coroutines_runs_and_is_dropped() {
    let build = || {
        let mut chain: Shared<u32> = co! { 0u32 }.shared();
        for _ in 0..DEEP {
            let inner = chain;
            chain = co! { 1 + yield inner }.shared();
        }
        chain
    };
    drop(build());
    assert_eq!(Loop::new().run(build()).unwrap(), DEEP);
}

#[test]
fn deep_chain_of_values_that_hold_coroutines_is_dropped() {
    struct Holds(#[allow(dead_code)] Option<Shared<Rc<Holds>>>);
    let mut chain = None;
    let mut event_loop = Loop::new();
    for _ in 0..DEEP {
        let inner = chain.take();
        let shared = co! { Rc::new(Holds(inner)) }.shared();
        drop(event_loop.run(&shared).unwrap());
        chain = Some(shared);
    }
    drop(chain);
}

#[test]
fn deeply_nested_timeouts_races_shields_and_spawns_finish() {
    // Not as deep as the others: each level is three or four tasks.
    #[coro]
    fn deep(n: u32) -> Coro<u32> {
        if n == 0 {
            return 0;
        }
        1 + match n % 4 {
            0 => (yield timeout(deep(n - 1), LONG)).unwrap(),
            1 => yield race([deep(n - 1)]),
            2 => yield shield(deep(n - 1)),
            _ => {
                let handle = yield spawn(deep(n - 1));
                yield handle
            }
        }
    }
    assert_eq!(Loop::new().run(deep(20_000)).unwrap(), 20_000);
}

#[test]
fn deeply_nested_domains_and_timeouts_fail_and_are_cancelled() {
    #[coro]
    fn deep(n: u32, fails: bool, alive: Alive) -> Coro<()> {
        let _held = alive.token();
        if n == 0 {
            yield;
            if fails {
                Err("deep down")?;
            }
            return yield forever();
        }
        if n.is_multiple_of(2) {
            (yield isolate(deep(n - 1, fails, alive.clone()))).unwrap();
        } else {
            (yield timeout(deep(n - 1, fails, alive.clone()), LONG)).unwrap();
        }
    }
    let alive = Alive::new();
    let main = (co! { for _ in 0..2_100 { yield; } Err("outside")?; }, deep(1_000, false, alive.clone()));
    assert_eq!(Loop::new().run(main).unwrap_err().to_string(), "outside");
    assert_eq!(alive.get(), 0);
    let inner = deep(1, true, alive.clone());
    assert_eq!(Loop::new().run(co! { (yield isolate(inner)).unwrap_err().to_string() }).unwrap(), "deep down");
    assert_eq!(alive.get(), 0);
}

#[test]
fn cancelling_nested_domains_takes_linear_time() {
    let alive = Alive::new();
    let held = alive.token();
    let mut deep = co! { let _held = held; yield forever(); };
    for _ in 0..DEEP {
        let (inner, held) = (deep, alive.token());
        deep = co! { let _held = held; (yield isolate(inner)).unwrap(); };
    }
    let main = (co! { for _ in 0..DEEP + 2 { yield; } Err("outside")?; }, deep);
    let start = Instant::now();
    assert_eq!(Loop::new().run(main).unwrap_err().to_string(), "outside");
    assert!(start.elapsed() < LONG);
    assert_eq!(alive.get(), 0);
}

#[test]
fn million_coroutines_run_at_once() {
    let before = live();
    let main = co! {
        let all: Vec<_> = (0..1_000_000u64).map(|n| co! { yield; yield; n }).collect();
        (yield all).into_iter().sum::<u64>()
    };
    assert_eq!(Loop::new().run(main).unwrap(), 499_999_500_000);
    assert_eq!(live(), before);
}

#[test]
fn hundred_thousand_sleeping_coroutines_are_cancelled() {
    let alive = Alive::new();
    let tokens = alive.clone();
    let main = co! {
        let sleeps = |n| {
            let held = tokens.token();
            co! { let _held = held; yield sleep(LONG + ms(n)); }
        };
        let all: Vec<_> = (0..100_000).map(sleeps).collect();
        assert!((yield timeout(all, ms(1))).is_err());
        assert_eq!(tokens.get(), 0);
    };
    Loop::new().run(main).unwrap();
    assert_eq!(alive.get(), 0);
}

/// Runs many rounds, and asserts that the memory in use does not grow with their number.
fn assert_flat(round: impl Fn() -> Coro<()> + 'static) {
    let most = Rc::new(Cell::new(0));
    let seen = most.clone();
    let before = live();
    let main = co! {
        let mut early = 0;
        for n in 0..5_000 {
            yield round();
            if n == 1_000 {
                early = live();
            }
            if n > 1_000 {
                seen.set(seen.get().max(live() - early));
            }
        }
    };
    Loop::new().run(main).unwrap();
    assert!(most.get() < 16_384, "{} bytes more than after a thousand rounds", most.get());
    assert!(live() <= before, "{} bytes are left", live() - before);
}

#[test]
fn timeouts_that_never_fire_leave_memory_flat() {
    assert_flat(|| co! { assert!((yield timeout(co! { yield; }, LONG)).is_ok()); });
}

#[test]
fn timeouts_that_fire_leave_memory_flat() {
    assert_flat(|| co! { assert!((yield timeout(forever(), ms(0))).is_err()); });
}

#[test]
fn domains_races_shields_and_spawns_leave_memory_flat() {
    assert_flat(|| co! { assert!((yield isolate(co! { yield; Err("x")?; })).is_err()); });
    assert_flat(|| co! { yield race([co! { yield forever(); }, co! { yield; }]); });
    assert_flat(|| co! { yield shield(co! { yield; }); });
    assert_flat(|| co! { drop(yield spawn(co! { yield; })); });
    assert_flat(|| co! { let gate = Gate::new(); gate.open(); gate.await; });
}

#[test]
fn giving_up_on_a_shared_coroutine_many_times_leaves_memory_flat() {
    let shared = co! { yield forever(); }.shared();
    let first = shared.clone();
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(co! {
        yield spawn(&shared);
        let mut early = 0;
        for n in 0..5_000 {
            let waits = shared.clone();
            yield race([co! { yield waits }, co! { yield; }]);
            if n == 1_000 {
                early = live();
            }
        }
        assert!(live() - early < 16_384, "{}", live() - early);
    });
    let _ = to_idle(&mut runtime);
    drop(runtime);
    drop(first);
}

#[test]
fn repeated_runs_leave_no_memory() {
    let mut event_loop = Loop::new();
    let before = live();
    for _ in 0..2_000 {
        let main = co! { yield (co! { yield; 1 }, timeout(forever(), ms(0))) };
        assert!(event_loop.run(main).unwrap().1.is_err());
    }
    assert_eq!(live(), before);
}

#[test]
fn runtime_dropped_after_any_number_of_steps_leaves_no_memory() {
    let mut event_loop = Loop::new();
    let before = live();
    for steps in 0..40 {
        let main = co! {
            let shared = co! { yield; String::from("value") }.shared();
            yield spawn(co! { yield forever(); });
            let all = yield (&shared, timeout(co! { yield; 1 }, LONG), isolate(co! { yield; }), race([co! { yield; 2 }]));
            drop(all);
            yield shield(co! { yield; });
            Err("end")?;
        };
        let mut runtime = event_loop.runtime(main);
        for _ in 0..steps {
            if !matches!(runtime.step(), Step::Ran) {
                break;
            }
        }
        drop(runtime);
        assert_eq!(live(), before, "after {steps} steps");
    }
}
