//! Semaphores: a bounded number of holders, first in first out, and no permit is ever lost.
#![feature(coroutines)]

mod common;

use common::{Counter, LONG, Log, ms, panic_of, simulated, to_end, to_idle};
use tinyield::{
    Coro, Deadlock, Loop, Permit, Semaphore, TimedOut, catch, co, coro, isolate, race, shield, sleep, spawn, timeout,
};

#[coro]
fn count(semaphore: Semaphore, inside: Counter, i: usize) -> Coro<usize> {
    let _permit = yield semaphore.acquire();
    inside.up();
    if inside.get() > 2 {
        Err("too many")?;
    }
    yield;
    inside.down();
    i
}

#[coro]
fn logs(semaphore: Semaphore, log: Log, name: &'static str) -> Coro<()> {
    let _permit = yield semaphore.acquire();
    log.push(name);
    yield;
}

#[coro]
fn turns(count: usize) -> Coro<()> {
    for _ in 0..count {
        yield;
    }
}

#[test]
fn at_most_as_many_coroutines_as_permits_are_inside() {
    let run = |permits| {
        let semaphore = Semaphore::new(permits);
        let inside = Counter::new();
        let all: Vec<_> = (0..50).map(|i| count(semaphore.clone(), inside.clone(), i)).collect();
        Loop::new().run(all)
    };
    assert_eq!(run(2).unwrap(), (0..50).collect::<Vec<_>>());
    assert_eq!(run(3).unwrap_err().to_string(), "too many");
}

#[test]
fn a_semaphore_of_0_permits_panics() {
    let text = panic_of(|| Semaphore::new(0));
    assert_eq!(text, "a semaphore of 0 permits could never be acquired; it takes at least 1");
}

#[test]
fn acquiring_a_free_permit_takes_one_turn() {
    let semaphore = Semaphore::new(1);
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(semaphore.acquire());
    assert_eq!(to_end(&mut runtime).0, 2);
    assert_eq!(semaphore.available(), 1);
}

#[test]
fn no_coroutine_overtakes_the_waiter_between_the_release_and_its_turn() {
    let log = Log::new();
    let semaphore = Semaphore::new(1);
    let main = co! {
        let permit = yield semaphore.acquire();
        yield spawn(logs(semaphore.clone(), log.clone(), "waited"));
        yield;
        drop(permit);
        // The coroutine that waited has the permit, but has not had its turn yet.
        assert!(semaphore.try_acquire().is_none());
        let _permit = yield semaphore.acquire();
        log.push("came late");
        log
    };
    assert_eq!(Loop::new().run(main).unwrap().take(), ["waited", "came late"]);
}

#[test]
fn a_wait_that_times_out_loses_no_permit() {
    let semaphore = Semaphore::new(1);
    let main = co! {
        let permit = yield semaphore.acquire();
        assert!(matches!(yield timeout(semaphore.acquire(), ms(1)), Err(TimedOut)));
        assert_eq!(semaphore.statistics().waiting, 0);
        drop(permit);
        drop(yield semaphore.acquire());
        assert_eq!(semaphore.available(), 1);
    };
    simulated().run(main).unwrap();
}

#[test]
fn a_coroutine_that_is_cancelled_before_it_takes_its_permit_passes_it_on() {
    let log = Log::new();
    let semaphore = Semaphore::new(1);
    let main = co! {
        let permit = yield semaphore.acquire();
        let chosen = semaphore.clone();
        let failing = semaphore.clone();
        let passed_on = isolate(co! {
            yield spawn(co! {
                let cancelled = yield catch(chosen.acquire());
                assert!(cancelled.as_ref().is_err());
                drop(cancelled?);
            });
            yield;
            yield spawn(co! { yield; });
            assert_eq!(failing.statistics().waiting, 2);
            drop(permit);
            assert_eq!(failing.statistics().waiting, 1, "the first waiter has the permit");
            assert_eq!(failing.statistics().available, 0);
            Err("failed")?;
        });
        let next = spawn(logs(semaphore.clone(), log.clone(), "next"));
        let (result, _) = yield (passed_on, co! { yield; yield next; });
        assert!(result.is_err());
        assert_eq!(log.take(), ["next"]);
        yield turns(3);
        assert_eq!(semaphore.available(), 1);
    };
    Loop::new().run(main).unwrap();
}

#[test]
fn permits_are_passed_on_in_order_without_cancelled_waits() {
    let log = Log::new();
    let semaphore = Semaphore::new(1);
    let main = co! {
        let permit = yield semaphore.acquire();
        yield spawn(logs(semaphore.clone(), log.clone(), "a"));
        let gives_up = timeout(logs(semaphore.clone(), log.clone(), "gave up"), ms(1));
        yield spawn(co! { assert!((yield gives_up).is_err()); });
        yield;
        yield spawn(logs(semaphore.clone(), log.clone(), "b"));
        yield spawn(logs(semaphore.clone(), log.clone(), "c"));
        yield sleep(ms(10));
        drop(permit);
        log
    };
    let log = simulated().run(main).unwrap();
    assert_eq!(log.take(), ["a", "b", "c"]);
}

