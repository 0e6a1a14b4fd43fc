//! Panics: they stop the loop as an error does, and go on out of `run` with their own payload.
#![feature(coroutines)]

mod common;

use std::cell::RefCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use common::{Alive, Counter, LONG, Log, OnDrop, forever, ms, panic_of, ran, to_idle};
use tinyield::by_hand::{Outcome, Resume, Suspend};
use tinyield::{
    Coro, JoinHandle, Loop, Step, Wait, catch, co, coro, isolate, race, run_in_thread, shield, sleep, spawn, timeout,
};

/// What a body returns is leaked by rustc (its issue 47949) when the destructor of one of its locals panics after that: here, the
/// cancellation that was being raised. No leak of these tests is to be told by a sanitizer.
#[unsafe(no_mangle)]
extern "C" fn __lsan_default_suppressions() -> *const std::ffi::c_char {
    c"leak:panics".as_ptr()
}

#[coro]
fn waits(log: Log, name: &'static str) -> Coro<()> {
    let _ends = log.on_drop(name);
    yield forever();
}

#[coro]
fn panics(message: &'static str) -> Coro<()> {
    yield;
    yield;
    panic!("{message}");
}

/// Panics when it is dropped; not while another panic is on its way, as that would be the end of the process.
struct Bomb(&'static str);

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic_any(self.0);
        }
    }
}

#[test]
fn the_payload_is_the_very_one() {
    struct Own(u32);
    let result = catch_unwind(|| Loop::new().run(co! { yield; panic_any(Own(7)); }));
    assert_eq!(result.unwrap_err().downcast::<Own>().unwrap().0, 7);
}

#[test]
fn all_others_are_cancelled_before_it_goes_on() {
    let log = Log::new();
    let main = (waits(log.clone(), "1"), waits(log.clone(), "2"), co! { yield; yield; panic!("boo") });
    assert_eq!(panic_of(|| Loop::new().run(main)), "boo");
    assert_eq!(log.take(), ["2", "1"]);
}

#[test]
fn the_locals_and_captures_of_the_one_that_panics_are_dropped() {
    let alive = Alive::new();
    let (capture, local) = (alive.token(), alive.clone());
    let main = co! {
        let _capture = capture;
        let _local = local.token();
        yield;
        let _inner = local.token();
        panic!("boo");
    };
    assert_eq!(panic_of(|| Loop::new().run(main)), "boo");
    assert_eq!(alive.get(), 0);
}

#[test]
fn cleaning_up_may_wait_after_a_panic_too() {
    let log = Log::new();
    let logs = log.clone();
    let polite = co! {
        let error = (yield catch(forever())).unwrap_err();
        yield shield(co! { for _ in 0..5 { yield; } });
        logs.push("clean");
        Err(error)?;
    };
    assert_eq!(panic_of(|| Loop::new().run((polite, panics("boo")))), "boo");
    assert_eq!(log.take(), ["clean"]);
}

#[test]
fn a_panic_is_nothing_that_can_be_caught_inside() {
    macro_rules! inside {
        ($wait:expr) => {
            assert_eq!(panic_of(|| Loop::new().run(co! { let _ = yield $wait; })), "boo", "{}", stringify!($wait));
        };
    }
    inside!(panics("boo"));
    inside!(catch(panics("boo")));
    inside!(isolate(panics("boo")));
    inside!(timeout(panics("boo"), common::LONG));
    inside!(race([panics("boo"), co! { yield forever(); }]));
    inside!(shield(panics("boo")));
    inside!(panics("boo").shared());
    inside!(run_in_thread(|| panic!("boo")));
    inside!((spawn(panics("boo")), forever()));
}

#[test]
fn a_panic_while_stopping_for_an_error_wins() {
    let log = Log::new();
    let answers = co! { let _ = yield catch(forever()); panic!("instead"); };
    let main =
        (waits(log.clone(), "before"), answers, waits(log.clone(), "after"), co! { yield; yield; Err("failed")?; });
    assert_eq!(panic_of(|| Loop::new().run(main)), "instead");
    assert_eq!(log.take(), ["after", "before"]);
}

#[test]
fn a_panic_in_a_destructor_while_stopping_wins_and_all_others_are_cleaned_up() {
    let log = Log::new();
    let bomb = co! { let _bomb = Bomb("bomb"); yield forever(); };
    let main = (waits(log.clone(), "before"), bomb, waits(log.clone(), "after"), co! { yield; yield; Err("failed")?; });
    assert_eq!(panic_of(|| Loop::new().run(main)), "bomb");
    assert_eq!(log.take(), ["after", "before"]);
}

