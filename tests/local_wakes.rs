//! Wake-ups from the loop's own thread, in a poll and around it: each leads to one more poll.
#![feature(coroutines)]

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};

use tinyield::by_hand::{Outcome, Resume, Suspend};
use tinyield::{Coro, Event, Loop, co};

/// Calls its waker, and is pending.
fn wakes_itself() -> impl Future<Output = ()> {
    poll_fn(|context| {
        context.waker().wake_by_ref();
        Poll::Pending
    })
}

fn run(coro: Coro<()>) {
    // A wake-up that is lost would be a deadlock.
    Loop::new().run(coro).unwrap();
}

#[test]
fn a_wake_up_before_the_poll_of_a_ready_future_inside_the_same_poll_is_kept() {
    run(Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            let polls_another = poll_fn(|context| {
                context.waker().wake_by_ref();
                assert!(resume.poll_future(pin!(ready(1))).is_ready());
                Poll::<()>::Pending
            });
            assert!(resume.poll_future(pin!(polls_another)).is_pending());
            resume = yield Suspend;
            assert!(resume.poll_future(pin!(ready(2))).is_ready());
            Outcome::value(())
        },
    ));
}

#[test]
fn a_wake_up_in_the_poll_of_a_future_inside_another_poll_is_kept() {
    run(Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            let polls_another = poll_fn(|_| resume.poll_future(pin!(wakes_itself())).map(drop));
            assert!(resume.poll_future(pin!(polls_another)).is_pending());
            resume = yield Suspend;
            assert!(resume.poll_future(pin!(ready(2))).is_ready());
            Outcome::value(())
        },
    ));
}

#[test]
fn a_wake_up_after_a_poll_that_panicked_is_kept() {
    run(Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            let panics = poll_fn(|_| -> Poll<()> { panic!("in a poll, and caught") });
            catch_unwind(AssertUnwindSafe(|| resume.poll_future(pin!(panics)))).unwrap_err();
            assert!(resume.poll_future(pin!(wakes_itself())).is_pending());
            resume = yield Suspend;
            assert!(resume.poll_future(pin!(ready(2))).is_ready());
            Outcome::value(())
        },
    ));
}

#[test]
fn a_future_that_woke_itself_may_be_polled_again_in_the_same_turn() {
    run(Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            let mut future = pin!(wakes_itself());
            for _ in 0..3 {
                assert!(resume.poll_future(future.as_mut()).is_pending());
                assert!(resume.poll_future(future.as_mut()).is_pending());
                resume = yield Suspend;
            }
            // Ready in the same turn: the next wait may begin.
            assert!(resume.poll_future(future.as_mut()).is_pending());
            assert!(resume.poll_future(pin!(ready(2))).is_ready());
            let mut wait = pin!(resume.begin(co! { 3 }));
            loop {
                match wait.poll(&resume) {
                    Poll::Ready(value) => break assert_eq!(value?, 3),
                    Poll::Pending => resume = yield Suspend,
                }
            }
            Outcome::value(())
        },
    ));
}

#[test]
fn a_wait_that_begins_after_a_future_woke_itself_in_the_same_turn_is_a_second_wait() {
    let coro = Coro::from_coroutine(
        #[coroutine]
        static move |resume: Resume| {
            if false {
                yield Suspend;
            }
            assert!(resume.poll_future(pin!(wakes_itself())).is_pending());
            let Poll::Ready(Err(error)) = resume.begin(co! {}).poll(&resume) else { panic!("it began") };
            assert!(error.to_string().contains("second wait"), "{error}");
            Outcome::value(())
        },
    );
    run(coro);
}

#[test]
fn a_waker_that_is_called_between_two_polls_leads_to_one_more_poll() {
    let (polls, left) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(None::<Waker>)));
    let (counted, taken) = (polls.clone(), left.clone());
    let waits = co! {
        poll_fn(|context| {
            counted.set(counted.get() + 1);
            left.set(Some(context.waker().clone()));
            if counted.get() == 2 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    };
    let wakes = co! {
        for _ in 0..10 {
            yield;
        }
        assert_eq!(polls.get(), 1);
        let waker = taken.take().unwrap();
        waker.wake_by_ref();
        waker.wake();
        yield;
        yield;
        assert_eq!(polls.get(), 2);
    };
    Loop::new().run((waits, wakes)).unwrap();
}

#[test]
fn a_waker_that_its_own_task_calls_before_it_polls_another_future_is_kept() {
    run(Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            let mut waker = None;
            let first = poll_fn(|context| {
                waker = Some(context.waker().clone());
                Poll::<()>::Pending
            });
            assert!(resume.poll_future(pin!(first)).is_pending());
            waker.take().unwrap().wake();
            assert!(resume.poll_future(pin!(pending::<()>())).is_pending());
            resume = yield Suspend;
            assert!(resume.poll_future(pin!(ready(2))).is_ready());
            Outcome::value(())
        },
    ));
}

#[test]
fn coroutines_are_resumed_in_the_order_of_their_wake_ups_by_wakers_and_by_events() {
    for waker_is_first in [true, false] {
        let (waker, order) = (Rc::new(Cell::new(None::<Waker>)), Rc::new(RefCell::new(Vec::new())));
        let (registered, of_waker, of_event) = (waker.clone(), order.clone(), order.clone());
        let event = Event::new();
        let set = event.clone();
        let awaits = co! {
            let mut is_woken = false;
            poll_fn(|context| {
                registered.set(Some(context.waker().clone()));
                if std::mem::replace(&mut is_woken, true) { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            of_waker.borrow_mut().push("waker");
        };
        let waits = co! {
            yield event.wait();
            of_event.borrow_mut().push("event");
        };
        let wakes = co! {
            yield;
            yield;
            if waker_is_first {
                waker.take().unwrap().wake();
            }
            set.set();
            if !waker_is_first {
                waker.take().unwrap().wake();
            }
        };
        run(co! {
            yield (awaits, waits, wakes);
        });
        assert_eq!(*order.borrow(), if waker_is_first { ["waker", "event"] } else { ["event", "waker"] });
    }
}
