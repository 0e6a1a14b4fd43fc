//! After every step: exactly how often a coroutine was resumed, and what of it was dropped.
#![feature(coroutines)]
// The counters that `coro!` makes stand out from what the tests name themselves.
#![allow(non_snake_case)]

mod common;

use common::{Counter, Gate, Guard, forever, ran, to_end};
use tinyield::{Coro, Loop, Runtime, Shared, Step, TimedOut, co, race, shield, spawn, timeout};

/// Makes a coroutine with counters.
///
/// Usage: `coro!(name, RESUMES, BODY, CAPTURE, VALUE, |yields| end)`
///
/// It counts its resumptions, and the drops of a local of its body, of what it captured, and of its value. It yields as often
/// as `yields` says and then ends with `end`, which may raise or panic.
macro_rules! coro {
    ($name:ident, $resumes:ident, $body:ident, $capture:ident, $value:ident, $yields:expr, $end:expr) => {
        let ($resumes, $body, $capture, $value) = (Counter::new(), Counter::new(), Counter::new(), Counter::new());
        let $name: Coro<Guard> = {
            let (resumes, body, capture, value) = ($resumes.clone(), $body.clone(), $capture.guard(), $value.clone());
            co! {
                let _capture = capture;
                resumes.up();
                let _body = body.guard();
                let yields: usize = $yields;
                for _ in 0..yields {
                    yield;
                    resumes.up();
                }
                let () = $end;
                value.guard()
            }
        };
    };
}

macro_rules! counts {
    ($resumes:ident = $r:expr, $body:ident = $b:expr, $capture:ident = $c:expr, $value:ident = $v:expr) => {
        assert_eq!(
            ($resumes.get(), $body.get(), $capture.get(), $value.get()),
            ($r, $b, $c, $v),
            "resumes, drops of the body, of captures, of the value"
        );
    };
}

fn done<T>(runtime: &mut Runtime<'_, T>) -> Result<T, tinyield::LoopError> {
    match runtime.step() {
        Step::Done(result) => result,
        other => panic!("{}", if matches!(other, Step::Ran) { "it ran" } else { "it is idle" }),
    }
}

#[test]
fn dropped_before_it_is_started() {
    coro!(c, RESUMES, BODY, CAPTURE, VALUE, 3, ());
    counts!(RESUMES = 0, BODY = 0, CAPTURE = 0, VALUE = 0);
    drop(c);
    counts!(RESUMES = 0, BODY = 0, CAPTURE = 1, VALUE = 0);
}

#[test]
fn dropped_with_an_unstarted_runtime() {
    coro!(c, RESUMES, BODY, CAPTURE, VALUE, 3, ());
    let mut event_loop = Loop::new();
    let runtime = event_loop.runtime(c);
    counts!(RESUMES = 0, BODY = 0, CAPTURE = 0, VALUE = 0);
    drop(runtime);
    counts!(RESUMES = 0, BODY = 0, CAPTURE = 1, VALUE = 0);
}

#[test]
fn finishes() {
    coro!(c, RESUMES, BODY, CAPTURE, VALUE, 2, ());
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(c);
    ran(&mut runtime);
    counts!(RESUMES = 1, BODY = 0, CAPTURE = 0, VALUE = 0);
    ran(&mut runtime);
    counts!(RESUMES = 2, BODY = 0, CAPTURE = 0, VALUE = 0);
    ran(&mut runtime);
    counts!(RESUMES = 3, BODY = 1, CAPTURE = 1, VALUE = 0);
    let value = done(&mut runtime).unwrap();
    drop(runtime);
    counts!(RESUMES = 3, BODY = 1, CAPTURE = 1, VALUE = 0);
    drop(value);
    counts!(RESUMES = 3, BODY = 1, CAPTURE = 1, VALUE = 1);
}

#[test]
fn finishes_and_nobody_takes_the_value() {
    coro!(c, RESUMES, BODY, CAPTURE, VALUE, 0, ());
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(c);
    ran(&mut runtime);
    counts!(RESUMES = 1, BODY = 1, CAPTURE = 1, VALUE = 0);
    drop(runtime);
    counts!(RESUMES = 1, BODY = 1, CAPTURE = 1, VALUE = 1);
}

