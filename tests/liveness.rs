//! No loop hangs, no coroutine starves, and no value is lost. The tests have futures that are always ready, values that arrive while a
//! coroutine is being cancelled, and errors that are raised between the end of a task and the end of its scope.
#![feature(coroutines)]

mod common;

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::future::{poll_fn, ready};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use common::{ms, simulated};
use tinyield::by_hand::{Outcome, Resume, Suspend};
use tinyield::channel::unbounded;
use tinyield::{Coro, Event, Loop, Step, TimedOut, catch, co, isolate, race, sleep, spawn, timeout};

#[test]
fn futures_that_are_always_ready_leave_turns_to_other_coroutines() {
    const FUTURES: usize = 10_240;
    let (turns, is_over) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(false)));
    let (counts, ends) = (turns.clone(), is_over.clone());
    let awaits = co! {
        for _ in 0..FUTURES {
            ready(()).await;
        }
        ends.set(true);
    };
    let other = co! { while !is_over.get() { counts.set(counts.get() + 1); yield; } };
    Loop::new().run((awaits, other)).unwrap();
    let expected = FUTURES / 256;
    assert!((expected - 1..=expected + 2).contains(&turns.get()), "{} turns", turns.get());
}

/// A coroutine that polls this number of futures that are ready, all in one poll of another future.
fn polls_in_a_poll(count: usize) -> Coro<usize> {
    Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| -> Outcome<usize> {
            let mut polled = 0;
            loop {
                let inner = &resume;
                let outer = poll_fn(|_context| {
                    while polled < count {
                        match inner.poll_future(pin!(ready(1))) {
                            Poll::Ready(one) => polled += one.unwrap(),
                            Poll::Pending => return Poll::Pending,
                        }
                    }
                    Poll::Ready(())
                });
                match resume.poll_future(pin!(outer)) {
                    Poll::Ready(result) => {
                        result?;
                        return Outcome::value(polled);
                    }
                    Poll::Pending => resume = yield Suspend,
                }
            }
        },
    )
}

#[test]
fn a_poll_inside_of_a_poll_is_never_put_off() {
    for count in [255, 256, 257, 1_000] {
        assert_eq!(Loop::new().run(polls_in_a_poll(count)).unwrap(), count);
    }
}

#[derive(Debug)]
struct PanickingSource;

impl fmt::Display for PanickingSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("its source panics")
    }
}

impl Error for PanickingSource {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        panic!("in source")
    }
}

#[test]
fn an_error_whose_source_panics_is_a_panic_of_its_coroutine() {
    for is_cancelled in [false, true] {
        let answers = co! { if is_cancelled { let _ = yield catch(sleep(ms(60_000))); } Err(PanickingSource)?; };
        let main = co! {
            let answered = yield spawn(answers);
            yield;
            if is_cancelled { Err("stop")?; }
            yield answered;
        };
        assert_eq!(common::panic_of(|| simulated().run(main)), "in source");
    }
}

#[test]
fn an_isolate_that_was_given_up_contains_the_errors_of_its_cleaning_up() {
    let cleans_up = || co! { let _ = yield catch(Event::new().wait()); Err("while cleaning up")?; };
    let main = co! {
        let timed_out = yield timeout(isolate(cleans_up()), ms(1));
        let won = yield race([co! { let _ = yield isolate(cleans_up()); "loser" }, co! { yield; yield; "winner" }]);
        (timed_out.err(), won)
    };
    assert_eq!(simulated().run(main).unwrap(), (Some(TimedOut), "winner"));
}

#[test]
fn a_timeout_gives_a_message_that_a_helper_has_received() {
    let (sender, receiver) = unbounded();
    let main = co! {
        let receives = receiver.recv();
        // The timeout is due at once. The message comes in the same round, and the value of the helper comes one round later.
        let helper = co! { (yield co! { yield receives }).ok() };
        let sends = co! { yield; sender.try_send("message")?; };
        let (got, ()) = yield (timeout(helper, ms(0)), sends);
        // The coroutine has the message, or it is still in the channel.
        (got, receiver.try_recv().ok())
    };
    let (got, left) = Loop::new().run(main).unwrap();
    assert!(matches!((got, left), (Ok(Some("message")), None) | (Err(TimedOut), Some("message"))), "{got:?} {left:?}");
}

#[test]
fn a_coroutine_may_answer_a_timeout_with_a_value() {
    let collects = co! {
        let mut found = vec![1];
        if (yield catch(sleep(ms(60_000)))).is_err() {
            found.push(2);
        }
        found
    };
    assert_eq!(simulated().run(timeout(collects, ms(1))).unwrap(), Ok(vec![1, 2]));
}

#[test]
fn a_race_of_which_one_runner_can_go_on_is_no_deadlock_of_a_stepped_loop() {
    let event = Event::new();
    let own = Rc::new(Cell::new(None));
    let (kept, set) = (own.clone(), event.clone());
    let main = co! {
        // One runner waits for the coroutine that races. The other waits for the host.
        let waits = yield spawn(co! {
            yield;
            let outer = own.take().unwrap();
            yield race([co! { yield outer; "outer" }, co! { yield event.wait(); "host" }])
        });
        kept.set(Some(waits));
    };
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(main);
    let mut idles = 0;
    loop {
        match runtime.step() {
            Step::Ran => {}
            Step::Idle(_) => {
                idles += 1;
                set.set();
            }
            Step::Done(result) => break result.unwrap(),
        }
    }
    assert_eq!(idles, 1);
}

#[test]
fn a_loop_that_runs_in_a_deep_drop_sees_its_own_coroutines_dropped_at_once() {
    let result = Rc::new(Cell::new(None));
    let seen = result.clone();
    let runs = common::OnDrop(move || {
        let (sender, receiver) = unbounded::<()>();
        let main = co! {
            // Dropping the handle drops its task, and the last sender with it.
            drop(co! { yield; drop(sender); });
            (yield receiver.recv()).is_err()
        };
        seen.set(Some(Loop::new().run(main).map_err(|error| error.to_string())));
    });
    let mut chain = co! { yield; drop(runs); };
    for _ in 0..100 {
        let inner = chain;
        chain = co! { yield; drop(inner); };
    }
    drop(chain);
    assert_eq!(result.take(), Some(Ok(true)));
}
