//! Each kind of wait, begun by hand and then dropped early, polled too often, or polled with the `Resume` of another coroutine. That does
//! no harm, and leaves nothing behind.
#![feature(coroutines)]

mod common;

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn, ready};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};

use common::{Alive, LONG, OnDrop, Token, forever, ms, simulated};
use tinyield::by_hand::{Outcome, Resume, Suspend};
use tinyield::channel::{bounded, unbounded};
use tinyield::{
    Barrier, Coro, Event, Lock, Loop, Semaphore, TimedOut, Wait, abortable, as_completed, catch, co, dump, finally,
    interval, isolate, now, race, settled, shield, sleep, spawn, stream, timeout,
};

/// Never ends by itself, and is counted.
fn never(alive: &Alive) -> Coro<Token> {
    let token = alive.token();
    co! { yield forever(); token }
}

/// Ends in its first turn, and is counted.
fn soon(alive: &Alive) -> Coro<Token> {
    let token = alive.token();
    co! { token }
}

/// The next value of a stream of one value, which is counted.
fn next_value(alive: &Alive) -> impl Wait<Output = Option<Token>> + use<> {
    let token = alive.token();
    stream(|out| co! { yield out.emit(token); }).next()
}

/// The next value of a stream that never gives any, and is counted.
fn no_value(alive: &Alive) -> impl Wait<Output = Option<Token>> + use<> {
    let never = never(alive);
    stream(|out| co! { yield out.emit(yield never); }).next()
}

/// Begins a wait and suspends; then another coroutine drops the wait.
fn begins_and_leaves<W: Wait + 'static>(wait: W) -> Coro<String> {
    let kept: Rc<RefCell<Option<Box<dyn Any>>>> = Rc::default();
    let dropped = kept.clone();
    let begins = Coro::from_coroutine(
        #[coroutine]
        static move |resume: Resume| {
            let mut active = resume.begin(wait);
            let debug = format!("{active:?}");
            assert!(active.poll(&resume).is_pending(), "each wait is a turn");
            *kept.borrow_mut() = Some(Box::new(active));
            drop(yield Suspend);
            Outcome::value(debug)
        },
    );
    co! { (yield (begins, co! { drop(dropped.take()); })).0 }
}

/// Begins `wait` and drops it, in a loop that could not end if a part of the wait stayed behind.
fn assert_leaves_nothing<W: Wait + 'static>(wait: W) {
    let debug = Loop::new().run(begins_and_leaves(wait)).unwrap();
    assert_eq!(debug, "ActiveWait { ready: false, .. }");
}

#[test]
fn a_dropped_wait_gives_up_and_cancels_what_it_started() {
    let alive = Alive::new();
    let (event, barrier) = (Event::new(), Barrier::new(2));
    let (semaphore, lock) = (Semaphore::new(1), Lock::new(()));
    let (_permit, _guard) = (semaphore.try_acquire().unwrap(), lock.try_acquire().unwrap());
    let (sender, receiver) = bounded(1);

    assert_leaves_nothing(timeout(never(&alive), LONG));
    assert_leaves_nothing(race([never(&alive), never(&alive)]));
    assert_leaves_nothing(isolate(never(&alive)));
    assert_leaves_nothing(shield(never(&alive)));
    assert_leaves_nothing(catch(isolate(never(&alive))));
    assert_leaves_nothing(sleep(LONG));
    assert_leaves_nothing(event.wait());
    assert_leaves_nothing(event.wait_timeout(LONG));
    assert_leaves_nothing((event.wait(), event.wait()));
    assert_leaves_nothing([event.wait(), event.wait()]);
    assert_leaves_nothing(vec![event.wait(), event.wait()]);
    assert_leaves_nothing(Some(event.wait()));
    assert_leaves_nothing(barrier.wait());
    assert_leaves_nothing(semaphore.acquire());
    assert_leaves_nothing(lock.acquire());
    assert_leaves_nothing(receiver.recv());
    sender.try_send(1).unwrap();
    assert_leaves_nothing(sender.send(2));
    assert_leaves_nothing(abortable(never(&alive)).0);
    assert_leaves_nothing(interval(LONG).tick());
    assert_leaves_nothing(no_value(&alive));
    assert_leaves_nothing(dump());
    assert_leaves_nothing(settled());
    assert_leaves_nothing(race((event.wait(), semaphore.acquire().map(drop))));
    assert_leaves_nothing(race(vec![event.wait(), event.wait()]));
    assert_leaves_nothing(event.wait().map(|()| 1));

    assert_eq!(alive.get(), 0);
    assert_eq!(event.statistics().waiting, 0);
    assert_eq!(barrier.statistics().waiting, 0);
    assert_eq!(semaphore.statistics().waiting, 0);
    assert_eq!(lock.statistics().waiting, 0);
    assert_eq!(sender.statistics().waiting_senders, 0);
    assert_eq!(receiver.statistics().waiting_receivers, 0);
    assert_eq!(receiver.try_recv(), Ok(1));
    assert!(receiver.is_empty());
}