#[test]
fn raises() {
    coro!(c, RESUMES, BODY, CAPTURE, VALUE, 1, Err("raised")?);
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(c);
    ran(&mut runtime);
    counts!(RESUMES = 1, BODY = 0, CAPTURE = 0, VALUE = 0);
    ran(&mut runtime);
    counts!(RESUMES = 2, BODY = 1, CAPTURE = 1, VALUE = 0);
    assert!(done(&mut runtime).is_err());
    drop(runtime);
    counts!(RESUMES = 2, BODY = 1, CAPTURE = 1, VALUE = 0);
}

#[test]
fn panics() {
    coro!(
        c,
        RESUMES,
        BODY,
        CAPTURE,
        VALUE,
        1,
        if true {
            panic!("boo")
        }
    );
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(c);
    ran(&mut runtime);
    counts!(RESUMES = 1, BODY = 0, CAPTURE = 0, VALUE = 0);
    // The step in which it panics is one more that ran, or the last.
    assert_eq!(common::panic_of(|| to_end(&mut runtime).1.map(drop)), "boo");
    counts!(RESUMES = 2, BODY = 1, CAPTURE = 1, VALUE = 0);
    drop(runtime);
    counts!(RESUMES = 2, BODY = 1, CAPTURE = 1, VALUE = 0);
}

#[test]
fn is_cancelled_while_it_waits() {
    coro!(c, RESUMES, BODY, CAPTURE, VALUE, 1, yield forever());
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime((c, co! { yield; yield; yield; Err("x")?; }));
    // The one that gathers, then both, in turn.
    ran(&mut runtime);
    counts!(RESUMES = 0, BODY = 0, CAPTURE = 0, VALUE = 0);
    ran(&mut runtime);
    counts!(RESUMES = 1, BODY = 0, CAPTURE = 0, VALUE = 0);
    ran(&mut runtime);
    ran(&mut runtime);
    counts!(RESUMES = 2, BODY = 0, CAPTURE = 0, VALUE = 0);
    for _ in 0..3 {
        ran(&mut runtime);
        counts!(RESUMES = 2, BODY = 0, CAPTURE = 0, VALUE = 0);
    }
    // Cancelled: it and the one that gathers.
    ran(&mut runtime);
    counts!(RESUMES = 2, BODY = 1, CAPTURE = 1, VALUE = 0);
    assert_eq!(to_end(&mut runtime).1.map(drop).unwrap_err().to_string(), "x");
    counts!(RESUMES = 2, BODY = 1, CAPTURE = 1, VALUE = 0);
}

#[test]
fn is_cancelled_before_it_begins() {
    coro!(c, RESUMES, BODY, CAPTURE, VALUE, 1, ());
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime((co! { Err("x")?; }, c));
    ran(&mut runtime);
    ran(&mut runtime);
    counts!(RESUMES = 0, BODY = 0, CAPTURE = 0, VALUE = 0);
    ran(&mut runtime);
    counts!(RESUMES = 0, BODY = 0, CAPTURE = 1, VALUE = 0);
    assert!(to_end(&mut runtime).1.is_err());
    counts!(RESUMES = 0, BODY = 0, CAPTURE = 1, VALUE = 0);
}

#[test]
fn its_runtime_is_dropped_after_each_number_of_steps() {
    for steps in 0..=3 {
        coro!(c, RESUMES, BODY, CAPTURE, VALUE, 2, ());
        let mut event_loop = Loop::new();
        let mut runtime = event_loop.runtime(c);
        for _ in 0..steps {
            ran(&mut runtime);
        }
        counts!(RESUMES = steps, BODY = usize::from(steps == 3), CAPTURE = usize::from(steps == 3), VALUE = 0);
        drop(runtime);
        counts!(RESUMES = steps, BODY = usize::from(steps > 0), CAPTURE = 1, VALUE = usize::from(steps == 3));
    }
}

