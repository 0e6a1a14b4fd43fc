//! Code that does what nobody should: misuse of the protocol, and destructors that come back to the loop. None of it is unsound,
//! and the loop keeps its promises to everybody else.
#![feature(coroutines, stmt_expr_attributes)]
#![forbid(unsafe_code)]

mod common;

use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use common::{Alive, Counter, Gate, LONG, Log, OnDrop, forever, ms, panic_of, to_end, to_idle};
use tinyield::by_hand::{Outcome, Resume, Suspend};
use tinyield::{
    Coro, JoinHandle, Loop, Shared, Wait, catch, channel, co, coro, isolate, race, shield, sleep, spawn, timeout,
};

type Kept = Rc<RefCell<Option<Resume>>>;

/// Keeps a `Resume` of its own, and waits for `wait` with another.
fn keeps<W: Wait + 'static>(kept: &Kept, wait: W) -> Coro<W::Output> {
    let kept = kept.clone();
    Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            *kept.borrow_mut() = Some(resume);
            resume = yield Suspend;
            let mut wait = resume.begin(wait);
            loop {
                match wait.poll(&resume) {
                    Poll::Ready(output) => break Outcome::value(output?),
                    Poll::Pending => resume = yield Suspend,
                }
            }
        },
    )
}

/// A wait begun with `resume` by whoever has it: what polling it gives.
fn misuse(resume: &Resume) -> String {
    let mut wait = resume.begin(sleep(ms(0)));
    match wait.poll(resume) {
        Poll::Ready(Err(error)) => error.to_string(),
        Poll::Ready(Ok(())) => "ready".to_string(),
        Poll::Pending => "pending".to_string(),
    }
}

#[test]
fn a_resume_that_is_used_by_another_coroutine_raises_there() {
    let kept = Kept::default();
    let theirs = kept.clone();
    let other = co! {
        yield;
        let resume = theirs.take().expect("it was kept");
        assert!(misuse(&resume).contains("`Resume`"), "{}", misuse(&resume));
        let mut future = pin!(std::future::ready(1));
        assert!(matches!(resume.poll_future(future.as_mut()), Poll::Ready(Err(_))));
        yield;
        "other"
    };
    assert_eq!(Loop::new().run((keeps(&kept, co! { yield; "first" }), other)).unwrap(), ("first", "other"));
}

#[test]
fn a_resume_that_is_used_outside_of_any_turn_raises() {
    let kept = Kept::default();
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(keeps(&kept, forever()));
    let _ = to_idle(&mut runtime);
    let resume = kept.take().unwrap();
    assert!(misuse(&resume).contains("`Resume`"));
    let _ = to_idle(&mut runtime);
    drop(runtime);
    // The loop is gone.
    assert!(misuse(&resume).contains("`Resume`"));
    // On another loop.
    let main = co! { assert!(misuse(&resume).contains("`Resume`")); yield; resume };
    let resume = Loop::new().run(main).unwrap();
    drop(event_loop);
    assert!(misuse(&resume).contains("`Resume`"));
}

#[test]
fn an_old_resume_in_its_own_coroutines_turn_is_as_good_as_the_new() {
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

#[test]
fn a_wait_that_was_begun_and_forgotten_keeps_nobody_from_going_on() {
    let coro: Coro<&str> = Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            common::forget(resume.begin(sleep(ms(0))));
            common::forget(resume.begin(co! { yield; yield; }));
            common::forget(resume.begin(spawn(co! { yield; })));
            common::forget(resume.begin(timeout(co! { yield; }, LONG)));
            let mut wait = resume.begin((co! { yield; yield; yield; }, sleep(ms(2))));
            loop {
                match wait.poll(&resume) {
                    Poll::Ready(output) => {
                        output?;
                        break Outcome::value("went on");
                    }
                    Poll::Pending => resume = yield Suspend,
                }
            }
        },
    );
    assert_eq!(Loop::new().run(coro).unwrap(), "went on");
}

