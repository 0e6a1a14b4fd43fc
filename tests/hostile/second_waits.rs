//! A coroutine written by hand waits for one thing at a time. A second wait, begun in the same turn or while the first one is unfinished,
//! raises an error when it is polled. The first wait loses nothing, and nothing leaks.

use std::future::pending;
use std::pin::pin;
use std::task::Poll;

use tinyield::by_hand::{Outcome, Resume, Suspend};
use tinyield::{
    Barrier, Coro, Error, Event, Lock, Loop, Semaphore, Wait, as_completed, catch, channel, co, isolate, race, shield,
    sleep, spawn, timeout,
};

use crate::common::by_hand::until_ready;
use crate::common::{Alive, Gate, LONG, forever, ms, simulated, to_end, to_idle};

/// Whether the poll has raised the error of a second wait.
pub fn is_refused<T>(polled: &Poll<Result<T, Error>>) -> bool {
    matches!(polled, Poll::Ready(Err(error)) if error.to_string().starts_with("a second wait was begun"))
}

#[test]
fn first_wait_gives_its_value_although_a_second_was_refused() {
    let gate = Gate::new();
    let waits = gate.clone();
    let coro: Coro<&str> = Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            let mut first = resume.begin(co! { waits.await; "gate" });
            let mut second = resume.begin(co! { unreachable!("a refused wait starts nothing") });
            // In the turn of the misuse, both raise.
            assert!(is_refused(&second.poll(&resume)) && is_refused(&first.poll(&resume)));
            drop(second);
            resume = yield Suspend;
            Outcome::value(until_ready!(resume, first.poll(&resume))?)
        },
    );
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(coro);
    let _ = to_idle(&mut runtime);
    gate.open();
    assert_eq!(to_end(&mut runtime).1.unwrap(), "gate");
}

#[test]
fn second_wait_is_refused_although_the_first_is_ready_or_dropped() {
    let coro = Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            let mut ready = resume.begin(());
            let mut never = resume.begin(sleep(LONG));
            let first_turn = is_refused(&never.poll(&resume)) && is_refused(&ready.poll(&resume));
            resume = yield Suspend;
            assert!(matches!(ready.poll(&resume), Poll::Ready(Ok(()))));
            drop(resume.begin(sleep(LONG)));
            let mut after_dropped = resume.begin(());
            Outcome::value(first_turn && is_refused(&after_dropped.poll(&resume)))
        },
    );
    assert!(Loop::new().run(coro).unwrap());
}

/// Begins `wait` as a second wait, and polls it when the first one is over. Returns whether the poll gave a value.
fn gives_value_later<W: Wait + 'static>(wait: W) -> bool {
    let coro: Coro<bool> = Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            let mut first = resume.begin(sleep(ms(0)));
            let mut second = resume.begin(wait);
            resume = yield Suspend;
            until_ready!(resume, first.poll(&resume))?;
            match second.poll(&resume) {
                Poll::Ready(result) => Outcome::value(result.is_ok()),
                Poll::Pending => panic!("a refused wait is pending"),
            }
        },
    );
    Loop::new().run(coro).unwrap()
}

#[test]
fn refused_wait_gives_no_value_in_a_later_turn() {
    let (event, semaphore, lock, barrier) = (Event::new(), Semaphore::new(1), Lock::new(()), Barrier::new(1));
    let (sender, receiver) = channel::bounded(1);
    assert!(!gives_value_later(sleep(LONG)));
    assert!(!gives_value_later(event.wait()));
    assert!(!gives_value_later(event.wait_timeout(LONG)));
    assert!(!gives_value_later(semaphore.acquire()));
    assert!(!gives_value_later(lock.acquire()));
    assert!(!gives_value_later(barrier.wait()));
    assert!(!gives_value_later(sender.send(1)));
    assert!(!gives_value_later(receiver.recv()));
    assert!(!gives_value_later(co! {}));
    assert!(!gives_value_later(co! {}.shared()));
    assert!(!gives_value_later(spawn(co! {})));
    assert!(!gives_value_later([sleep(LONG), sleep(LONG)]));
    assert!(!gives_value_later(vec![co! {}]));
    assert!(!gives_value_later((sleep(LONG), event.wait())));
    assert!(!gives_value_later(Some(sleep(LONG))));
    assert!(!gives_value_later(timeout(co! {}, LONG)));
    assert!(!gives_value_later(race([co! {}])));
    assert!(!gives_value_later(isolate(co! {})));
    assert!(!gives_value_later(shield(co! {})));
    assert!(!gives_value_later(as_completed([co! {}])));
    assert_eq!((semaphore.available(), event.statistics().waiting, receiver.len()), (1, 0, 0));
    assert!(!lock.is_locked());
}