#[test]
fn its_handle_is_dropped_before_it_ends() {
    coro!(c, RESUMES, BODY, CAPTURE, VALUE, 2, ());
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(co! { drop(yield spawn(c)); });
    ran(&mut runtime);
    counts!(RESUMES = 0, BODY = 0, CAPTURE = 0, VALUE = 0);
    // Spawning is a turn: in order of readiness, the one that spawned goes on when the other has begun.
    let (_, result) = to_end(&mut runtime);
    result.unwrap();
    counts!(RESUMES = 3, BODY = 1, CAPTURE = 1, VALUE = 1);
}

#[test]
fn its_handle_is_dropped_after_it_ended() {
    coro!(c, RESUMES, BODY, CAPTURE, VALUE, 0, ());
    let (sees, gate) = (VALUE.clone(), Gate::new());
    let waits = gate.clone();
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(co! {
        let handle = yield spawn(c);
        waits.await;
        assert!(handle.is_finished());
        assert_eq!(sees.get(), 0);
        drop(handle);
        assert_eq!(sees.get(), 1);
    });
    let _ = common::to_idle(&mut runtime);
    counts!(RESUMES = 1, BODY = 1, CAPTURE = 1, VALUE = 0);
    gate.open();
    to_end(&mut runtime).1.unwrap();
    counts!(RESUMES = 1, BODY = 1, CAPTURE = 1, VALUE = 1);
}

#[test]
fn its_handle_outlives_the_run() {
    coro!(c, RESUMES, BODY, CAPTURE, VALUE, 1, ());
    let handle = Loop::new().run(co! { yield spawn(c) }).unwrap();
    counts!(RESUMES = 2, BODY = 1, CAPTURE = 1, VALUE = 0);
    drop(handle);
    counts!(RESUMES = 2, BODY = 1, CAPTURE = 1, VALUE = 1);
}

#[test]
fn who_waits_for_it_is_resumed_once() {
    coro!(c, RESUMES, BODY, CAPTURE, VALUE, 3, ());
    coro!(other, OTHER_RESUMES, OTHER_BODY, OTHER_CAPTURE, OTHER_VALUE, 5, ());
    let waiter = Counter::new();
    let counts = waiter.clone();
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(co! {
        counts.up();
        let values = yield (c, other);
        counts.up();
        drop(values);
    });
    let (steps, result) = to_end(&mut runtime);
    result.unwrap();
    assert_eq!(steps, 2 + 4 + 6);
    assert_eq!(waiter.get(), 2);
    counts!(RESUMES = 4, BODY = 1, CAPTURE = 1, VALUE = 1);
    counts!(OTHER_RESUMES = 6, OTHER_BODY = 1, OTHER_CAPTURE = 1, OTHER_VALUE = 1);
}

#[test]
fn a_value_in_a_gather_that_is_cancelled_is_dropped_once() {
    coro!(c, RESUMES, BODY, CAPTURE, VALUE, 0, ());
    let sees = VALUE.clone();
    let error =
        Loop::new().run((co! { yield (c, forever()); }, co! { yield; yield; assert_eq!(sees.get(), 0); Err("x")?; }));
    assert!(error.is_err());
    counts!(RESUMES = 1, BODY = 1, CAPTURE = 1, VALUE = 1);
}

#[test]
fn a_value_that_is_shared_is_cloned_once_for_each_waiter_and_kept_until_the_last_handle_is_gone() {
    struct Value {
        clones: Counter,
        drops: Counter,
    }
    impl Clone for Value {
        fn clone(&self) -> Value {
            self.clones.up();
            Value { clones: self.clones.clone(), drops: self.drops.clone() }
        }
    }
    impl Drop for Value {
        fn drop(&mut self) {
            self.drops.up();
        }
    }
    let (clones, drops) = (Counter::new(), Counter::new());
    let value = Value { clones: clones.clone(), drops: drops.clone() };
    let shared = co! { yield; value }.shared();
    let again = shared.clone();
    drop(Loop::new().run(co! { drop(yield (&again, &again)); yield again }).unwrap());
    assert_eq!((clones.get(), drops.get()), (3, 3));
    drop(Loop::new().run(&shared).unwrap());
    assert_eq!((clones.get(), drops.get()), (4, 4));
    drop(shared);
    assert_eq!((clones.get(), drops.get()), (4, 5));
}