#[test]
fn a_wait_that_was_begun_and_forgotten_is_cancelled_with_the_rest() {
    let alive = Alive::new();
    let held = alive.token();
    let coro: Coro<()> = Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            common::forget(resume.begin(forever()));
            let held = co! { let _held = held; yield forever(); };
            common::forget(resume.begin(isolate(held)));
            resume = yield Suspend;
            let mut wait = resume.begin(forever());
            loop {
                match wait.poll(&resume) {
                    Poll::Ready(output) => {
                        output?;
                        break Outcome::value(());
                    }
                    Poll::Pending => resume = yield Suspend,
                }
            }
        },
    );
    let error = Loop::new().run((coro, co! { for _ in 0..5 { yield; } Err("stop")?; })).unwrap_err();
    assert_eq!(error.to_string(), "stop");
    assert_eq!(alive.get(), 0);
}

#[test]
fn a_wait_that_is_polled_after_it_was_ready_raises() {
    macro_rules! again {
        ($wait:expr) => {{
            let coro: Coro<String> = Coro::from_coroutine(
                #[coroutine]
                static move |mut resume: Resume| {
                    let mut wait = resume.begin($wait);
                    loop {
                        match wait.poll(&resume) {
                            Poll::Ready(Ok(_)) => break,
                            Poll::Ready(Err(error)) => {
                                Err(error)?;
                            }
                            Poll::Pending => resume = yield Suspend,
                        }
                    }
                    match wait.poll(&resume) {
                        Poll::Ready(Err(error)) => Outcome::value(error.to_string()),
                        Poll::Ready(Ok(_)) => Outcome::value("ready again".to_string()),
                        Poll::Pending => Outcome::value("pending".to_string()),
                    }
                },
            );
            let said = Loop::new().run(coro).unwrap();
            assert!(
                said.contains("polled after it had been ready") || said == "ready again",
                "{}: {said}",
                stringify!($wait)
            );
            said
        }};
    }
    again!(());
    again!(sleep(ms(0)));
    assert_ne!(again!(co! { String::from("once") }), "ready again");
    assert_ne!(again!([co! { String::from("once") }]), "ready again");
    assert_ne!(again!(spawn(co! { String::from("once") })), "ready again");
    assert_ne!(again!(timeout(co! { String::from("once") }, LONG)), "ready again");
    assert_ne!(again!(isolate(co! { String::from("once") })), "ready again");
    assert_ne!(again!(race([co! { String::from("once") }])), "ready again");
    assert_ne!(again!(shield(co! { String::from("once") })), "ready again");
    again!(co! { 1 }.shared());
}

#[test]
fn a_wait_that_is_polled_with_the_resume_of_another_gives_nothing_it_should_not() {
    let kept = Kept::default();
    let theirs = kept.clone();
    let thief: Coro<()> = Coro::from_coroutine(
        #[coroutine]
        static move |resume: Resume| {
            let owner = theirs.take().unwrap();
            // Begun in the own name, polled in that of the other; and the other way around.
            let mut wait = resume.begin(co! { yield; String::from("value") });
            assert!(!matches!(wait.poll(&owner), Poll::Ready(Ok(_))));
            let mut other = owner.begin(co! { yield; String::from("value") });
            assert!(!matches!(other.poll(&resume), Poll::Ready(Ok(_))));
            drop((wait, other));
            yield Suspend;
            Outcome::value(())
        },
    );
    Loop::new().run((keeps(&kept, co! { yield; }), thief)).unwrap();
}

#[test]
fn several_waits_at_once_by_hand_are_a_select() {
    let gate = Gate::new();
    let waits = gate.clone();
    let both: Coro<Vec<&str>> = Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            let mut first = resume.begin(co! { waits.await; "gate" });
            let mut second = resume.begin(co! { yield; yield; "turns" });
            let (mut order, mut left) = (Vec::new(), (true, true));
            while left.0 || left.1 {
                if left.0
                    && let Poll::Ready(output) = first.poll(&resume)
                {
                    order.push(output?);
                    left.0 = false;
                }
                if left.1
                    && let Poll::Ready(output) = second.poll(&resume)
                {
                    order.push(output?);
                    left.1 = false;
                }
                if left.0 || left.1 {
                    resume = yield Suspend;
                }
            }
            Outcome::value(order)
        },
    );
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(both);
    let _ = to_idle(&mut runtime);
    gate.open();
    assert_eq!(to_end(&mut runtime).1.unwrap(), ["turns", "gate"]);
}