#[test]
fn a_gather_may_acquire_several_permits() {
    let semaphore = Semaphore::new(3);
    let main = co! {
        let (a, b) = yield (semaphore.acquire(), semaphore.acquire());
        let waits = semaphore.acquire();
        let third = yield spawn(co! { yield (waits, sleep(ms(1))) });
        yield sleep(ms(5));
        assert_eq!(semaphore.available(), 0);
        drop((a, b));
        let (third, ()) = yield third;
        assert_eq!(semaphore.available(), 2);
        drop(third);
        assert_eq!(semaphore.available(), 3);
    };
    simulated().run(main).unwrap();
}

#[test]
fn a_cancelled_gather_gives_back_the_permit_of_its_part() {
    let semaphore = Semaphore::new(1);
    let main = co! {
        let permit = yield semaphore.acquire();
        let waits = semaphore.acquire();
        yield spawn(co! { assert!((yield timeout((waits, sleep(LONG)), ms(5))).is_err()); });
        yield turns(3);
        drop(permit);
        assert_eq!(semaphore.available(), 0);
        drop(yield semaphore.acquire());
    };
    simulated().run(main).unwrap();
}

#[test]
fn a_wait_that_loses_a_race_leaves_the_queue() {
    let semaphore = Semaphore::new(1);
    let main = co! {
        let _held = yield semaphore.acquire();
        let waits = semaphore.acquire();
        let first = yield race([co! { drop(yield waits); "permit" }, co! { yield; "other" }]);
        assert_eq!(semaphore.statistics().waiting, 0);
        first
    };
    assert_eq!(Loop::new().run(main).unwrap(), "other");
}

#[test]
fn a_permit_outlives_its_coroutine_and_its_loop() {
    let semaphore = Semaphore::new(1);
    let permit: Permit = Loop::new().run(semaphore.acquire()).unwrap();
    assert_eq!(semaphore.available(), 0);
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(semaphore.acquire());
    let _ = to_idle(&mut runtime);
    drop(permit);
    assert!(to_end(&mut runtime).1.is_ok());
    assert_eq!(semaphore.available(), 1);
}

#[test]
fn a_coroutine_that_fails_gives_its_permit_back() {
    let semaphore = Semaphore::new(1);
    let main = co! {
        for _ in 0..3 {
            let acquire = semaphore.acquire();
            let failed = yield isolate(co! {
                let _permit = yield acquire;
                Err("failed")?;
            });
            assert!(failed.is_err());
        }
        semaphore.available()
    };
    assert_eq!(Loop::new().run(main).unwrap(), 1);
}

#[test]
fn statistics_name_the_holder_also_if_it_acquired_the_permit_within_another_wait() {
    let semaphore = Semaphore::new(4);
    let names = |semaphore: &Semaphore| {
        let holders = semaphore.statistics().holders;
        holders.iter().map(|holder| holder.name().to_string()).collect::<Vec<_>>()
    };
    let theirs = semaphore.clone();
    let main = co! {
        let permits = (
            yield timeout(semaphore.acquire(), LONG),
            yield isolate(timeout(semaphore.acquire(), LONG)),
            yield shield(semaphore.acquire()),
            yield race([co! { yield theirs.acquire() }.named("racer")]),
        );
        let holders = names(&semaphore);
        drop(permits);
        (semaphore, holders)
    };
    let (semaphore, holders) = Loop::new().run(main.named("holder")).unwrap();
    assert_eq!(holders, ["holder", "holder", "holder", "racer"]);
    let _permit = Loop::new().run(semaphore.acquire()).unwrap();
    assert_eq!(names(&semaphore), ["run"]);
}

#[test]
fn statistics_and_a_deadlock_name_the_holder_and_the_waiters() {
    let semaphore = Semaphore::new(1);
    let kept = semaphore.clone();
    let main = co! {
        let _permit = yield semaphore.acquire();
        let waits = semaphore.acquire();
        yield spawn(co! { drop(yield waits); }.named("waiter"));
        yield;
        let statistics = semaphore.statistics();
        assert_eq!((statistics.permits, statistics.available, statistics.waiting), (1, 0, 1));
        assert_eq!(statistics.holders[0].name(), "holder");
        assert!(format!("{semaphore:?}").contains("holder at "), "{semaphore:?}");
        drop(yield semaphore.acquire());
    };
    let error = Loop::new().run(main.named("holder")).unwrap_err();
    let deadlock = error.error().downcast_ref::<Deadlock>().unwrap();
    assert!(deadlock.to_string().contains("a semaphore held by `"), "{deadlock}");
    assert_eq!(deadlock.stuck().len(), 2);
    assert_eq!(kept.available(), 1);
    let _permit = kept.try_acquire().unwrap();
    assert_eq!(kept.statistics().holders[0].name(), "try_acquire");
}