#[test]
fn a_loser_is_cancelled_once_and_a_winner_gives_its_value_once() {
    coro!(winner, RESUMES, BODY, CAPTURE, VALUE, 2, ());
    coro!(loser, LOSER_RESUMES, LOSER_BODY, LOSER_CAPTURE, LOSER_VALUE, 9, ());
    let value = Loop::new().run(race([winner, loser])).unwrap();
    counts!(RESUMES = 3, BODY = 1, CAPTURE = 1, VALUE = 0);
    counts!(LOSER_RESUMES = 2, LOSER_BODY = 1, LOSER_CAPTURE = 1, LOSER_VALUE = 0);
    drop(value);
    counts!(RESUMES = 3, BODY = 1, CAPTURE = 1, VALUE = 1);
}

#[test]
fn a_timeout_cancels_once() {
    coro!(c, RESUMES, BODY, CAPTURE, VALUE, 0, yield forever());
    let result = Loop::new().run(timeout(c, common::ms(1))).unwrap();
    assert_eq!(result.map(drop), Err(TimedOut));
    counts!(RESUMES = 1, BODY = 1, CAPTURE = 1, VALUE = 0);
}

#[test]
fn a_shielded_one_is_not_resumed_by_a_cancellation() {
    coro!(c, RESUMES, BODY, CAPTURE, VALUE, 4, ());
    let main = co! { drop(yield shield(c)); yield; };
    Loop::new().run((main, co! { yield; Err("x")?; })).unwrap_err();
    counts!(RESUMES = 5, BODY = 1, CAPTURE = 1, VALUE = 1);
}

#[test]
fn a_future_is_polled_once_for_each_time_it_was_woken() {
    let gate = Gate::new();
    let waits = gate.clone();
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime((co! { waits.await }, co! { for _ in 0..10 { yield; } }));
    let _ = common::to_idle(&mut runtime);
    assert_eq!(gate.polls(), 1);
    gate.waker().unwrap().wake();
    let _ = common::to_idle(&mut runtime);
    assert_eq!(gate.polls(), 2);
    let waker = gate.waker().unwrap();
    waker.wake_by_ref();
    waker.wake_by_ref();
    waker.wake_by_ref();
    let (steps, _) = common::to_idle(&mut runtime);
    assert_eq!((gate.polls(), steps), (3, 1));
    gate.open();
    let (steps, result) = to_end(&mut runtime);
    result.unwrap();
    // Its own turn, and that of who waits for it.
    assert_eq!((gate.polls(), steps), (4, 2));
    waker.wake();
    assert_eq!(gate.polls(), 4);
}

#[test]
fn a_shared_of_many_waiters_resumes_each_once() {
    let resumes = Counter::new();
    let shared: Shared<u32> = co! { yield; yield; 7 }.shared();
    let waiters: Vec<_> = (0..100)
        .map(|_| {
            let (shared, resumes) = (shared.clone(), resumes.clone());
            co! {
                resumes.up();
                let value = yield shared;
                resumes.up();
                value
            }
        })
        .collect();
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(waiters);
    let (steps, result) = to_end(&mut runtime);
    assert_eq!(result.unwrap(), [7; 100]);
    assert_eq!(resumes.get(), 200);
    assert_eq!(steps, 2 + 200 + 3);
}

#[test]
fn an_error_among_many_is_one_turn_for_each() {
    let drops = Counter::new();
    let others: Vec<_> = (0..100)
        .map(|_| {
            let guard = drops.guard();
            co! { let _guard = guard; yield forever(); }
        })
        .collect();
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime((others, co! { yield; Err("x")?; }));
    // All have begun, and the last has failed.
    for _ in 0..103 {
        ran(&mut runtime);
    }
    assert_eq!(drops.get(), 0);
    for dropped in 1..=100 {
        ran(&mut runtime);
        assert_eq!(drops.get(), dropped);
    }
    // The two that gather.
    let (steps, result) = to_end(&mut runtime);
    assert!(result.is_err());
    assert!(steps <= 4, "{steps}");
}
