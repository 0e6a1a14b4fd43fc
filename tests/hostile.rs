//! Code that does what nobody should: misuse of the protocol, and destructors that come back to the loop. None of it is unsound,
//! and the loop keeps its promises to everybody else.
#![feature(coroutines, coroutine_trait, stmt_expr_attributes)]
#![forbid(unsafe_code)]

mod common;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::ops::{Coroutine, CoroutineState};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Poll, Waker};
use std::thread;

use common::{Alive, Counter, Gate, LONG, Log, OnDrop, Token, Wakes, forever, ms, panic_of, to_end, to_idle};
use tinyield::by_hand::{ActiveWait, Outcome, Resume, Suspend};
use tinyield::{
    AsCompleted, Barrier, Cancelled, Coro, Deadlock, Error, Event, Idle, JoinHandle, Lock, LockGuard, Loop, LoopError,
    Permit, Reason, RemoteEvent, Runtime, Semaphore, Shared, StopHandle, ThreadPool, Wait, catch, channel, co, coro,
    isolate, race, shield, sleep, spawn, timeout,
};

// What crosses threads, and what does not: nothing in the crate says so by hand, so it is what each is made of.

/// That a type does not implement a trait: if it did, there would be two ways to read this.
macro_rules! is_not {
    ($trait:path: $($type:ty),+ $(,)?) => {
        $(const _: fn() = || {
            trait Ambiguous<A> {
                fn check() {}
            }
            struct Implemented;
            impl<T: ?Sized> Ambiguous<()> for T {}
            impl<T: ?Sized + $trait> Ambiguous<Implemented> for T {}
            <$type as Ambiguous<_>>::check();
        };)+
    };
}

/// What points to a task, to the cells that loops share with it, or to what coroutines of one thread share.
macro_rules! stays_on_its_thread {
    ($($type:ty),+ $(,)?) => {
        is_not!(Send: $($type),+);
        is_not!(Sync: $($type),+);
    };
}

stays_on_its_thread!(
    Coro<()>,
    Shared<()>,
    JoinHandle<()>,
    Runtime<'static, ()>,
    Resume,
    ActiveWait<<Coro<()> as Wait>::State>,
    AsCompleted<()>,
    Event,
    Semaphore,
    Permit,
    Lock<()>,
    LockGuard<()>,
    Barrier,
    channel::Sender<()>,
    channel::Receiver<()>,
);
#[cfg(feature = "smol")]
stays_on_its_thread!(tinyield::bridge::ToSmol<()>);
#[cfg(feature = "async-std")]
stays_on_its_thread!(tinyield::bridge::ToAsyncStd<()>);
// A message goes with the end that receives it.
stays_on_its_thread!(channel::RemoteSender<Rc<()>>, channel::RemoteReceiver<Rc<()>>);

const _: () = {
    const fn crosses_threads<T: Send + Sync>() {}
    crosses_threads::<RemoteEvent>();
    crosses_threads::<StopHandle>();
    crosses_threads::<ThreadPool>();
    crosses_threads::<channel::RemoteSender<Cell<()>>>();
    crosses_threads::<channel::RemoteReceiver<Cell<()>>>();
    crosses_threads::<Error>();
    crosses_threads::<LoopError>();
    crosses_threads::<Cancelled>();
    crosses_threads::<Reason>();
    crosses_threads::<Deadlock>();
    crosses_threads::<tinyield::Frame>();
    crosses_threads::<tinyield::TimedOut>();
    // What a thread may wait by that does not own the loop: it holds the inbox only.
    crosses_threads::<Idle>();
    // Between two runs a loop is its settings and its stop handle. A run borrows it, and stays.
    crosses_threads::<Loop>();
    #[cfg(feature = "smol")]
    {
        const fn moves_between_threads<T: Send>() {}
        moves_between_threads::<tinyield::bridge::ToSmolWith<Cell<()>>>();
    }
};

// Misuse of the protocol.

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

/// Begins a wait, forgets it, and ends.
fn forgets<W: Wait + 'static>(wait: W) -> Coro<()> {
    Coro::from_coroutine(
        #[coroutine]
        static move |resume: Resume| {
            common::forget(resume.begin(wait));
            if false {
                yield Suspend;
            }
            Outcome::value(())
        },
    )
}

#[test]
fn a_wait_that_was_begun_and_forgotten_is_over_after_the_one_that_began_it_has_ended() {
    let slow = || co! { for _ in 0..5 { yield; } };
    Loop::new().run(forgets(timeout(slow(), LONG))).unwrap();
    Loop::new().run(forgets(timeout(forever(), ms(1)))).unwrap();
    Loop::new().run(forgets(shield(slow()))).unwrap();
    Loop::new().run(forgets(race([slow(), slow()]))).unwrap();
    Loop::new().run(forgets(isolate(slow()))).unwrap();
    let inside = co! { yield isolate(forgets(timeout(isolate(forgets(shield(slow()))), LONG))) };
    Loop::new().run(inside).unwrap().unwrap();
}