/// Polls a wait until it is ready, and once more. Returns what the last poll gave.
fn polls_once_too_often<W: Wait + 'static>(wait: W) -> Option<String> {
    let coro = Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            let mut begun = resume.begin(wait);
            let _first = loop {
                match begun.poll(&resume) {
                    Poll::Ready(output) => break output?,
                    Poll::Pending => resume = yield Suspend,
                }
            };
            // The wait may keep a value, and drops it at the latest when it is dropped itself.
            let _ = format!("{begun:?}");
            Outcome::value(match begun.poll(&resume) {
                Poll::Ready(Err(error)) => Some(error.to_string()),
                Poll::Ready(Ok(_)) | Poll::Pending => None,
            })
        },
    );
    Loop::new().run(coro).unwrap()
}

const NOT_THERE: &str = "a wait was polled after it had been ready, or with the `Resume` of another coroutine";

#[test]
fn a_value_is_given_once_however_often_it_is_asked_for() {
    let alive = Alive::new();
    let refused = |error: Option<String>| assert_eq!(error.as_deref(), Some(NOT_THERE));
    let (semaphore, lock, (sender, receiver)) = (Semaphore::new(1), Lock::new(()), unbounded());

    refused(polls_once_too_often(timeout(soon(&alive), LONG)));
    refused(polls_once_too_often(timeout(never(&alive), ms(0))));
    refused(polls_once_too_often(race([soon(&alive)])));
    refused(polls_once_too_often(isolate(soon(&alive))));
    refused(polls_once_too_often(shield(soon(&alive))));
    refused(polls_once_too_often(spawn(soon(&alive))));
    refused(polls_once_too_often(as_completed([soon(&alive)])));
    refused(polls_once_too_often(semaphore.acquire()));
    refused(polls_once_too_often(lock.acquire()));
    refused(polls_once_too_often(sender.send(1)));
    refused(polls_once_too_often(receiver.recv()));
    refused(polls_once_too_often(abortable(soon(&alive)).0));
    refused(polls_once_too_often(as_completed([soon(&alive)]).limit(1)));
    refused(polls_once_too_often(interval(ms(1)).tick()));
    refused(polls_once_too_often(next_value(&alive)));
    refused(polls_once_too_often(dump()));
    refused(polls_once_too_often(now()));
    refused(polls_once_too_often(race((lock.acquire().map(drop), semaphore.acquire().map(drop)))));
    refused(polls_once_too_often(race([lock.acquire(), lock.acquire()])));
    refused(polls_once_too_often(lock.acquire().map(drop)));
    // A wait without a value may complete again.
    let told = Event::new();
    told.set();
    assert_eq!(polls_once_too_often(told.wait()), None);
    assert_eq!(polls_once_too_often(told.wait_timeout(LONG)), None);
    assert_eq!(polls_once_too_often(sleep(ms(0))), None);
    assert_eq!(polls_once_too_often(settled()), None);

    assert_eq!(alive.get(), 0);
    assert_eq!(semaphore.available(), 1);
    assert!(!lock.is_locked());
}