#[test]
fn a_coroutine_that_suspends_without_waiting_is_resumed_in_its_next_turn() {
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
fn a_coroutine_by_hand_that_ignores_its_cancellation_is_dropped_and_reported() {
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

// Destructors.

/// Fails after some turns.
#[coro]
fn fails() -> Coro<()> {
    for _ in 0..3 {
        yield;
    }
    Err("failed")?
}

/// Runs `f` when it is dropped, which it is when it is cancelled.
fn on_cancel(f: impl FnMut() + 'static) -> Coro<()> {
    co! {
        let _on_drop = OnDrop(f);
        yield forever();
    }
}

#[test]
fn a_destructor_runs_a_loop_of_its_own() {
    let log = Log::new();
    let logs = log.clone();
    let nested = on_cancel(move || {
        let inner = co! { yield (sleep(ms(1)), co! { yield; }); "nested" };
        logs.push(Loop::new().run(inner).unwrap());
        let _ = Loop::new().run(co! { yield; Err("in vain")?; }).unwrap_err();
    });
    let error = Loop::new().run((nested, fails())).unwrap_err();
    assert_eq!((error.to_string().as_str(), error.others().len()), ("failed", 0));
    assert_eq!(log.take(), ["nested"]);
}

#[test]
fn a_destructor_opens_what_others_wait_for() {
    let gate = Gate::new();
    let (opens, waits) = (gate.clone(), gate.clone());
    let log = Log::new();
    let logs = log.clone();
    let polite = co! {
        let error = (yield catch(forever())).unwrap_err();
        yield shield(co! { waits.await });
        logs.push("clean");
        Err(error)?;
    };
    // Cancelled after the polite one, which waits for it: it was started before.
    let error = Loop::new().run((on_cancel(move || opens.open()), polite, fails())).unwrap_err();
    assert!(error.others().is_empty(), "{error:?}");
    assert_eq!(log.take(), ["clean"]);
}

#[test]
fn a_destructor_drops_the_last_handles_of_others() {
    let alive = Alive::new();
    let handles = Rc::new(RefCell::new(Vec::<JoinHandle<common::Token>>::new()));
    let shared: Rc<RefCell<Option<Shared<common::Token>>>> = Rc::default();
    let (fills, empties, shares) = (handles.clone(), handles.clone(), shared.clone());
    let tokens = alive.clone();
    let main = co! {
        for turns in [0, 50] {
            let token = tokens.token();
            let handle = yield spawn(co! { for _ in 0..turns { yield; } token });
            fills.borrow_mut().push(handle);
        }
        let token = tokens.token();
        let started = co! { yield forever(); token }.shared();
        yield spawn(&started);
        *shares.borrow_mut() = Some(started);
        let unstarted = co! { yield forever(); }.shared();
        let dropper = on_cancel(move || {
            empties.take();
            shared.take();
            drop(unstarted.clone());
        });
        yield (dropper, fails());
    };
    assert_eq!(Loop::new().run(main).unwrap_err().to_string(), "failed");
    assert_eq!(alive.get(), 0);
    assert!(handles.take().is_empty());
}

#[test]
fn a_destructor_makes_and_drops_coroutines() {
    let alive = Alive::new();
    let tokens = alive.clone();
    let maker = on_cancel(move || {
        let mut chain = {
            let held = tokens.token();
            co! { drop(held); 0 }
        };
        for _ in 0..1_000 {
            let (inner, held) = (chain, tokens.token());
            chain = co! { let _held = held; yield inner };
        }
        drop(chain);
        drop((timeout(forever(), LONG), race([co! { 1 }]), isolate(co! { 1 }), shield(forever()), spawn(co! { 1 })));
    });
    Loop::new().run((maker, fails())).unwrap_err();
    assert_eq!(alive.get(), 0);
}

#[test]
fn a_destructor_stops_the_loop_that_is_stopping_and_wakes_its_dead() {
    let mut event_loop = Loop::new();
    let handle = event_loop.stop_handle();
    let gate = Gate::new();
    let waits = gate.clone();
    let waker = Rc::<RefCell<Option<std::task::Waker>>>::default();
    let wakes = waker.clone();
    let stops = on_cancel(move || {
        handle.stop();
        if let Some(waker) = wakes.take() {
            waker.wake();
        }
    });
    let mut runtime = event_loop.runtime((stops, co! { waits.await }));
    let _ = to_idle(&mut runtime);
    *waker.borrow_mut() = gate.waker();
    drop(runtime);
    assert_eq!(event_loop.run(co! { yield; 1 }).unwrap(), 1);
}

#[test]
fn a_destructor_of_a_value_runs_a_loop_and_drops_the_next() {
    struct Value(u32, Log);
    impl Drop for Value {
        fn drop(&mut self) {
            let (n, log) = (self.0, self.1.clone());
            let next = (n > 0).then(|| co! { yield; Value(n - 1, log) });
            drop(Loop::new().run(next).unwrap());
            self.1.push(n);
        }
    }
    let log = Log::new();
    let first = Value(5, log.clone());
    Loop::new().run(co! { drop(yield spawn(co! { yield; first })); }).unwrap();
    assert_eq!(log.take(), ["0", "1", "2", "3", "4", "5"]);
}

#[test]
fn the_clone_of_a_shared_value_comes_back_to_it() {
    struct Recursive(Rc<RefCell<Option<Shared<Recursive>>>>, Counter);
    impl Clone for Recursive {
        fn clone(&self) -> Recursive {
            self.1.up();
            if self.1.get() == 1 {
                // The value is being looked at: it cannot be had, but nothing breaks.
                let own = self.0.borrow().clone().unwrap();
                let inner = Loop::new().run(co! { (yield catch(own)).is_ok() });
                assert!(inner.is_ok());
            }
            Recursive(self.0.clone(), self.1.clone())
        }
    }
    let cell = Rc::<RefCell<Option<Shared<Recursive>>>>::default();
    let count = Counter::new();
    let value = Recursive(cell.clone(), count.clone());
    let shared = co! { yield; value }.shared();
    *cell.borrow_mut() = Some(shared.clone());
    drop(Loop::new().run((&shared, &shared)).unwrap());
    assert!(count.get() >= 2);
    cell.take();
}

#[test]
fn a_future_wakes_itself_from_everywhere() {
    struct Future(Counter);
    impl std::future::Future for Future {
        type Output = ();
        fn poll(self: std::pin::Pin<&mut Self>, context: &mut std::task::Context<'_>) -> Poll<()> {
            self.0.up();
            context.waker().wake_by_ref();
            context.waker().wake_by_ref();
            if self.0.get() == 10 { Poll::Ready(()) } else { Poll::Pending }
        }
    }
    impl Drop for Future {
        fn drop(&mut self) {
            self.0.up();
        }
    }
    let count = Counter::new();
    let future = Future(count.clone());
    Loop::new().run(co! { future.await; yield; yield; }).unwrap();
    assert_eq!(count.get(), 11);
}

#[test]
fn a_host_polls_a_loop_from_within_itself() {
    // `&mut` forbids it; behind a cell it is a panic of the cell's, which the loop survives.
    let cell = Rc::<RefCell<Option<Loop>>>::default();
    *cell.borrow_mut() = Some(Loop::new());
    let own = cell.clone();
    let main = co! { yield; own.borrow_mut().as_mut().unwrap().run(co! { 1 })? };
    let message = panic_of(|| cell.borrow_mut().as_mut().unwrap().run(main));
    assert!(message.contains("borrowed"), "{message}");
    assert_eq!(cell.borrow_mut().as_mut().unwrap().run(co! { 2 }).unwrap(), 2);
}

#[test]
fn a_loop_in_the_destructor_of_what_never_began_sees_its_own_destructors_at_once() {
    let out = Log::new();
    let log = out.clone();
    let runs = OnDrop(move || {
        let main = co! {
            let (sender, receiver) = channel::unbounded::<()>();
            drop(co! { drop(sender); });
            (yield receiver.recv()).is_err()
        };
        log.push(Loop::new().run(main).unwrap());
    });
    drop(co! { drop(runs); });
    assert_eq!(out.take(), ["true"]);
}

#[test]
fn a_panic_whose_payload_panics_in_a_destructor_while_panicking_is_forgotten() {
    struct Payload;
    impl Drop for Payload {
        fn drop(&mut self) {
            panic!("the payload");
        }
    }
    let bomb = OnDrop(|| std::panic::panic_any(Payload));
    let coro = co! { drop(bomb); };
    let message = panic_of(move || {
        let _dropped_meanwhile = coro;
        panic!("the first")
    });
    assert_eq!(message, "the first");
}

/// A coroutine that ends with a wait for `shared` forgotten, and with a value that panics when it is dropped.
fn leaves_a_bomb(shared: Shared<()>) -> Coro<OnDrop<impl FnMut()>> {
    Coro::from_coroutine(
        #[coroutine]
        static move |resume: Resume| {
            common::forget(resume.begin(shared));
            if false {
                yield Suspend;
            }
            Outcome::value(OnDrop(|| panic!("dropped")))
        },
    )
}

#[test]
fn a_value_left_to_a_forgotten_wait_panics_and_the_loop_ends_all_the_same() {
    let slow = co! { for _ in 0..5 { yield; } }.shared();
    let main = co! {
        drop(yield spawn(leaves_a_bomb(slow.clone())));
        drop(yield spawn(slow));
    };
    Loop::new().run(main).unwrap();
}

#[test]
fn a_value_left_to_a_forgotten_wait_panics_and_the_others_are_told_all_the_same() {
    let slow = co! { for _ in 0..5 { yield; } }.shared();
    let main = co! {
        drop(yield spawn(leaves_a_bomb(slow.clone())));
        yield;
        yield shield(slow);
        "told"
    };
    assert_eq!(Loop::new().run(main).unwrap(), "told");
}

#[test]
fn by_hand_what_is_there_at_once_is_not_held_up_by_what_was_begun_after_it() {
    let first = Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            let mut here = resume.begin(());
            let mut never = resume.begin(sleep(LONG));
            loop {
                if here.poll(&resume).is_ready() {
                    break Outcome::value("here");
                }
                if never.poll(&resume).is_ready() {
                    break Outcome::value("never");
                }
                resume = yield Suspend;
            }
        },
    );
    assert_eq!(Loop::new().run(first).unwrap(), "here");
}

#[test]
fn by_hand_a_future_wakes_a_coroutine_that_began_another_wait_after_polling_it() {
    let gate = Gate::new();
    let opened = gate.clone();
    let first = Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            let mut opened = pin!(opened);
            let mut never = None;
            loop {
                if resume.poll_future(opened.as_mut()).is_ready() {
                    break Outcome::value("opened");
                }
                if never.get_or_insert_with(|| resume.begin(sleep(LONG))).poll(&resume).is_ready() {
                    break Outcome::value("never");
                }
                resume = yield Suspend;
            }
        },
    );
    let opens = co! { yield sleep(ms(10)); gate.open(); };
    assert_eq!(Loop::new().run((first, opens)).unwrap().0, "opened");
}

#[test]
fn an_error_raised_again_and_again_keeps_only_what_was_raised_first() {
    let main = co! {
        let mut error = tinyield::Error::msg("first");
        for _ in 0..2_000 {
            let again = error;
            error = (yield isolate(co! { Err::<(), _>(again)? })).unwrap_err().error().clone();
        }
        (error.to_string(), error.trace().len())
    };
    assert_eq!(Loop::new().run(main).unwrap(), ("first".to_string(), 2_000));
}
