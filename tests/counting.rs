//! The exact number of resumptions and drops of a coroutine, after every step.
#![feature(coroutines)]
// The counters that `coro!` makes have names in capitals, to distinguish them from other variables.
#![allow(non_snake_case)]

mod common;

use common::{Counter, Gate, Guard, forever, ms, panic_of, ran, to_end, to_idle, turns};
use tinyield::{Coro, Loop, Runtime, Shared, Step, TimedOut, co, race, shield, spawn, timeout};

/// Makes a coroutine with counters.
///
/// Usage: `coro!(name, RESUMES, BODY, CAPTURE, VALUE, |yields| end)`
///
/// It counts its resumptions, and the drops of a local of its body, of its capture, and of its value. It yields
/// `yields` times, and then ends with `end`, which may raise or panic.
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

/// The step that ends the run.
fn done<T>(runtime: &mut Runtime<'_, T>) -> Result<T, tinyield::LoopError> {
    match runtime.step() {
        Step::Done(result) => result,
        Step::Ran => panic!("a coroutine ran"),
        Step::Idle(_) => panic!("the loop is idle"),
    }
}

#[test]
fn dropping_an_unstarted_coroutine_drops_its_captures() {
    coro!(c, RESUMES, BODY, CAPTURE, VALUE, 3, ());
    counts!(RESUMES = 0, BODY = 0, CAPTURE = 0, VALUE = 0);
    drop(c);
    counts!(RESUMES = 0, BODY = 0, CAPTURE = 1, VALUE = 0);
}

#[test]
fn dropping_an_unstarted_runtime_drops_the_captures() {
    coro!(c, RESUMES, BODY, CAPTURE, VALUE, 3, ());
    let mut event_loop = Loop::new();
    let runtime = event_loop.runtime(c);
    counts!(RESUMES = 0, BODY = 0, CAPTURE = 0, VALUE = 0);
    drop(runtime);
    counts!(RESUMES = 0, BODY = 0, CAPTURE = 1, VALUE = 0);
}