/// Begins a wait that another coroutine polls and drops. Gives the error that the poll raised.
fn polled_by_another<W: Wait + 'static>(wait: W) -> Coro<Option<String>> {
    let kept = Rc::new(RefCell::new(None));
    let shared = kept.clone();
    let begins = Coro::from_coroutine(
        #[coroutine]
        static move |resume: Resume| {
            let mut own = resume.begin(wait);
            let _ = own.poll(&resume);
            *shared.borrow_mut() = Some(own);
            drop(yield Suspend);
            Outcome::value(())
        },
    );
    let polls = Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            if false {
                resume = yield Suspend;
            }
            let mut active = kept.borrow_mut().take().expect("the other coroutine has begun its wait");
            Outcome::value(match active.poll(&resume) {
                Poll::Ready(Err(error)) => Some(error.to_string()),
                Poll::Ready(Ok(_)) | Poll::Pending => None,
            })
        },
    );
    co! { (yield (begins, polls)).1 }
}

fn is_polled_by_another<W: Wait + 'static>(wait: W) -> Option<String> {
    Loop::new().run(polled_by_another(wait)).unwrap()
}

#[test]
fn polling_the_unfinished_wait_of_another_coroutine_raises() {
    let alive = Alive::new();
    let (event, barrier) = (Event::new(), Barrier::new(2));
    let (semaphore, lock) = (Semaphore::new(1), Lock::new(()));
    let (_permit, _guard) = (semaphore.try_acquire().unwrap(), lock.try_acquire().unwrap());
    let (sender, receiver) = bounded(1);
    let refused = |error: Option<String>| assert_eq!(error.as_deref(), Some(NOT_THERE));

    refused(is_polled_by_another(timeout(never(&alive), LONG)));
    refused(is_polled_by_another(race([never(&alive), never(&alive)])));
    refused(is_polled_by_another(isolate(never(&alive))));
    refused(is_polled_by_another(sleep(LONG)));
    refused(is_polled_by_another(event.wait()));
    refused(is_polled_by_another(event.wait_timeout(LONG)));
    refused(is_polled_by_another(barrier.wait()));
    refused(is_polled_by_another(semaphore.acquire()));
    refused(is_polled_by_another(lock.acquire()));
    refused(is_polled_by_another(receiver.recv()));
    sender.try_send(1).unwrap();
    refused(is_polled_by_another(sender.send(2)));
    refused(is_polled_by_another(abortable(never(&alive)).0));
    refused(is_polled_by_another(interval(LONG).tick()));
    refused(is_polled_by_another(no_value(&alive)));
    refused(is_polled_by_another(dump()));
    refused(is_polled_by_another(settled()));
    refused(is_polled_by_another(race((event.wait(), semaphore.acquire().map(drop)))));
    refused(is_polled_by_another(race(vec![event.wait(), event.wait()])));

    let first = co! { (yield as_completed([co! { yield sleep(ms(20)); }])).next().unwrap() };
    let refused_later = simulated().run(co! { let next = yield first; yield polled_by_another(next) }).unwrap();
    refused(refused_later);

    assert_eq!(alive.get(), 0);
    assert_eq!(event.statistics().waiting, 0);
    assert_eq!(barrier.statistics().waiting, 0);
    assert_eq!(semaphore.statistics().waiting, 0);
    assert_eq!(receiver.len(), 1);
}

/// Begins to wait with the `Resume` of a coroutine that has ended.
fn is_begun_too_late<W: Wait + 'static>(wait: W) {
    let kept = Rc::new(RefCell::new(None));
    let keeps = kept.clone();
    let ended: Coro<()> = Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            if false {
                resume = yield Suspend;
            }
            *keeps.borrow_mut() = Some(resume);
            Outcome::value(())
        },
    );
    simulated().run(ended).unwrap();
    let resume = kept.take().unwrap();
    let mut begun = resume.begin(wait);
    assert_eq!(format!("{begun:?}"), "ActiveWait { ready: false, .. }");
    assert!(
        matches!(begun.poll(&resume), Poll::Ready(Err(error)) if error.to_string().contains("outside of the turn"))
    );
}