#[test]
fn of_many_panics_the_first_goes_on_and_none_aborts() {
    let log = Log::new();
    let bomb = |name| {
        co! { let _bomb = Bomb(name); yield forever(); }
    };
    let main = (bomb("1"), waits(log.clone(), "between"), bomb("2"), bomb("3"), panics("first"));
    assert_eq!(panic_of(|| Loop::new().run(main)), "first");
    assert_eq!(log.take(), ["between"]);
}

#[test]
fn a_panic_in_what_an_unbegun_coroutine_captured() {
    let log = Log::new();
    let bomb = Bomb("captured");
    let never = co! { drop(bomb); };
    let main = (waits(log.clone(), "1"), co! { yield; yield (co! { Err("failed")?; }, never); });
    assert_eq!(panic_of(|| Loop::new().run(main)), "captured");
    assert_eq!(log.take(), ["1"]);
}

#[test]
fn a_panic_in_the_destructor_of_a_value_that_nobody_wants() {
    let log = Log::new();
    let main = co! {
        drop(yield spawn(co! { yield; Bomb("value") }));
        yield forever();
    };
    assert_eq!(panic_of(|| Loop::new().run((waits(log.clone(), "1"), main))), "value");
    assert_eq!(log.take(), ["1"]);
    // A loser's, and that of one who is out of time.
    let answers = || co! { let _ = yield catch(forever()); Some(Bomb("value")) };
    assert_eq!(panic_of(|| Loop::new().run(co! { yield race([answers(), co! { yield; yield; None }]); })), "value");
    assert_eq!(panic_of(|| Loop::new().run(co! { drop(yield timeout(answers(), common::ms(1))); })), "value");
}

#[test]
fn a_panic_in_the_destructor_of_an_error() {
    #[derive(Debug)]
    struct Explosive;
    impl std::fmt::Display for Explosive {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("explosive")
        }
    }
    impl std::error::Error for Explosive {}
    impl Drop for Explosive {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                panic!("an error's destructor");
            }
        }
    }
    let log = Log::new();
    // Dropped by the domain around, which goes on with it caught and forgotten.
    let main = co! { drop(yield isolate(co! { yield; Err(Explosive)?; })); yield forever(); };
    assert_eq!(panic_of(|| Loop::new().run((waits(log.clone(), "1"), main))), "an error's destructor");
    assert_eq!(log.take(), ["1"]);
    // Nobody keeps it: it came up while stopping.
    let main = (co! { let _ = yield catch(forever()); Err(Explosive)?; }, co! { yield; yield; Err("first")?; });
    let mut event_loop = Loop::builder().grouping(tinyield::Grouping::Never).build();
    assert_eq!(panic_of(|| event_loop.run(main)), "an error's destructor");
    assert_eq!(event_loop.run(co! { 1 }).unwrap(), 1);
}

#[test]
fn a_panic_in_a_future_or_in_its_destructor() {
    struct Future(&'static str, bool);
    impl std::future::Future for Future {
        type Output = ();
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            if self.1 { panic_any(self.0) } else { Poll::Pending }
        }
    }
    impl Drop for Future {
        fn drop(&mut self) {
            if !self.1 {
                panic_any(self.0);
            }
        }
    }
    let log = Log::new();
    assert_eq!(
        panic_of(|| Loop::new().run((waits(log.clone(), "1"), co! { yield; Future("polled", true).await }))),
        "polled"
    );
    let main = (waits(log.clone(), "2"), co! { Future("dropped", false).await }, co! { yield; Err("x")?; });
    assert_eq!(panic_of(|| Loop::new().run(main)), "dropped");
    assert_eq!(log.take(), ["1", "2"]);
}

#[test]
fn a_panic_in_the_clone_of_a_shared_value() {
    struct Hostile;
    impl Clone for Hostile {
        fn clone(&self) -> Hostile {
            panic!("no copies");
        }
    }
    let log = Log::new();
    let shared = co! { yield; Hostile }.shared();
    let again = shared.clone();
    assert_eq!(panic_of(|| Loop::new().run((waits(log.clone(), "1"), co! { yield shared; }))), "no copies");
    assert_eq!(log.take(), ["1"]);
    // The value is still there, and still hostile.
    assert_eq!(panic_of(|| Loop::new().run(again)), "no copies");
}

#[test]
fn a_panic_in_a_thread_waits_for_the_other_threads() {
    let (begun, begin) = std::sync::mpsc::channel();
    let (ended, end) = std::sync::mpsc::channel();
    let works = run_in_thread(move || {
        begun.send(()).unwrap();
        while !tinyield::thread::is_cancelled() {
            std::thread::yield_now();
        }
        ended.send(()).unwrap();
    });
    let panics = run_in_thread(move || {
        begin.recv().unwrap();
        panic_any("from a thread");
    });
    let result = catch_unwind(AssertUnwindSafe(|| Loop::new().run((works, panics))));
    assert_eq!(*result.unwrap_err().downcast::<&str>().unwrap(), "from a thread");
    assert_eq!(end.try_iter().count(), 1);
}

