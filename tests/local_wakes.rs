//! Wake-ups from the loop's own thread, in a poll and around it: each leads to one more poll.
#![feature(coroutines)]

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::thread;

use tinyield::by_hand::{Outcome, Resume, Suspend};
use tinyield::{Coro, Deadlock, Event, Loop, Step, co};

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
fn a_waker_that_its_own_task_calls_after_a_poll_wakes_it_each_time() {
    run(Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            for _ in 0..3 {
                let mut waker = None;
                let keeps_waker = poll_fn(|context| {
                    waker = Some(context.waker().clone());
                    Poll::<()>::Pending
                });
                assert!(resume.poll_future(pin!(keeps_waker)).is_pending());
                waker.take().unwrap().wake();
                resume = yield Suspend;
            }
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

#[test]
fn wakers_that_were_cloned_and_dropped_on_the_loops_thread_do_not_hide_a_deadlock() {
    for clones in 1..4 {
        let stuck = poll_fn(move |context| {
            let wakers: Vec<Waker> = (0..clones).map(|_| context.waker().clone()).collect();
            drop(wakers);
            Poll::<()>::Pending
        });
        let error = Loop::new().run(co! { stuck.await }).unwrap_err();
        assert!(error.downcast_ref::<Deadlock>().is_some(), "{error:?}");
    }
}

#[test]
fn a_waker_that_was_used_up_on_the_loops_thread_does_not_hide_a_deadlock() {
    let waker = Rc::new(Cell::new(None::<Waker>));
    let to_wake = waker.clone();
    let mut polls = 0;
    let stuck = poll_fn(move |context| {
        polls += 1;
        to_wake.set((polls < 3).then(|| context.waker().clone()));
        Poll::<()>::Pending
    });
    let wakes = co! {
        for _ in 0..4 {
            yield;
            if let Some(waker) = waker.take() {
                waker.wake();
            }
        }
    };
    let error = Loop::new().run((co! { stuck.await }, wakes)).unwrap_err();
    assert!(error.downcast_ref::<Deadlock>().is_some(), "{error:?}");
}

#[test]
fn a_waker_that_is_cloned_after_another_was_dropped_wakes_from_another_thread() {
    for _ in 0..20 {
        let mut is_first = true;
        let woken_elsewhere = poll_fn(move |context| {
            if !std::mem::take(&mut is_first) {
                return Poll::Ready(());
            }
            drop(context.waker().clone());
            let wakers = [context.waker().clone(), context.waker().clone()];
            thread::spawn(move || {
                let [dropped, waker] = wakers;
                drop(dropped);
                waker.wake();
            });
            Poll::Pending
        });
        run(co! { woken_elsewhere.await });
    }
}

#[test]
fn a_waker_that_was_dropped_in_a_run_is_gone_in_the_next_step() {
    let polls = Rc::new(Cell::new(0));
    let counted = polls.clone();
    let kept = Rc::new(Cell::new(None::<Waker>));
    let to_keep = kept.clone();
    let waits = poll_fn(move |context| {
        counted.set(counted.get() + 1);
        drop(context.waker().clone());
        to_keep.set(Some(context.waker().clone()));
        if counted.get() < 3 { Poll::Pending } else { Poll::Ready(()) }
    });
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(co! { waits.await });
    for expected in 1..=3 {
        while let Step::Ran = runtime.step() {}
        assert_eq!(polls.get(), expected);
        // Between two steps, the loop does not run, so the waker and its clone use the inbox.
        let waker = kept.take().expect("the future was polled");
        drop(waker.clone());
        waker.wake();
    }
}
