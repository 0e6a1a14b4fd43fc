//! Panics in destructors: of locals, of captures, of values and of errors, even while another panic or an error stops the loop.

use std::cell::RefCell;
use std::fmt;
use std::panic::panic_any;
use std::rc::Rc;

use tinyield::{JoinHandle, Loop, catch, co, isolate, race, shield, sleep, spawn, timeout};

use crate::common::by_hand::{abandons_wait, forgets_wait};
use crate::common::{
    Counter, LONG, Log, OnDrop, forever, forget, ms, panic_of, ran, simulated, to_idle, turns, waits_forever,
};
use crate::panics_later;

/// Panics when it is dropped, but not during another panic, which would abort the process.
struct Bomb(&'static str);

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic_any(self.0);
        }
    }
}

#[test]
fn panic_in_a_destructor_while_stopping_wins_and_all_others_are_dropped() {
    let log = Log::new();
    let bomb = co! { let _bomb = Bomb("bomb"); yield forever(); };
    let main = (
        waits_forever(log.clone(), "before"),
        bomb,
        waits_forever(log.clone(), "after"),
        co! { yield; yield; Err("failed")?; },
    );
    assert_eq!(panic_of(|| Loop::new().run(main)), "bomb");
    assert_eq!(log.take(), ["after", "before"]);
}

#[test]
fn first_of_many_panics_comes_out_of_run_and_none_aborts() {
    let log = Log::new();
    let bomb = |name| {
        co! { let _bomb = Bomb(name); yield forever(); }
    };
    let main = (bomb("1"), waits_forever(log.clone(), "between"), bomb("2"), bomb("3"), panics_later("first"));
    assert_eq!(panic_of(|| Loop::new().run(main)), "first");
    assert_eq!(log.take(), ["between"]);
}

#[test]
fn panic_in_a_capture_of_a_coroutine_that_never_began_comes_out_of_run() {
    let log = Log::new();
    let bomb = Bomb("captured");
    let never = co! { drop(bomb); };
    let main = (waits_forever(log.clone(), "1"), co! { yield; yield (co! { Err("failed")?; }, never); });
    assert_eq!(panic_of(|| Loop::new().run(main)), "captured");
    assert_eq!(log.take(), ["1"]);
}

#[test]
fn panic_in_the_destructor_of_a_value_that_is_not_taken_comes_out_of_run() {
    let log = Log::new();
    let main = co! {
        drop(yield spawn(co! { yield; Bomb("value") }));
        yield forever();
    };
    assert_eq!(panic_of(|| simulated().run((waits_forever(log.clone(), "1"), main))), "value");
    assert_eq!(log.take(), ["1"]);
    // The value of a loser of a race, and of a coroutine that has timed out.
    let answers = || co! { let _ = yield catch(forever()); Some(Bomb("value")) };
    assert_eq!(panic_of(|| simulated().run(co! { yield race([answers(), co! { yield; yield; None }]); })), "value");
    assert_eq!(panic_of(|| simulated().run(co! { drop(yield timeout(answers(), ms(1))); })), "value");
}

#[test]
fn panic_in_the_destructor_of_an_error_comes_out_of_run() {
    #[derive(Debug)]
    struct Explosive;
    impl std::fmt::Display for Explosive {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("explosive")
        }
    }
    impl std::error::Error for Explosive {}
    impl Drop for Explosive {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                panic!("an error's destructor");
            }
        }
    }
    let log = Log::new();
    // Dropped by the coroutine that has caught it.
    let main = co! { drop(yield isolate(co! { yield; Err(Explosive)?; })); yield forever(); };
    assert_eq!(panic_of(|| Loop::new().run((waits_forever(log.clone(), "1"), main))), "an error's destructor");
    assert_eq!(log.take(), ["1"]);
    // The loop does not keep this error, because it was raised while the loop was stopping.
    let main = (co! { let _ = yield catch(forever()); Err(Explosive)?; }, co! { yield; yield; Err("first")?; });
    let mut event_loop = Loop::builder().grouping(tinyield::Grouping::Never).build();
    assert_eq!(panic_of(|| event_loop.run(main)), "an error's destructor");
    assert_eq!(event_loop.run(co! { 1 }).unwrap(), 1);
}

#[test]
fn panic_while_a_runtime_is_dropped_comes_out_of_the_drop() {
    let log = Log::new();
    let mut event_loop = Loop::new();
    let bomb = co! { let _bomb = Bomb("bomb"); yield forever(); };
    let mut runtime = event_loop.runtime((waits_forever(log.clone(), "1"), bomb, waits_forever(log.clone(), "2")));
    let _ = to_idle(&mut runtime);
    assert_eq!(panic_of(|| drop(runtime)), "bomb");
    assert_eq!(log.take(), ["2", "1"]);
}