#[test]
fn finished_coroutine_drops_its_body_and_gives_its_value() {
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
fn value_that_is_not_taken_is_dropped_with_the_runtime() {
    coro!(c, RESUMES, BODY, CAPTURE, VALUE, 0, ());
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(c);
    ran(&mut runtime);
    counts!(RESUMES = 1, BODY = 1, CAPTURE = 1, VALUE = 0);
    drop(runtime);
    counts!(RESUMES = 1, BODY = 1, CAPTURE = 1, VALUE = 1);
}

#[test]
fn coroutine_that_raises_drops_its_body_once() {
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
fn coroutine_that_panics_drops_its_body_once() {
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
    // One of the next two steps panics.
    assert_eq!(panic_of(|| to_end(&mut runtime).1.map(drop)), "boo");
    counts!(RESUMES = 2, BODY = 1, CAPTURE = 1, VALUE = 0);
    drop(runtime);
    counts!(RESUMES = 2, BODY = 1, CAPTURE = 1, VALUE = 0);
}

#[test]
fn cancelled_coroutine_drops_its_body_once() {
    coro!(c, RESUMES, BODY, CAPTURE, VALUE, 1, yield forever());
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime((c, co! { yield; yield; yield; Err("x")?; }));
    // The gathering task, then both coroutines in turn.
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
    // The cancellation: of the coroutine, and then of the gathering task.
    ran(&mut runtime);
    counts!(RESUMES = 2, BODY = 1, CAPTURE = 1, VALUE = 0);
    assert_eq!(to_end(&mut runtime).1.map(drop).unwrap_err().to_string(), "x");
    counts!(RESUMES = 2, BODY = 1, CAPTURE = 1, VALUE = 0);
}

#[test]
fn coroutine_cancelled_before_it_begins_drops_its_captures_once() {
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
fn dropping_the_runtime_after_each_step_drops_everything_once() {
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
fn value_is_dropped_at_the_end_if_the_handle_is_gone() {
    coro!(c, RESUMES, BODY, CAPTURE, VALUE, 2, ());
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(co! { drop(yield spawn(c)); });
    ran(&mut runtime);
    counts!(RESUMES = 0, BODY = 0, CAPTURE = 0, VALUE = 0);
    // Spawning is a turn: the spawned coroutine begins before the other goes on and drops the handle.
    let (_, result) = to_end(&mut runtime);
    result.unwrap();
    counts!(RESUMES = 3, BODY = 1, CAPTURE = 1, VALUE = 1);
}

#[test]
fn handle_dropped_after_the_end_drops_the_value() {
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
    let _ = to_idle(&mut runtime);
    counts!(RESUMES = 1, BODY = 1, CAPTURE = 1, VALUE = 0);
    gate.open();
    to_end(&mut runtime).1.unwrap();
    counts!(RESUMES = 1, BODY = 1, CAPTURE = 1, VALUE = 1);
}

#[test]
fn handle_that_outlives_the_run_keeps_the_value() {
    coro!(c, RESUMES, BODY, CAPTURE, VALUE, 1, ());
    let handle = Loop::new().run(co! { yield spawn(c) }).unwrap();
    counts!(RESUMES = 2, BODY = 1, CAPTURE = 1, VALUE = 0);
    drop(handle);
    counts!(RESUMES = 2, BODY = 1, CAPTURE = 1, VALUE = 1);
}

#[test]
fn gather_resumes_its_waiter_once() {
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
fn value_in_a_cancelled_gather_is_dropped_once() {
    coro!(c, RESUMES, BODY, CAPTURE, VALUE, 0, ());
    let sees = VALUE.clone();
    let error =
        Loop::new().run((co! { yield (c, forever()); }, co! { yield; yield; assert_eq!(sees.get(), 0); Err("x")?; }));
    assert!(error.is_err());
    counts!(RESUMES = 1, BODY = 1, CAPTURE = 1, VALUE = 1);
}

#[test]
fn shared_value_is_cloned_once_for_each_waiter_and_kept_until_the_last_handle_is_dropped() {
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
fn race_cancels_the_loser_once_and_gives_the_value_of_the_winner_once() {
    coro!(winner, RESUMES, BODY, CAPTURE, VALUE, 2, ());
    coro!(loser, LOSER_RESUMES, LOSER_BODY, LOSER_CAPTURE, LOSER_VALUE, 9, ());
    let value = Loop::new().run(race([winner, loser])).unwrap();
    counts!(RESUMES = 3, BODY = 1, CAPTURE = 1, VALUE = 0);
    counts!(LOSER_RESUMES = 2, LOSER_BODY = 1, LOSER_CAPTURE = 1, LOSER_VALUE = 0);
    drop(value);
    counts!(RESUMES = 3, BODY = 1, CAPTURE = 1, VALUE = 1);
}

#[test]
fn timeout_cancels_once() {
    coro!(c, RESUMES, BODY, CAPTURE, VALUE, 0, yield forever());
    let result = Loop::new().run(timeout(c, ms(1))).unwrap();
    assert_eq!(result.map(drop), Err(TimedOut));
    counts!(RESUMES = 1, BODY = 1, CAPTURE = 1, VALUE = 0);
}

#[test]
fn cancellation_does_not_resume_a_shielded_coroutine() {
    coro!(c, RESUMES, BODY, CAPTURE, VALUE, 4, ());
    let main = co! { drop(yield shield(c)); yield; };
    Loop::new().run((main, co! { yield; Err("x")?; })).unwrap_err();
    counts!(RESUMES = 5, BODY = 1, CAPTURE = 1, VALUE = 1);
}

#[test]
fn future_is_polled_once_for_each_round_in_which_it_was_woken() {
    let gate = Gate::new();
    let waits = gate.clone();
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime((co! { waits.await }, turns(10)));
    let _ = to_idle(&mut runtime);
    assert_eq!(gate.polls(), 1);
    gate.waker().unwrap().wake();
    let _ = to_idle(&mut runtime);
    assert_eq!(gate.polls(), 2);
    let waker = gate.waker().unwrap();
    waker.wake_by_ref();
    waker.wake_by_ref();
    waker.wake_by_ref();
    let (steps, _) = to_idle(&mut runtime);
    assert_eq!((gate.polls(), steps), (3, 1));
    gate.open();
    let (steps, result) = to_end(&mut runtime);
    result.unwrap();
    // The turn of the coroutine, and that of the gathering task.
    assert_eq!((gate.polls(), steps), (4, 2));
    waker.wake();
    assert_eq!(gate.polls(), 4);
}

#[test]
fn shared_coroutine_resumes_each_of_many_waiters_once() {
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
fn error_takes_one_turn_for_each_of_many_coroutines() {
    let drops = Counter::new();
    let others: Vec<_> = (0..100)
        .map(|_| {
            let guard = drops.guard();
            co! { let _guard = guard; yield forever(); }
        })
        .collect();
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime((others, co! { yield; Err("x")?; }));
    // Both gathering tasks and all coroutines have begun, and the last one has failed.
    for _ in 0..103 {
        ran(&mut runtime);
    }
    assert_eq!(drops.get(), 0);
    for dropped in 1..=100 {
        ran(&mut runtime);
        assert_eq!(drops.get(), dropped);
    }
    // The two gathering tasks.
    let (steps, result) = to_end(&mut runtime);
    assert!(result.is_err());
    assert!(steps <= 4, "{steps}");
}