#[test]
fn a_wait_that_was_begun_and_forgotten_does_not_keep_what_it_was_for_from_a_timeout() {
    let shared = co! { yield forever(); }.shared();
    let main = co! { yield timeout(co! { yield forgets(shared); yield forever(); }, ms(1)) };
    assert_eq!(Loop::new().run(main).unwrap(), Err(tinyield::TimedOut));
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
                assert!(Loop::new().run(co! { (yield catch(own)).is_err() }).unwrap());
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

#[test]
fn a_begun_wait_is_polled_in_a_loop_inside_its_own_coroutine() {
    let outer: Coro<String> = Coro::from_coroutine(
        #[coroutine]
        static move |resume: Resume| {
            let carried = Rc::new(RefCell::new(resume.begin(co! { yield; yield; String::from("value") })));
            loop {
                let theirs = carried.clone();
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

// Coroutines that no macro made.

/// Ends in its second turn, and calls `on_drop` with its last `Resume` when it is dropped, which is before it has ended.
struct Own<F: FnMut(Resume) + Unpin> {
    resume: Option<Resume>,
    value: Option<Token>,
    on_drop: F,
}

impl<F: FnMut(Resume) + Unpin> Coroutine<Resume> for Own<F> {
    type Yield = Suspend;
    type Return = Outcome<Token>;

    fn resume(self: Pin<&mut Self>, resume: Resume) -> CoroutineState<Suspend, Outcome<Token>> {
        let this = self.get_mut();
        match this.resume.replace(resume) {
            None => CoroutineState::Yielded(Suspend),
            Some(_) => CoroutineState::Complete(Outcome::value(this.value.take().unwrap())),
        }
    }
}

impl<F: FnMut(Resume) + Unpin> Drop for Own<F> {
    fn drop(&mut self) {
        if let Some(resume) = self.resume.take() {
            (self.on_drop)(resume);
        }
    }
}

#[test]
fn a_coroutine_that_has_given_its_value_comes_back_to_itself_when_its_body_is_dropped() {
    let alive = Alive::new();
    let handle = Rc::<RefCell<Option<Shared<Token>>>>::default();
    let (own, came_back) = (handle.clone(), Counter::new());
    let counts = came_back.clone();
    let on_drop = move |resume: Resume| {
        counts.up();
        let shared = own.take().unwrap();
        // It can be waited for no more, and not yet.
        assert!(Loop::new().run(co! { (yield catch(shared)).is_err() }).unwrap());
        let mut wait = resume.begin(co! { 1 });
        assert!(!matches!(wait.poll(&resume), Poll::Ready(Ok(_))));
        common::forget(wait);
        drop(resume.begin(sleep(ms(0))));
        common::forget(resume.begin(sleep(ms(0))));
        assert!(!matches!(resume.poll_future(pin!(std::future::pending::<()>()).as_mut()), Poll::Ready(Ok(()))));
        drop(resume);
    };
    let coro = Coro::from_coroutine(Own { resume: None, value: Some(alive.token()), on_drop });
    let shared = coro.shared();
    *handle.borrow_mut() = Some(shared.clone());
    let main = co! {
        let token = yield shared;
        yield sleep(ms(2));
        token
    };
    let token = Loop::new().run(main).unwrap();
    assert_eq!((came_back.get(), alive.get()), (1, 1));
    drop(token);
    assert_eq!(alive.get(), 0);
}

#[test]
fn a_coroutine_that_has_given_its_value_panics_when_its_body_is_dropped() {
    let alive = Alive::new();
    let captured = alive.token();
    let on_drop = move |_| {
        let _captured = &captured;
        panic!("the body")
    };
    let coro = Coro::from_coroutine(Own { resume: None, value: Some(alive.token()), on_drop });
    let held = alive.token();
    let main = co! { let _held = held; yield coro };
    assert_eq!(panic_of(|| Loop::new().run(main).map(drop)), "the body");
    assert_eq!(alive.get(), 0);
}

#[test]
fn a_body_that_panics_when_it_is_dropped_is_dropped_once() {
    let alive = Alive::new();
    let bomb = || (OnDrop(|| panic!("the body")), alive.token());
    // It never began.
    let held = bomb();
    let never = co! { drop(held); };
    let main = co! { yield; yield (co! { Err("stop")?; }, never); };
    assert_eq!(panic_of(|| Loop::new().run(main)), "the body");
    assert_eq!(alive.get(), 0);
    // It goes on for ever.
    let held = bomb();
    let deaf: Coro<()> = Coro::from_coroutine(
        #[coroutine]
        static move |_: Resume| {
            let _held = held;
            loop {
                yield Suspend;
            }
        },
    );
    assert_eq!(panic_of(|| Loop::new().run((deaf, co! { yield; Err("stop")?; }))), "the body");
    assert_eq!(alive.get(), 0);
    // Nobody starts it.
    let held = bomb();
    let coro = co! { drop(held); };
    assert_eq!(panic_of(|| drop(coro)), "the body");
    assert_eq!(alive.get(), 0);
}

// Wakers, lent and kept.

/// What can be done with a waker, by whoever has it.
fn use_up(wakers: Vec<Waker>) {
    for waker in wakers {
        waker.wake_by_ref();
        drop(waker.clone());
        common::forget(waker.clone());
        let clone = waker.clone();
        waker.wake();
        clone.wake();
    }
}

#[test]
fn a_lent_waker_is_used_on_another_thread_and_its_clones_outlive_the_loop() {
    let kept = Rc::<RefCell<Vec<Waker>>>::default();
    let keeps = kept.clone();
    let polls = Counter::new();
    let counts = polls.clone();
    let main = co! {
        poll_fn(|context| {
            counts.up();
            let lent = context.waker();
            let clones = thread::scope(|scope| {
                let cloning = || {
                    lent.wake_by_ref();
                    drop(lent.clone());
                    [lent.clone(), lent.clone()]
                };
                let threads = [scope.spawn(cloning), scope.spawn(cloning)];
                threads.map(|thread| thread.join().unwrap())
            });
            keeps.borrow_mut().extend(clones.into_iter().flatten());
            if counts.get() == 3 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        // Here, and when it has ended, they are of no effect.
        let early = keeps.borrow_mut().split_off(8);
        thread::spawn(move || use_up(early)).join().unwrap();
        yield;
    };
    Loop::new().run(main).unwrap();
    assert_eq!(polls.get(), 3);
    let late = kept.take();
    assert_eq!(late.len(), 8);
    thread::spawn(move || use_up(late)).join().unwrap();
}

#[test]
fn a_run_that_was_forgotten_is_woken_and_stopped_by_threads() {
    let gate = Gate::new();
    let event = Event::new();
    let remote = event.remote();
    let waits = gate.clone();
    let mut event_loop = Loop::new();
    let handle = event_loop.stop_handle();
    let (wakes, waker) = Wakes::new();
    let mut runtime = event_loop.runtime((co! { waits.await }, event.wait()));
    assert!(runtime.poll(&mut std::task::Context::from_waker(&waker)).is_pending());
    common::forget(runtime);
    let wakers = vec![gate.waker().unwrap(), gate.waker().unwrap()];
    thread::spawn(move || {
        gate.open();
        handle.stop();
        remote.set();
        use_up(wakers);
    })
    .join()
    .unwrap();
    assert_eq!(wakes.get(), 1);
    event.clear();
    event.set();
}

#[test]
fn a_future_polls_another_by_an_old_resume_while_it_is_polled_itself() {
    let kept = Kept::default();
    let own = kept.clone();
    let coro: Coro<i32> = Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            *own.borrow_mut() = Some(resume);
            resume = yield Suspend;
            let (mut left, mut inner) = (3, Box::pin(async { 4 }));
            let mut outer = pin!(poll_fn(|context| {
                let old = own.take().unwrap();
                context.waker().wake_by_ref();
                // By the same waker, which both have.
                let wakes = poll_fn(|again| {
                    assert!(again.waker().will_wake(context.waker()));
                    Poll::Ready(again.waker().clone())
                });
                let Poll::Ready(Ok(waker)) = old.poll_future(pin!(wakes).as_mut()) else { panic!("it was ready") };
                drop(old.begin((sleep(ms(0)), co! { yield; })));
                *own.borrow_mut() = Some(old);
                waker.wake();
                left -= 1;
                if left == 0 { inner.as_mut().poll(context) } else { Poll::Pending }
            }));
            loop {
                match resume.poll_future(outer.as_mut()) {
                    Poll::Ready(output) => break Outcome::value(output?),
                    Poll::Pending => resume = yield Suspend,
                }
            }
        },
    );
    assert_eq!(Loop::new().run(coro).unwrap(), 4);
    kept.take();
}

// Values.

#[test]
fn the_clone_of_a_shared_value_drops_all_other_handles_of_it() {
    struct Value(String, Rc<RefCell<Vec<Shared<Value>>>>);
    impl Clone for Value {
        fn clone(&self) -> Value {
            self.1.take();
            Value(self.0.clone(), self.1.clone())
        }
    }
    let handles = Rc::<RefCell<Vec<Shared<Value>>>>::default();
    let value = Value("value".to_string(), handles.clone());
    let shared = co! { yield; value }.shared();
    handles.borrow_mut().extend([shared.clone(), shared.clone()]);
    let value = Loop::new().run(shared).unwrap();
    assert_eq!(value.0, "value");
    assert!(handles.borrow().is_empty());
}

#[test]
fn a_value_that_nobody_takes_sets_events_when_it_is_dropped() {
    let event = Event::new();
    // After some turns, or as the answer to its cancellation.
    let sets = |turns: Option<usize>| {
        let event = event.clone();
        co! {
            match turns {
                Some(turns) => for _ in 0..turns { yield; },
                None => drop(yield catch(forever())),
            }
            OnDrop(move || { event.set(); event.clear(); })
        }
    };
    let log = Log::new();
    let waits = |name: &'static str| {
        let (event, log) = (event.clone(), log.clone());
        co! { yield event.wait(); log.push(name); }
    };
    // Of one whose handle is gone when it ends, and of one that has ended before.
    let (early, late) = (sets(Some(0)), sets(Some(2)));
    let (first, second) = (waits("first"), waits("second"));
    let main = co! {
        let handle = yield spawn(early);
        drop(yield spawn(late));
        yield first;
        let second = yield spawn(second);
        yield;
        drop(handle);
        yield second;
    };
    Loop::new().run(main).unwrap();
    assert_eq!(log.take(), ["first", "second"]);
    // Of one that loses a race.
    let (runners, waiting) = ([sets(Some(2)), sets(None)], waits("third"));
    let main = co! {
        let waiting = yield spawn(waiting);
        let winner = yield race(runners);
        yield waiting;
        drop(winner);
    };
    Loop::new().run(main).unwrap();
    assert_eq!(log.take(), ["third"]);
}

#[test]
fn a_value_that_outlives_its_loop_sets_an_event_of_another_when_it_is_dropped() {
    let event = Event::new();
    let sets = event.clone();
    let handle = Loop::new().run(spawn(co! { yield; OnDrop(move || sets.set()) })).unwrap();
    assert!(handle.is_finished());
    let (wakes, waker) = Wakes::new();
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(event.wait());
    assert!(runtime.poll(&mut std::task::Context::from_waker(&waker)).is_pending());
    drop(handle);
    assert_eq!(wakes.get(), 1);
    assert!(matches!(runtime.poll(&mut std::task::Context::from_waker(&waker)), Poll::Ready(Ok(()))));
}

// Loops, and the threads that they live on.

#[test]
fn a_run_is_out_of_reach_of_the_coroutines_that_it_runs() {
    type Own = Rc<RefCell<Option<Runtime<'static, ()>>>>;
    let loops: &'static mut [Loop] = Box::leak(Box::new([Loop::new(), Loop::new()]));
    // To a sanitizer it is to be no leak.
    common::forget(std::ptr::from_ref(loops).expose_provenance());
    for (dropped_in_place, event_loop) in [false, true].into_iter().zip(loops) {
        let own = Own::default();
        let (seen, sees, sees_late) = (Log::new(), own.clone(), own.clone());
        let log = seen.clone();
        let late = seen.clone();
        let main = co! {
            // Who steps it has it.
            log.push(sees.try_borrow_mut().is_err());
            let _late = OnDrop(move || {
                late.push(sees_late.try_borrow_mut().map_or_else(|_| "in use", |mut own| {
                    if own.take().is_some() { "there" } else { "gone" }
                }));
            });
            yield forever();
        };
        *own.borrow_mut() = Some(event_loop.runtime(main));
        let _ = to_idle(own.borrow_mut().as_mut().unwrap());
        if dropped_in_place {
            *own.borrow_mut() = None;
        } else {
            drop(own.take());
        }
        assert_eq!(seen.take(), ["true", if dropped_in_place { "in use" } else { "gone" }]);
    }
}

/// Counts how many there are, on whatever thread.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Counted {
        count.fetch_add(1, SeqCst);
        Counted(count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

#[test]
fn a_thread_that_ends_drops_the_coroutines_that_it_kept() {
    thread_local! {
        static KEPT: RefCell<Vec<Coro<Counted>>> = const { RefCell::new(Vec::new()) };
    }
    let count = Arc::new(AtomicUsize::new(0));
    let theirs = count.clone();
    let main = move || {
        // Thread-locals are gone in the opposite order: that by which the library drops deep chains goes before these.
        KEPT.with_borrow_mut(Vec::clear);
        let (unused, held) = (Counted::new(&theirs), Counted::new(&theirs));
        drop(co! { unused });
        let mut chain = co! { held };
        for _ in 0..100 {
            let (inner, held) = (chain, Counted::new(&theirs));
            chain = co! { let _held = held; yield inner };
        }
        KEPT.with_borrow_mut(|kept| kept.push(chain));
        assert_eq!(theirs.load(SeqCst), 101);
    };
    thread::spawn(main).join().unwrap();
    assert_eq!(count.load(SeqCst), 0);
}