#[test]
fn a_panic_in_a_thread_that_was_told_to_stop_wins_over_the_error() {
    let (begun, begin) = std::sync::mpsc::channel();
    let works = run_in_thread(move || {
        begun.send(()).unwrap();
        while !tinyield::thread::is_cancelled() {
            std::thread::yield_now();
        }
        panic_any("on the way out");
    });
    let result = panic_of(|| Loop::new().run((works, co! { begin.recv()?; Err("failed")?; })));
    assert_eq!(result, "on the way out");
}

#[test]
fn a_step_panics_when_all_has_ended() {
    let log = Log::new();
    let logs = log.clone();
    let polite = co! {
        let error = (yield catch(forever())).unwrap_err();
        yield shield(());
        logs.push("clean");
        Err(error)?;
    };
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime((polite, panics("boo")));
    let message = panic_of(|| {
        loop {
            match runtime.step() {
                Step::Ran => {}
                other => panic!("{other:?}"),
            }
        }
    });
    assert_eq!(message, "boo");
    assert_eq!(log.take(), ["clean"]);
    let message = panic_of(|| runtime.step());
    assert!(message.contains("over"), "{message}");
    drop(runtime);
    assert_eq!(event_loop.run(co! { 1 }).unwrap(), 1);
}

#[test]
fn a_panic_while_a_runtime_is_dropped_goes_on_from_there() {
    let log = Log::new();
    let mut event_loop = Loop::new();
    let bomb = co! { let _bomb = Bomb("bomb"); yield forever(); };
    let mut runtime = event_loop.runtime((waits(log.clone(), "1"), bomb, waits(log.clone(), "2")));
    let _ = to_idle(&mut runtime);
    assert_eq!(panic_of(|| drop(runtime)), "bomb");
    assert_eq!(log.take(), ["2", "1"]);
}

#[test]
fn a_runtime_dropped_by_a_panic_of_its_host_cancels_all_and_does_not_abort() {
    let log = Log::new();
    let logs = log.clone();
    let message = panic_of(move || {
        let mut event_loop = Loop::new();
        let answers = co! { let _ = yield catch(forever()); panic!("a second one"); };
        let mut runtime = event_loop.runtime((waits(logs.clone(), "1"), answers, waits(logs, "2")));
        ran(&mut runtime);
        let _ = to_idle(&mut runtime);
        panic!("the host's own");
    });
    assert_eq!(message, "the host's own");
    assert_eq!(log.take(), ["2", "1"]);
}

#[test]
fn a_panic_in_a_nested_loop_goes_through_both() {
    let log = Log::new();
    let (inner, outer) = (waits(log.clone(), "inner"), waits(log.clone(), "outer"));
    let main = (outer, co! { yield; Loop::new().run((inner, panics("boo")))?; });
    assert_eq!(panic_of(|| Loop::new().run(main)), "boo");
    assert_eq!(log.take(), ["inner", "outer"]);
}

#[test]
fn a_panic_outside_of_any_loop_leaves_unstarted_coroutines_as_they_are() {
    let drops = Counter::new();
    let guard = drops.guard();
    let coro = co! { drop(guard); 1 };
    assert_eq!(panic_of(|| panic!("elsewhere")), "elsewhere");
    assert_eq!(drops.get(), 0);
    assert_eq!(Loop::new().run(coro).unwrap(), 1);
    assert_eq!(drops.get(), 1);
}

#[test]
fn an_unstarted_coroutine_whose_captures_panic_drops_the_rest_of_them() {
    let drops = Counter::new();
    let (bomb, guard) = (OnDrop(|| panic_any("capture")), drops.guard());
    let inner = {
        let guard = drops.guard();
        co! { drop(guard); }
    };
    let coro = co! { drop((bomb, guard)); yield inner; };
    assert_eq!(panic_of(|| drop(coro)), "capture");
    assert_eq!(drops.get(), 2);
}

struct Failed<B = Bomb> {
    _bomb: B,
}

impl<B> fmt::Debug for Failed<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Failed")
    }
}

impl<B> fmt::Display for Failed<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it failed")
    }
}

impl<B> std::error::Error for Failed<B> {}

/// Panics when it is dropped, also while another panic is on its way.
struct Relentless;

impl Drop for Relentless {
    fn drop(&mut self) {
        panic!("relentless");
    }
}