#[test]
fn caught_second_wait_gives_the_error() {
    let coro: Coro<bool> = Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            let first = resume.begin(forever());
            let mut second = resume.begin(catch(sleep(LONG)));
            let polled = second.poll(&resume);
            drop(first);
            if false {
                resume = yield Suspend;
            }
            drop(resume);
            let Poll::Ready(Ok(Err(error))) = polled else { panic!("it should have given the error") };
            Outcome::value(error.to_string().starts_with("a second wait was begun"))
        },
    );
    assert!(Loop::new().run(coro).unwrap());
}

#[test]
fn permit_of_a_first_wait_is_passed_on_when_the_error_of_a_second_ends_the_coroutine() {
    let semaphore = Semaphore::new(1);
    let (first, next) = (semaphore.clone(), semaphore.clone());
    let misuses: Coro<()> = Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            let _has_permit = resume.begin(first.acquire());
            let mut second = resume.begin(forever());
            until_ready!(resume, second.poll(&resume))?;
            unreachable!("the second wait raises")
        },
    );
    let main = co! {
        let (result, _permit) = yield (isolate(misuses), next.acquire());
        result.is_err()
    };
    assert!(Loop::new().run(main).unwrap());
    assert_eq!(semaphore.available(), 1);
}

#[test]
fn coroutine_that_ignores_the_errors_of_second_waits_is_cancelled_with_the_rest() {
    let alive = Alive::new();
    let (held, child_held) = (alive.token(), alive.token());
    let ignores: Coro<()> = Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            let _held = held;
            let _first = resume.begin(isolate(co! { let _held = child_held; yield forever(); }));
            loop {
                for _ in 0..3 {
                    let _ = resume.begin(forever()).poll(&resume);
                }
                resume = yield Suspend;
            }
        },
    );
    let error = simulated().run((ignores.named("ignores"), co! { yield sleep(ms(1)); Err("stop")?; })).unwrap_err();
    assert_eq!(error.to_string(), "stop");
    let [other] = error.others() else { panic!("{error:?}") };
    assert!(other.to_string().contains("`ignores`"), "{other}");
    assert_eq!(alive.get(), 0);
}

#[test]
fn pending_future_wakes_its_coroutine_although_a_wait_was_refused() {
    let gate = Gate::new();
    let opened = gate.clone();
    let first = Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            let mut opened = pin!(opened);
            assert!(resume.poll_future(opened.as_mut()).is_pending());
            assert!(is_refused(&resume.begin(sleep(LONG)).poll(&resume)));
            until_ready!(resume, resume.poll_future(opened.as_mut()))?;
            Outcome::value("opened")
        },
    );
    let opens = co! { yield sleep(ms(1)); gate.open(); };
    assert_eq!(Loop::new().run((first, opens)).unwrap().0, "opened");
}

#[test]
fn future_is_refused_while_a_wait_is_unfinished() {
    let coro = Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            let mut first = resume.begin(sleep(ms(1)));
            let mut never = pin!(pending::<()>());
            assert!(is_refused(&resume.poll_future(never.as_mut())));
            until_ready!(resume, first.poll(&resume))?;
            Outcome::value("slept")
        },
    );
    assert_eq!(Loop::new().run(coro).unwrap(), "slept");
}