#[test]
fn a_wait_that_is_begun_for_a_coroutine_that_has_ended_never_begins() {
    let alive = Alive::new();
    let (semaphore, lock, (sender, receiver)) = (Semaphore::new(1), Lock::new(()), unbounded());

    is_begun_too_late(timeout(soon(&alive), LONG));
    is_begun_too_late(race([soon(&alive)]));
    is_begun_too_late(isolate(soon(&alive)));
    is_begun_too_late(shield(soon(&alive)));
    is_begun_too_late(spawn(soon(&alive)));
    is_begun_too_late(as_completed([soon(&alive)]));
    is_begun_too_late(sleep(ms(0)));
    is_begun_too_late(Event::new().wait());
    is_begun_too_late(Barrier::new(1).wait());
    is_begun_too_late(semaphore.acquire());
    is_begun_too_late(lock.acquire());
    is_begun_too_late(sender.send(1));
    is_begun_too_late(receiver.recv());
    is_begun_too_late(abortable(soon(&alive)).0);
    is_begun_too_late(finally(soon(&alive), || co! {}));
    is_begun_too_late(as_completed([soon(&alive)]).limit(1));
    is_begun_too_late(interval(ms(1)).tick());
    is_begun_too_late(next_value(&alive));
    is_begun_too_late(dump());
    is_begun_too_late(settled());
    is_begun_too_late(now());
    is_begun_too_late(race((lock.acquire().map(drop), semaphore.acquire().map(drop))));

    assert_eq!(alive.get(), 0);
    assert_eq!(semaphore.available(), 1);
    assert!(receiver.is_empty());
}

const SECOND_WAIT: &str = "a second wait was begun in the same turn, or while another was unfinished";

/// Begins `wait` while its coroutine waits for an event, and polls one of the two waits.
fn begins_a_second_wait<W: Wait + 'static>(wait: W, polls_first: bool) {
    let nobody_sets = Event::new();
    let event = nobody_sets.clone();
    let begins = Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            let mut first = resume.begin(event.wait());
            assert!(first.poll(&resume).is_pending());
            let mut second = resume.begin(wait);
            let error = if polls_first {
                match first.poll(&resume) {
                    Poll::Ready(Err(error)) => error,
                    Poll::Ready(Ok(())) | Poll::Pending => panic!("it should have raised"),
                }
            } else {
                match second.poll(&resume) {
                    Poll::Ready(Err(error)) => error,
                    Poll::Ready(Ok(_)) | Poll::Pending => panic!("it should have raised"),
                }
            };
            if false {
                resume = yield Suspend;
            }
            drop(resume);
            Outcome::value(error.to_string())
        },
    );
    let message = Loop::new().run(begins).unwrap();
    assert!(message.starts_with(SECOND_WAIT), "{message}");
    assert_eq!(nobody_sets.statistics().waiting, 0);
}

