//! Misuse of the protocol between a coroutine and its loop: a `Resume` in the wrong place, a wait polled too often or
//! by another coroutine, suspending without a wait.

use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use tinyield::by_hand::{Outcome, Resume, Suspend};
use tinyield::{Coro, Loop, Wait, co, sleep, spawn};

use crate::common::by_hand::until_ready;
use crate::common::{Alive, Counter, forever, ms, to_idle};

type Kept = Rc<RefCell<Option<Resume>>>;

/// A coroutine that gives its first `Resume` away, and waits for `wait` with the later ones.
fn gives_resume_away<W: Wait + 'static>(kept: &Kept, wait: W) -> Coro<W::Output> {
    let kept = kept.clone();
    Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            *kept.borrow_mut() = Some(resume);
            resume = yield Suspend;
            let mut wait = resume.begin(wait);
            Outcome::value(until_ready!(resume, wait.poll(&resume))?)
        },
    )
}

/// Begins a wait with `resume`, polls it, and returns the result in words.
fn wait_with(resume: &Resume) -> String {
    let mut wait = resume.begin(sleep(ms(0)));
    match wait.poll(resume) {
        Poll::Ready(Err(error)) => error.to_string(),
        Poll::Ready(Ok(())) => "ready".to_string(),
        Poll::Pending => "pending".to_string(),
    }
}

#[track_caller]
fn assert_raises_stale_resume(resume: &Resume) {
    let message = wait_with(resume);
    assert!(message.contains("a `Resume` was used outside of the turn"), "{message}");
}

#[test]
fn resume_of_another_coroutine_raises() {
    let kept = Kept::default();
    let theirs = kept.clone();
    let other = co! {
        yield;
        let resume = theirs.take().expect("the other coroutine has had its first turn");
        assert_raises_stale_resume(&resume);
        let mut future = pin!(std::future::ready(1));
        assert!(matches!(resume.poll_future(future.as_mut()), Poll::Ready(Err(_))));
        yield;
        "other"
    };
    let both = (gives_resume_away(&kept, co! { yield; "first" }), other);
    assert_eq!(Loop::new().run(both).unwrap(), ("first", "other"));
}

#[test]
fn resume_used_outside_of_any_turn_raises() {
    let kept = Kept::default();
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(gives_resume_away(&kept, forever()));
    let _ = to_idle(&mut runtime);
    let resume = kept.take().unwrap();
    assert_raises_stale_resume(&resume);
    let _ = to_idle(&mut runtime);
    drop(runtime);
    // The run is over.
    assert_raises_stale_resume(&resume);
    // In a turn of another loop.
    let main = co! { assert_raises_stale_resume(&resume); yield; resume };
    let resume = Loop::new().run(main).unwrap();
    drop(event_loop);
    assert_raises_stale_resume(&resume);
}

#[test]
fn old_resume_works_in_a_turn_of_its_own_coroutine() {
    let kept = Kept::default();
    let own = kept.clone();
    let coro: Coro<i32> = Coro::from_coroutine(
        #[coroutine]
        static move |resume: Resume| {
            *own.borrow_mut() = Some(resume);
            let _new = yield Suspend;
            let old = own.take().unwrap();
            let mut wait = old.begin(co! { yield; 4 });
            loop {
                match wait.poll(&old) {
                    Poll::Ready(output) => break Outcome::value(output?),
                    Poll::Pending => drop(yield Suspend),
                }
            }
        },
    );
    assert_eq!(Loop::new().run(coro).unwrap(), 4);
}

/// Waits for `wait`, and polls it once more. Gives the error that the last poll raised, or `None` if the wait was ready again.
fn polls_once_too_often<W: Wait + 'static>(wait: W) -> Option<String> {
    let coro: Coro<Option<String>> = Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            let mut wait = resume.begin(wait);
            drop(until_ready!(resume, wait.poll(&resume))?);
            match wait.poll(&resume) {
                Poll::Ready(Err(error)) => Outcome::value(Some(error.to_string())),
                Poll::Ready(Ok(_)) => Outcome::value(None),
                Poll::Pending => panic!("it is pending again"),
            }
        },
    );
    let message = Loop::new().run(coro).unwrap();
    assert!(message.as_ref().is_none_or(|text| text.contains("polled after it had been ready")), "{message:?}");
    message
}

