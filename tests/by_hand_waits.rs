//! Each kind of wait, begun by hand and then left, polled too often, or polled in the name of another coroutine: it does no harm,
//! and leaves nothing behind.
#![feature(coroutines)]

mod common;

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn, ready};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};

use common::{Alive, LONG, OnDrop, Token, forever, ms};
use tinyield::by_hand::{Outcome, Resume, Suspend};
use tinyield::channel::{bounded, unbounded};
use tinyield::{
    Barrier, Coro, Event, Lock, Loop, Semaphore, TimedOut, Wait, as_completed, catch, co, isolate, race, shield, sleep,
    spawn, timeout,
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

/// Begins to wait, suspends itself once, and drops the wait.
fn begins_and_leaves<W: Wait + 'static>(wait: W) -> Coro<String> {
    Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            let mut begun = resume.begin(wait);
            let debug = format!("{begun:?}");
            assert!(begun.poll(&resume).is_pending(), "each wait is a turn");
            // Somebody else has to wake it, as what it waits for never comes.
            let mut turn = resume.begin(());
            while turn.poll(&resume).is_pending() {
                resume = yield Suspend;
            }
            drop(begun);
            Outcome::value(debug)
        },
    )
}

/// Runs it, in a loop that could not end if anything of it stayed behind.
fn is_left<W: Wait + 'static>(wait: W) {
    let debug = Loop::new().run(begins_and_leaves(wait)).unwrap();
    assert_eq!(debug, "Begun { ready: false, .. }");
}

#[test]
fn a_wait_that_was_begun_and_is_dropped_gives_up_and_what_it_started_is_cancelled() {
    let alive = Alive::new();
    let (event, barrier) = (Event::new(), Barrier::new(2));
    let (semaphore, lock) = (Semaphore::new(1), Lock::new(()));
    let (_permit, _guard) = (semaphore.try_acquire().unwrap(), lock.try_acquire().unwrap());
    let (sender, receiver) = bounded(1);

    is_left(timeout(never(&alive), LONG));
    is_left(race([never(&alive), never(&alive)]));
    is_left(isolate(never(&alive)));
    is_left(shield(sleep(ms(0))));
    is_left(catch(isolate(never(&alive))));
    is_left(sleep(LONG));
    is_left(event.wait());
    is_left(event.wait_timeout(LONG));
    is_left((event.wait(), event.wait()));
    is_left([event.wait(), event.wait()]);
    is_left(vec![event.wait(), event.wait()]);
    is_left(Some(event.wait()));
    is_left(barrier.wait());
    is_left(semaphore.acquire());
    is_left(lock.acquire());
    is_left(receiver.recv());
    sender.try_send(1).unwrap();
    is_left(sender.send(2));

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

/// Polls it until it is there, and once more; what that gives.
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
            // Dropped with it, at the latest.
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
    // What is no value may be told again.
    let told = Event::new();
    told.set();
    assert_eq!(polls_once_too_often(told.wait()), None);
    assert_eq!(polls_once_too_often(told.wait_timeout(LONG)), None);
    assert_eq!(polls_once_too_often(sleep(ms(0))), None);

    assert_eq!(alive.get(), 0);
    assert_eq!(semaphore.available(), 1);
    assert!(!lock.is_locked());
}