#[test]
fn a_second_wait_raises_and_starts_nothing() {
    let alive = Alive::new();
    let (semaphore, lock, (sender, receiver)) = (Semaphore::new(1), Lock::new(3), bounded(1));
    for polls_first in [true, false] {
        begins_a_second_wait(never(&alive), polls_first);
        begins_a_second_wait((), polls_first);
        begins_a_second_wait([soon(&alive), soon(&alive)], polls_first);
        begins_a_second_wait(timeout(soon(&alive), LONG), polls_first);
        begins_a_second_wait(race([soon(&alive)]), polls_first);
        begins_a_second_wait(isolate(soon(&alive)), polls_first);
        begins_a_second_wait(shield(soon(&alive)), polls_first);
        begins_a_second_wait(spawn(soon(&alive)), polls_first);
        begins_a_second_wait(as_completed([soon(&alive)]), polls_first);
        begins_a_second_wait(Barrier::new(1).wait(), polls_first);
        begins_a_second_wait(semaphore.acquire(), polls_first);
        begins_a_second_wait(lock.acquire(), polls_first);
        begins_a_second_wait(sender.send(5), polls_first);
        begins_a_second_wait(receiver.recv(), polls_first);
        begins_a_second_wait(Event::new().wait_timeout(ms(1)), polls_first);
        begins_a_second_wait(sleep(ms(1)), polls_first);
        begins_a_second_wait(abortable(soon(&alive)).0, polls_first);
        begins_a_second_wait(finally(soon(&alive), || co! {}), polls_first);
        begins_a_second_wait(as_completed([soon(&alive)]).limit(1), polls_first);
        begins_a_second_wait(interval(ms(1)).tick(), polls_first);
        begins_a_second_wait(next_value(&alive), polls_first);
        begins_a_second_wait(dump(), polls_first);
        begins_a_second_wait(settled(), polls_first);
        begins_a_second_wait(now(), polls_first);
        begins_a_second_wait(race((lock.acquire().map(drop), semaphore.acquire().map(drop))), polls_first);
    }
    assert_eq!(alive.get(), 0);
    assert_eq!(semaphore.available(), 1);
    assert!(!lock.is_locked());
    assert!(receiver.is_empty());
}

#[test]
fn a_failed_wait_with_pending_parts_has_to_be_dropped_before_another_begins() {
    let shared = co! { Err("oh no")?; }.shared();
    assert!(Loop::new().run(shared.clone()).is_err());
    let event = Event::new();
    let begins = Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            let mut first = resume.begin((shared, event.wait()));
            let failure = loop {
                match first.poll(&resume) {
                    Poll::Ready(Ok(_)) => panic!("a part has failed"),
                    Poll::Ready(Err(failure)) => break failure,
                    Poll::Pending => resume = yield Suspend,
                }
            };
            assert_eq!(failure.to_string(), "oh no");
            let mut second = resume.begin(());
            let refused = second.poll(&resume);
            assert!(matches!(refused, Poll::Ready(Err(error)) if error.to_string().starts_with(SECOND_WAIT)));
            drop((first, second));
            resume = yield Suspend;
            let mut third = resume.begin(());
            while third.poll(&resume).is_pending() {
                resume = yield Suspend;
            }
            Outcome::value("dropped it")
        },
    );
    assert_eq!(Loop::new().run(begins).unwrap(), "dropped it");
}

#[test]
fn a_failure_is_seen_through_every_kind_of_gather() {
    let fails = || co! { Err("oh no")?; };
    let shared = fails().shared();
    assert!(Loop::new().run(shared.clone()).is_err());
    let seen = co! {
        let shared = &shared;
        let all = [
            (yield catch([shared.clone(), shared.clone()])).map(drop),
            (yield catch(vec![shared.clone()])).map(drop),
            (yield catch((shared.clone(), sleep(LONG)))).map(drop),
            (yield catch(Some(shared.clone()))).map(drop),
        ];
        all.map(|result| result.unwrap_err().to_string())
    };
    assert_eq!(Loop::new().run(seen).unwrap(), ["oh no"; 4]);
}

