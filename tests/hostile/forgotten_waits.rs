//! Waits that were begun and then forgotten with `mem::forget`. The loop still ends, and everything that they started
//! is cancelled or waited for.

use std::task::Poll;

use tinyield::by_hand::{Outcome, Resume, Suspend};
use tinyield::{Coro, Loop, Shared, TimedOut, Wait, co, isolate, race, shield, sleep, spawn, timeout};

use super::second_waits::is_refused;
use crate::common::by_hand::{forgets_wait, until_ready};
use crate::common::{Alive, LONG, OnDrop, forever, forget, ms, simulated, turns};

/// Forgets a wait for `wait`, and begins a second wait, which is refused. Waits again when the forgotten wait is over.
fn waits_again_after_forgetting<W: Wait + 'static>(wait: W) -> Coro<()> {
    Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            forget(resume.begin(wait));
            assert!(is_refused(&resume.begin(sleep(ms(0))).poll(&resume)));
            resume = yield Suspend;
            let mut next = resume.begin((turns(3), sleep(ms(1))));
            until_ready!(resume, next.poll(&resume))?;
            Outcome::value(())
        },
    )
}

#[test]
fn coroutine_waits_again_when_its_forgotten_wait_is_over() {
    simulated().run(waits_again_after_forgetting(())).unwrap();
    simulated().run(waits_again_after_forgetting(sleep(ms(1)))).unwrap();
    simulated().run(waits_again_after_forgetting(turns(2))).unwrap();
    simulated().run(waits_again_after_forgetting(turns(2).shared())).unwrap();
    simulated().run(waits_again_after_forgetting(spawn(turns(2)))).unwrap();
    simulated().run(waits_again_after_forgetting(timeout(turns(2), LONG))).unwrap();
    simulated().run(waits_again_after_forgetting(timeout(forever(), ms(1)))).unwrap();
    simulated().run(waits_again_after_forgetting(isolate(turns(2)))).unwrap();
}

#[test]
fn second_wait_raises_while_a_forgotten_one_is_unfinished() {
    let coro: Coro<()> = Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            forget(resume.begin(forever()));
            let mut second = resume.begin(co! { unreachable!("a refused wait starts nothing") });
            until_ready!(resume, second.poll(&resume))?;
            unreachable!("the second wait raises")
        },
    );
    let error = Loop::new().run(coro).unwrap_err();
    assert!(error.to_string().starts_with("a second wait was begun"), "{error}");
}

#[test]
fn coroutines_started_by_a_forgotten_wait_end_before_the_loop() {
    let forgets = |wait| forgets_wait(wait, ());
    simulated().run(forgets_wait(timeout(turns(5), LONG), ())).unwrap();
    simulated().run(forgets_wait(timeout(forever(), ms(1)), ())).unwrap();
    simulated().run(forgets_wait(race([turns(5), turns(5)]), ())).unwrap();
    simulated().run(forgets_wait(isolate(turns(5)), ())).unwrap();
    simulated().run(forgets(shield(turns(5)))).unwrap();
    let nested = forgets_wait(timeout(isolate(forgets(shield(turns(5)))), LONG), ());
    simulated().run(isolate(nested)).unwrap().unwrap();
}

#[test]
fn forgotten_wait_is_cancelled_with_the_rest() {
    let alive = Alive::new();
    let held = alive.token();
    let coro: Coro<()> = Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            forget(resume.begin(isolate(co! { let _held = held; yield forever(); })));
            resume = yield Suspend;
            // Resumed for its cancellation.
            let mut wait = resume.begin(forever());
            Outcome::value(until_ready!(resume, wait.poll(&resume))?)
        },
    );
    let error = Loop::new().run((coro, co! { yield turns(5); Err("stop")?; })).unwrap_err();
    assert_eq!(error.to_string(), "stop");
    assert!(error.others().is_empty(), "{error:?}");
    assert_eq!(alive.get(), 0);
}

#[test]
fn timeout_is_over_although_a_wait_for_a_shared_coroutine_was_forgotten_in_it() {
    let shared = turns(20).shared();
    let main = co! { yield timeout(co! { yield forgets_wait(shared, ()); yield forever(); }, ms(0)) };
    assert_eq!(Loop::new().run(main).unwrap(), Err(TimedOut));
}

/// A coroutine that forgets a wait for `shared`, and ends with a value that panics when it is dropped.
fn leaves_bomb(shared: Shared<()>) -> Coro<OnDrop<impl FnMut()>> {
    forgets_wait(shared, OnDrop(|| panic!("dropped")))
}

#[test]
fn loop_ends_although_a_value_kept_by_a_forgotten_wait_panics_when_dropped() {
    let slow = turns(5).shared();
    let main = co! {
        drop(yield spawn(leaves_bomb(slow.clone())));
        drop(yield spawn(slow));
    };
    Loop::new().run(main).unwrap();
}

#[test]
fn other_waiters_are_settled_although_a_value_kept_by_a_forgotten_wait_panics_when_dropped() {
    let slow = turns(5).shared();
    let main = co! {
        drop(yield spawn(leaves_bomb(slow.clone())));
        yield;
        yield shield(slow);
        "settled"
    };
    assert_eq!(Loop::new().run(main).unwrap(), "settled");
}

#[test]
fn forgotten_wait_that_is_never_polled_keeps_no_coroutine_from_ending() {
    // The wait is over in the second turn, and its output is never taken.
    let coro: Coro<bool> = Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            forget(resume.begin(co! { String::from("nobody takes it") }));
            resume = yield Suspend;
            let mut next = resume.begin(());
            let polled = next.poll(&resume);
            drop(yield Suspend);
            Outcome::value(matches!(polled, Poll::Pending))
        },
    );
    assert!(Loop::new().run(coro).unwrap());
}