#[test]
fn unstarted_coroutine_drops_all_captures_although_one_panics() {
    let drops = Counter::new();
    let (bomb, guard) = (OnDrop(|| panic_any("capture")), drops.guard());
    let inner = {
        let guard = drops.guard();
        co! { drop(guard); }
    };
    let coro = co! { drop((bomb, guard)); yield inner; };
    assert_eq!(panic_of(|| drop(coro)), "capture");
    assert_eq!(drops.get(), 2);
}

struct Failed<B = Bomb> {
    _bomb: B,
}

impl<B> fmt::Debug for Failed<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Failed")
    }
}

impl<B> fmt::Display for Failed<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it failed")
    }
}

impl<B> std::error::Error for Failed<B> {}

/// Panics when it is dropped, even during another panic.
struct Relentless;

impl Drop for Relentless {
    fn drop(&mut self) {
        panic!("relentless");
    }
}

#[test]
fn panic_comes_out_of_run_although_the_errors_of_the_run_panic_when_dropped() {
    let failed = || Failed { _bomb: Relentless };
    let answers = move || {
        co! { let _ = yield catch(forever()); Err(failed())?; }
    };
    let panics = || {
        co! { let _ = yield catch(forever()); panic!("boo") }
    };
    let fails = move || {
        co! { yield; yield; Err(failed())?; }
    };
    assert_eq!(panic_of(|| Loop::new().run((panics(), answers(), answers(), fails()))), "boo");
    // The error is kept by a handle of the coroutine that failed with it.
    let main = co! {
        let kept = Rc::<RefCell<Option<JoinHandle<()>>>>::default();
        let theirs = kept.clone();
        let error = yield isolate(co! { *theirs.borrow_mut() = Some(yield spawn(fails())); });
        forget(error);
        panic!("boo");
    };
    assert_eq!(panic_of(|| Loop::new().run(main)), "boo");
    // Only the destructors of the errors panic.
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime((answers(), answers(), fails()));
    for _ in 0..8 {
        ran(&mut runtime);
    }
    assert_eq!(panic_of(|| drop(runtime)), "relentless");
}

#[test]
fn panic_in_the_destructor_of_a_nested_domains_error_comes_out_after_the_scopes_above_have_ended() {
    // The waiters of both domains give up on them. The inner domain waits at a shield. When it has ended, the outer
    // domain, which has failed, ends too.
    let log = Log::new();
    let (shielded, seen) = (log.clone(), log.clone());
    let main = co! {
        let inner = isolate(co! { let _ends = shielded.on_drop("inner"); yield shield(turns(60)); });
        let (inner_wait, abandons_inner) = abandons_wait(inner, ());
        let outer = isolate(co! {
            yield spawn(abandons_inner);
            yield turns(1);
            inner_wait.drop_wait();
            yield turns(10);
            Err(Failed { _bomb: Bomb("boo") })?;
        });
        let (outer_wait, abandons_outer) = abandons_wait(outer, ());
        yield spawn(abandons_outer);
        yield turns(30);
        outer_wait.drop_wait();
        seen.push("both abandoned");
    };
    assert_eq!(panic_of(|| Loop::new().run(main)), "boo");
    assert_eq!(log.take(), ["both abandoned", "inner"]);
}

#[test]
fn panic_of_a_value_kept_by_a_forgotten_sleep_does_not_replace_the_first_panic() {
    let main = co! {
        drop(yield spawn(forgets_wait(sleep(LONG), Bomb("left"))));
        yield;
        panic!("boo")
    };
    assert_eq!(panic_of(|| Loop::new().run(main)), "boo");
}

#[test]
fn all_are_cancelled_although_the_value_of_a_waiter_of_a_shielded_coroutine_panics_when_dropped() {
    let log = Log::new();
    let (shielded, seen) = (log.clone(), log.clone());
    let polite = co! { let _ends = shielded.on_drop("polite"); yield shield(turns(60)); }.shared();
    let (wait, abandons) = abandons_wait(polite.clone(), Bomb("boo"));
    let main = co! {
        drop(yield spawn(abandons));
        drop(yield isolate(co! {
            yield spawn(polite);
            yield turns(10);
            Err("the domain")?;
        }));
    };
    // Now the domain is cancelled. The coroutine that gives up its wait is resumed later.
    let drops = co! { yield turns(20); wait.drop_wait(); seen.push("abandoned"); };
    let fails = co! { yield turns(40); Err("the run")?; };
    assert_eq!(panic_of(|| Loop::new().run((main, drops, fails))), "boo");
    assert_eq!(log.take(), ["abandoned", "polite"]);
}