#[test]
fn polling_a_finished_wait_gives_no_second_value() {
    let once = || co! { String::from("once") };
    assert!(polls_once_too_often(once()).is_some());
    assert!(polls_once_too_often([once()]).is_some());
    assert!(polls_once_too_often(spawn(once())).is_some());
    // The other kinds are in `by_hand_waits.rs`. Here there is no value that could be taken twice.
    polls_once_too_often(());
    polls_once_too_often(co! { 1 }.shared());
}

#[test]
fn polling_a_wait_with_the_resume_of_another_coroutine_gives_no_value() {
    let kept = Kept::default();
    let theirs = kept.clone();
    let thief: Coro<()> = Coro::from_coroutine(
        #[coroutine]
        static move |resume: Resume| {
            let owner = theirs.take().unwrap();
            // Begun with its own `Resume` and polled with that of the other coroutine; then the other way around.
            let mut own = resume.begin(co! { yield; String::from("value") });
            assert!(!matches!(own.poll(&owner), Poll::Ready(Ok(_))));
            let mut other = owner.begin(co! { yield; String::from("value") });
            assert!(!matches!(other.poll(&resume), Poll::Ready(Ok(_))));
            drop((own, other));
            yield Suspend;
            Outcome::value(())
        },
    );
    Loop::new().run((gives_resume_away(&kept, co! { yield; }), thief)).unwrap();
}

#[test]
fn suspending_without_a_wait_is_a_turn() {
    let turns = Counter::new();
    let counts = turns.clone();
    let coro: Coro<()> = Coro::from_coroutine(
        #[coroutine]
        static move |_: Resume| {
            for _ in 0..3 {
                counts.up();
                yield Suspend;
            }
            Outcome::value(())
        },
    );
    Loop::new().run(coro).unwrap();
    assert_eq!(turns.get(), 3);
}

#[test]
fn coroutine_that_ignores_its_cancellation_is_dropped_and_reported() {
    let (resumed, alive) = (Counter::new(), Alive::new());
    let (counts, held) = (resumed.clone(), alive.token());
    let coro: Coro<()> = Coro::from_coroutine(
        #[coroutine]
        static move |_: Resume| {
            let _held = held;
            loop {
                counts.up();
                yield Suspend;
            }
        },
    );
    let error = Loop::new().run((coro.named("deaf"), co! { yield; Err("stop")?; })).unwrap_err();
    assert_eq!(error.to_string(), "stop");
    let [other] = error.others() else { panic!("{error:?}") };
    assert!(other.to_string().contains("`deaf`"), "{other}");
    assert!(resumed.get() < 110, "{}", resumed.get());
    assert_eq!(alive.get(), 0);
}

#[test]
fn begun_wait_is_polled_by_a_coroutine_of_a_nested_loop() {
    let outer: Coro<String> = Coro::from_coroutine(
        #[coroutine]
        static move |resume: Resume| {
            let wait = Rc::new(RefCell::new(resume.begin(co! { yield; yield; String::from("value") })));
            loop {
                let theirs = wait.clone();
                let inner: Coro<Option<String>> = Coro::from_coroutine(
                    #[coroutine]
                    static move |resume: Resume| {
                        if false {
                            yield Suspend;
                        }
                        let polled = theirs.borrow_mut().poll(&resume);
                        Outcome::value(if let Poll::Ready(Ok(value)) = polled { Some(value) } else { None })
                    },
                );
                if let Some(value) = Loop::new().run(inner).unwrap() {
                    break Outcome::value(value);
                }
                drop(yield Suspend);
            }
        },
    );
    assert_eq!(Loop::new().run(outer).unwrap(), "value");
}