#[test]
fn children_of_a_wait_that_cancels_its_own_coroutine_never_begin() {
    let (barrier, given_up) = (Barrier::new(2), Event::new());
    let (alive, begun) = (Alive::new(), Rc::new(Cell::new(false)));
    let work: Rc<RefCell<Option<Box<dyn Any>>>> = Rc::default();
    let (kept, gives_up, meets) = (work.clone(), given_up.clone(), barrier.clone());
    // The coroutine ends with a forgotten wait at the barrier, so its value is dropped when the barrier opens.
    let leaves = Coro::from_coroutine(
        #[coroutine]
        static move |resume: Resume| {
            common::forget(resume.begin(meets.wait()));
            if false {
                yield Suspend;
            }
            Outcome::value(OnDrop(move || {
                drop(kept.take());
                gives_up.set();
            }))
        },
    );
    let (begins, held) = (begun.clone(), alive.token());
    let never_begins = co! { begins.set(true); drop(held); };
    let held = alive.token();
    let opens = co! {
        let _held = held;
        yield (barrier.wait(), spawn(never_begins));
        unreachable!("it is cancelled in the middle of this");
    };
    let waits = Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            *work.borrow_mut() = Some(Box::new(resume.begin(timeout(opens, LONG))));
            // When the wait is dropped, this coroutine is resumed.
            while !given_up.is_set() {
                resume = yield Suspend;
            }
            drop(resume);
            Outcome::value(work.borrow().is_none())
        },
    );
    let main = co! {
        drop(yield spawn(leaves));
        yield waits
    };
    assert!(Loop::new().run(main).unwrap());
    assert_eq!((begun.get(), alive.get()), (false, 0));
}

#[test]
fn a_coroutine_whose_wait_is_dropped_by_another_goes_on_in_its_next_turn() {
    let event = Event::new();
    let wait: Rc<RefCell<Option<Box<dyn Any>>>> = Rc::default();
    let dropped = wait.clone();
    let waits = Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            let mut begun = resume.begin(event.wait());
            assert!(begun.poll(&resume).is_pending());
            *wait.borrow_mut() = Some(Box::new(begun));
            while wait.borrow().is_some() {
                resume = yield Suspend;
            }
            drop(resume);
            Outcome::value("goes on")
        },
    );
    let drops = co! { yield; yield; drop(dropped.take()); };
    assert_eq!(Loop::new().run((waits, drops)).unwrap().0, "goes on");
}

#[test]
fn a_dropped_shield_does_not_keep_a_cancellation_off() {
    let slot = Rc::new(RefCell::new(None));
    let theirs = slot.clone();
    let shares = Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            *theirs.borrow_mut() = Some(resume.begin(shield(forever())));
            resume = yield Suspend;
            let mut wait = resume.begin(forever());
            loop {
                match wait.poll(&resume) {
                    Poll::Ready(result) => break Outcome::value(result?),
                    Poll::Pending => resume = yield Suspend,
                }
            }
        },
    );
    let other = co! { yield sleep(ms(10)); drop(slot.take()); };
    assert_eq!(simulated().run((timeout(shares, ms(1)), other)).unwrap().0, Err(TimedOut));
}

#[test]
fn a_pending_future_is_polled_again_although_another_was_ready_after_it() {
    let is_over = Rc::new(Cell::new(false));
    let seen = is_over.clone();
    let waker = Rc::new(RefCell::new(None::<Waker>));
    let kept = waker.clone();
    let main = Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            let mut slow = pin!(poll_fn(move |context| {
                *kept.borrow_mut() = Some(context.waker().clone());
                if seen.get() { Poll::Ready("slow") } else { Poll::Pending }
            }));
            assert!(resume.poll_future(slow.as_mut()).is_pending());
            assert!(resume.poll_future(pin!(ready("fast"))).is_ready());
            loop {
                resume = yield Suspend;
                match resume.poll_future(slow.as_mut()) {
                    Poll::Ready(value) => break Outcome::value(value?),
                    Poll::Pending => {}
                }
            }
        },
    );
    let wakes = co! { yield; yield; is_over.set(true); waker.take().unwrap().wake(); };
    assert_eq!(Loop::new().run((main, wakes)).unwrap().0, "slow");
}

#[test]
fn a_future_that_is_left_pending_and_a_wait_in_the_same_turn_raise() {
    let begins = Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            let mut never = pin!(pending::<()>());
            assert!(resume.poll_future(never.as_mut()).is_pending());
            let mut wait = resume.begin(sleep(LONG));
            let polled = wait.poll(&resume);
            if false {
                resume = yield Suspend;
            }
            drop(resume);
            Outcome::value(matches!(polled, Poll::Ready(Err(error)) if error.to_string().starts_with(SECOND_WAIT)))
        },
    );
    assert!(Loop::new().run(begins).unwrap());
}
