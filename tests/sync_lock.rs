//! Locks: one coroutine at a time has the data, in the order in which they began to wait.
#![feature(coroutines)]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};

use common::{Counter, ms, simulated};
use tinyield::{Coro, Deadlock, Lock, Loop, TimedOut, co, coro, isolate, spawn, timeout};

#[coro]
fn count(lock: Lock, inside: Counter, i: usize) -> Coro<usize> {
    let _guard = yield lock.acquire();
    inside.up();
    if inside.get() > 1 {
        Err("too many")?;
    }
    yield;
    inside.down();
    i
}

#[test]
fn at_most_one_coroutine_holds_a_lock() {
    let lock = Lock::default();
    let inside = Counter::new();
    let all: Vec<_> = (0..50).map(|i| count(lock.clone(), inside.clone(), i)).collect();
    assert_eq!(Loop::new().run(all).unwrap(), (0..50).collect::<Vec<_>>());
    assert!(!lock.is_locked());
}

#[test]
fn a_guard_gives_access_to_the_data() {
    let lock = Lock::new(vec![1]);
    let main = co! {
        (yield lock.acquire()).push(2);
        *(yield lock.acquire()) = vec![1, 2, 3];
        let guard = yield lock.acquire();
        assert!(lock.is_locked());
        assert!(lock.try_acquire().is_none());
        assert_eq!(format!("{guard:?}"), "[1, 2, 3]");
        guard.len()
    };
    assert_eq!(Loop::new().run(main).unwrap(), 3);
}

#[test]
fn a_lock_is_passed_on_in_order_without_cancelled_waits() {
    let lock = Lock::new(Vec::new());
    let main = co! {
        let guard = yield lock.acquire();
        for i in 0..5 {
            let acquire = lock.acquire();
            yield spawn(co! { (yield acquire).push(i); });
        }
        yield;
        let gave_up = yield timeout(lock.acquire(), ms(1));
        assert!(matches!(gave_up, Err(TimedOut)));
        drop(guard);
        (yield lock.acquire()).clone()
    };
    assert_eq!(simulated().run(main).unwrap(), [0, 1, 2, 3, 4]);
}

#[test]
fn a_panic_or_an_error_does_not_poison_a_lock() {
    let lock = Lock::new(0);
    let changing = lock.clone();
    let panics = co! {
        let mut guard = yield changing.acquire();
        *guard = 1;
        panic!("oh no");
    };
    assert!(catch_unwind(AssertUnwindSafe(|| Loop::new().run(panics))).is_err());
    assert_eq!(*lock.try_acquire().unwrap(), 1);
    let changing = lock.clone();
    let main = co! {
        let failed = yield isolate(co! {
            *(yield changing.acquire()) += 1;
            Err("failed")?;
        });
        assert!(failed.is_err());
        *(yield lock.acquire())
    };
    assert_eq!(Loop::new().run(main).unwrap(), 2);
}

#[test]
fn a_forgotten_guard_keeps_the_lock_locked() {
    let lock = Lock::new(String::from("data"));
    std::mem::forget(lock.try_acquire());
    assert!(lock.try_acquire().is_none());
    assert!(Loop::new().run(lock.acquire()).unwrap_err().error().downcast_ref::<Deadlock>().is_some());
}

#[test]
fn a_holder_that_acquires_the_lock_again_is_a_deadlock_that_names_it() {
    let lock = Lock::new(());
    let main = co! {
        let _guard = yield lock.acquire();
        assert_eq!(lock.statistics().holder.unwrap().name(), "holder");
        let _ = yield lock.acquire();
    };
    let error = Loop::new().run(main.named("holder")).unwrap_err();
    let deadlock = error.error().downcast_ref::<Deadlock>().unwrap();
    assert!(deadlock.to_string().contains("a lock held by `holder`"), "{deadlock}");
}

#[test]
fn the_data_is_dropped_with_the_last_handle_or_guard() {
    let dropped = Counter::new();
    let lock = Lock::new(dropped.guard());
    let guard = lock.try_acquire();
    drop(lock);
    assert_eq!(dropped.get(), 0);
    drop(guard);
    assert_eq!(dropped.get(), 1);
}