#[test]
fn a_panic_goes_on_out_of_a_run_whatever_the_errors_panic_with_that_the_run_was_to_tell() {
    let failed = || Failed { _bomb: Relentless };
    let answers = move || {
        co! { let _ = yield catch(forever()); Err(failed())?; }
    };
    let panics = || {
        co! { let _ = yield catch(forever()); panic!("boo") }
    };
    let fails = move || {
        co! { yield; yield; Err(failed())?; }
    };
    assert_eq!(panic_of(|| Loop::new().run((panics(), answers(), answers(), fails()))), "boo");
    // It is kept by a handle of what had failed.
    let main = co! {
        let kept = Rc::<RefCell<Option<JoinHandle<()>>>>::default();
        let theirs = kept.clone();
        let error = yield isolate(co! { *theirs.borrow_mut() = Some(yield spawn(fails())); });
        common::forget(error);
        panic!("boo");
    };
    assert_eq!(panic_of(|| Loop::new().run(main)), "boo");
    // There is no panic but theirs.
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime((answers(), answers(), fails()));
    for _ in 0..8 {
        ran(&mut runtime);
    }
    assert_eq!(panic_of(|| drop(runtime)), "relentless");
}

#[test]
fn the_others_are_told_of_the_coroutine_whose_wait_panicked() {
    struct Unclonable;
    impl Clone for Unclonable {
        fn clone(&self) -> Unclonable {
            panic!("boo");
        }
    }
    let log = Log::new();
    let told = log.clone();
    let shared = co! { Unclonable }.shared();
    let watches = co! {
        let error = (yield catch(forever())).unwrap_err();
        if let tinyield::Reason::Failed { name, .. } = error.as_cancelled().unwrap().reason() {
            told.push(name);
        }
        Err(error)?;
    };
    // It is a coroutine of the library's own that waits for both, behind the shield.
    let main = co! { yield; yield shield((shared.clone(), shared)); }.named("clones");
    assert_eq!(panic_of(|| Loop::new().run((watches, main))), "boo");
    assert_eq!(log.take(), ["clones"]);
}

/// Begins a wait, and drops it some time later.
fn gives_up<W: Wait + 'static>(wait: W, later: Duration) -> Coro<()> {
    Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            let begun = resume.begin(wait);
            let mut sleep = resume.begin(sleep(later));
            while sleep.poll(&resume).is_pending() {
                resume = yield Suspend;
            }
            drop(begun);
            Outcome::value(())
        },
    )
}

#[test]
fn a_panic_in_the_destructor_of_what_a_domain_failed_with_comes_when_the_scopes_above_have_ended_too() {
    // The inner domain outlives, behind its shield, those who waited for either, and ends the outer one.
    let main = co! {
        let inner = isolate(co! { yield shield(sleep(ms(60))); });
        let outer = isolate(co! {
            yield spawn(gives_up(inner, ms(1)));
            yield sleep(ms(10));
            Err(Failed { _bomb: Bomb("boo") })?;
        });
        yield spawn(gives_up(outer, ms(30)));
    };
    assert_eq!(panic_of(|| Loop::new().run(main)), "boo");
}

#[test]
fn a_panic_in_the_destructor_of_what_was_left_to_a_forgotten_sleep_is_not_the_one_that_goes_on() {
    let leaves_a_bomb = Coro::from_coroutine(
        #[coroutine]
        static move |resume: Resume| {
            common::forget(resume.begin(sleep(LONG)));
            if false {
                yield Suspend;
            }
            Outcome::value(Bomb("left"))
        },
    );
    let main = co! {
        drop(yield spawn(leaves_a_bomb));
        yield;
        panic!("boo")
    };
    assert_eq!(panic_of(|| Loop::new().run(main)), "boo");
}

#[test]
fn a_panic_in_the_destructor_of_what_waited_for_one_behind_a_shield_keeps_nobody_from_being_cancelled() {
    let polite = co! { yield shield(sleep(ms(60))); }.shared();
    let waited = polite.clone();
    let waits = Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            let mut before = resume.begin(sleep(ms(5)));
            while before.poll(&resume).is_pending() {
                resume = yield Suspend;
            }
            let given_up = resume.begin(waited);
            let mut sleep = resume.begin(sleep(ms(10)));
            while sleep.poll(&resume).is_pending() {
                resume = yield Suspend;
            }
            drop(given_up);
            Outcome::value(Bomb("boo"))
        },
    );
    let main = co! {
        drop(yield spawn(waits));
        drop(yield isolate(co! {
            yield spawn(polite);
            yield sleep(ms(10));
            Err("the domain")?;
        }));
    };
    let fails = co! { yield sleep(ms(30)); Err("the run")?; };
    assert_eq!(panic_of(|| Loop::new().run((main, fails))), "boo");
}