/// Begins to wait, and lets another coroutine poll: what that gives, and what it gives itself after.
fn polled_by_another<W: Wait + 'static>(wait: W) -> Coro<Option<String>> {
    let begun = Rc::new(RefCell::new(None));
    let shared = begun.clone();
    let begins = Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            let mut own = resume.begin(wait);
            let _ = own.poll(&resume);
            *shared.borrow_mut() = Some(own);
            let mut turn = resume.begin(sleep(ms(1)));
            while turn.poll(&resume).is_pending() {
                resume = yield Suspend;
            }
            drop(shared.borrow_mut().take());
            Outcome::value(())
        },
    );
    let polls = Coro::from_coroutine(
        #[coroutine]
        static move |resume: Resume| {
            let polled = begun.borrow_mut().as_mut().expect("it has begun").poll(&resume);
            Outcome::value(match polled {
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
fn what_is_not_there_yet_is_an_error_in_the_name_of_another_coroutine() {
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

    let first = co! { (yield as_completed([co! { yield sleep(ms(20)); }])).next().unwrap() };
    let refused_later = Loop::new().run(co! { let next = yield first; yield polled_by_another(next) }).unwrap();
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
    Loop::new().run(ended).unwrap();
    let resume = kept.take().unwrap();
    let mut begun = resume.begin(wait);
    assert_eq!(format!("{begun:?}"), "Begun { ready: false, .. }");
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

    assert_eq!(alive.get(), 0);
    assert_eq!(semaphore.available(), 1);
    assert!(receiver.is_empty());
}

/// Begins two waits at once: so it looks at both whenever one of them is there.
fn is_the_slower_of_two<W: Wait + 'static>(wait: W) -> W::Output {
    let coro = Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            let mut first = resume.begin(());
            let mut second = resume.begin(wait);
            while first.poll(&resume).is_pending() {
                resume = yield Suspend;
            }
            loop {
                match second.poll(&resume) {
                    Poll::Ready(output) => break Outcome::value(output?),
                    Poll::Pending => resume = yield Suspend,
                }
            }
        },
    );
    Loop::new().run(coro).unwrap()
}

#[test]
fn each_wait_tells_whether_it_is_there_when_it_is_one_of_several() {
    let (semaphore, lock, (sender, receiver)) = (Semaphore::new(1), Lock::new(3), bounded(1));
    assert_eq!(is_the_slower_of_two([co! { yield; 1 }, co! { 2 }]), [1, 2]);
    assert_eq!(is_the_slower_of_two(vec![co! { yield; 1 }, co! { 2 }]), [1, 2]);
    assert_eq!(is_the_slower_of_two((co! { yield; 1 }, co! { 2 })), (1, 2));
    assert_eq!(is_the_slower_of_two(Some(co! { yield; 1 })), Some(1));
    assert_eq!(is_the_slower_of_two(None::<Coro<u8>>), None);
    assert_eq!(is_the_slower_of_two(timeout(co! { yield; 1 }, LONG)), Ok(1));
    assert_eq!(is_the_slower_of_two(race([co! { yield; 1 }])), 1);
    assert_eq!(is_the_slower_of_two(isolate(co! { yield; 1 })).unwrap(), 1);
    assert_eq!(is_the_slower_of_two(shield(co! { yield; 1 })), 1);
    assert!(is_the_slower_of_two(spawn(co! { 1 })).is_finished());
    assert_eq!(is_the_slower_of_two(as_completed([co! { 1 }, co! { 2 }])).count(), 2);
    assert_eq!(is_the_slower_of_two(Barrier::new(1).wait()), 0);
    drop(is_the_slower_of_two(semaphore.acquire()));
    assert_eq!(*is_the_slower_of_two(lock.acquire()), 3);
    is_the_slower_of_two(sender.send(5)).unwrap();
    assert_eq!(is_the_slower_of_two(receiver.recv()), Ok(5));
    assert!(!is_the_slower_of_two(Event::new().wait_timeout(ms(1))));
    is_the_slower_of_two(sleep(ms(1)));
}

#[test]
fn what_fails_is_seen_through_whatever_gathers_it() {
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
fn what_is_started_by_a_wait_in_which_its_own_coroutine_is_cancelled_never_begins() {
    let (barrier, given_up) = (Barrier::new(2), Event::new());
    let (alive, begun) = (Alive::new(), Rc::new(Cell::new(false)));
    let work: Rc<RefCell<Option<Box<dyn Any>>>> = Rc::default();
    let (kept, gives_up, meets) = (work.clone(), given_up.clone(), barrier.clone());
    // It ends with a wait at the barrier forgotten, so its value is dropped when that opens.
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
            let mut wait = resume.begin(given_up.wait());
            while wait.poll(&resume).is_pending() {
                resume = yield Suspend;
            }
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
fn a_shield_that_was_dropped_holds_no_cancellation_off() {
    // By its own coroutine, which waits for something else then.
    let drops = Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            drop(resume.begin(shield(forever())));
            let mut wait = resume.begin(forever());
            loop {
                match wait.poll(&resume) {
                    Poll::Ready(result) => break Outcome::value(result?),
                    Poll::Pending => resume = yield Suspend,
                }
            }
        },
    );
    assert_eq!(Loop::new().run(timeout(drops, ms(1))).unwrap(), Err(TimedOut));
    // By another, when it has held off a cancellation already.
    let slot = Rc::new(RefCell::new(None));
    let theirs = slot.clone();
    let shares = Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            *theirs.borrow_mut() = Some(resume.begin(shield(forever())));
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
    assert_eq!(Loop::new().run((timeout(shares, ms(1)), other)).unwrap().0, Err(TimedOut));
}

#[test]
fn a_future_that_is_pending_wakes_its_coroutine_although_another_was_ready_after_it() {
    let waker = Rc::new(RefCell::new(None::<Waker>));
    let (kept, nobody_sets) = (waker.clone(), Event::new());
    let main = Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            let mut polls = 0;
            let mut slow = pin!(poll_fn(move |context| {
                polls += 1;
                *kept.borrow_mut() = Some(context.waker().clone());
                if polls == 1 { Poll::Pending } else { Poll::Ready("slow") }
            }));
            assert!(resume.poll_future(slow.as_mut()).is_pending());
            assert!(resume.poll_future(pin!(ready("fast"))).is_ready());
            let mut begun = resume.begin(nobody_sets.wait());
            assert!(begun.poll(&resume).is_pending());
            loop {
                resume = yield Suspend;
                match resume.poll_future(slow.as_mut()) {
                    Poll::Ready(value) => break Outcome::value(value?),
                    Poll::Pending => {}
                }
            }
        },
    );
    let wakes = co! { yield; waker.take().unwrap().wake(); };
    assert_eq!(Loop::new().run((main, wakes)).unwrap().0, "slow");
}

/// Begins `wait`, which is there at once, and polls it; then begins something that never comes, and waits for either.
fn is_there_before_what_never_comes<W: Wait + 'static>(wait: W, future: bool) -> Coro<W::Output> {
    Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            let nobody_sets = Event::new();
            let mut never = pin!(pending::<()>());
            let mut there = resume.begin(wait);
            assert!(there.poll(&resume).is_pending());
            let mut begun = (!future).then(|| resume.begin(nobody_sets.wait()));
            loop {
                match &mut begun {
                    Some(begun) => assert!(begun.poll(&resume).is_pending()),
                    None => assert!(resume.poll_future(never.as_mut()).is_pending()),
                }
                resume = yield Suspend;
                if let Poll::Ready(value) = there.poll(&resume) {
                    break Outcome::value(value?);
                }
            }
        },
    )
}

#[test]
fn what_is_there_at_once_wakes_its_coroutine_although_that_began_to_wait_for_more() {
    for future in [false, true] {
        let main = co! {
            yield is_there_before_what_never_comes((), future);
            let handle = yield spawn(co! { "ended" });
            yield;
            assert_eq!(yield is_there_before_what_never_comes(handle, future), "ended");
            let handle = yield is_there_before_what_never_comes(spawn(co! { "spawned" }), future);
            yield handle
        };
        assert_eq!(Loop::new().run(main).unwrap(), "spawned");
    }
}
