//! Panics: they stop the loop as an error does, and then unwind out of `run` with their own payload.
#![feature(coroutines)]

mod common;

#[path = "panics/destructors.rs"]
mod destructors;

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::Pin;
use std::task::{Context, Poll};

use common::{Alive, Counter, LONG, Log, forever, panic_of, ran, to_idle, turns, waits_forever};
use tinyield::{Coro, Loop, Step, catch, co, coro, isolate, race, run_in_thread, shield, spawn, timeout};

/// If the destructor of a local panics while a body returns, rustc leaks the value that the body returns (rust-lang/rust#47949). Here that
/// is the cancellation. So the reports of a leak sanitizer about these tests are suppressed.
#[unsafe(no_mangle)]
extern "C" fn __lsan_default_suppressions() -> *const std::ffi::c_char {
    c"leak:panics".as_ptr()
}

#[coro]
fn panics_later(message: &'static str) -> Coro<()> {
    yield;
    yield;
    panic!("{message}");
}

#[test]
fn payload_comes_out_of_run_unchanged() {
    struct Own(u32);
    let result = catch_unwind(|| Loop::new().run(co! { yield; panic_any(Own(7)); }));
    assert_eq!(result.unwrap_err().downcast::<Own>().unwrap().0, 7);
}

#[test]
fn all_others_are_cancelled_before_the_panic_comes_out_of_run() {
    let log = Log::new();
    let main = (waits_forever(log.clone(), "1"), waits_forever(log.clone(), "2"), co! { yield; yield; panic!("boo") });
    assert_eq!(panic_of(|| Loop::new().run(main)), "boo");
    assert_eq!(log.take(), ["2", "1"]);
}

#[test]
fn locals_and_captures_of_the_coroutine_that_panics_are_dropped() {
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
fn cleanup_behind_a_shield_runs_after_a_panic() {
    let log = Log::new();
    let logs = log.clone();
    let polite = co! {
        let error = (yield catch(forever())).unwrap_err();
        yield shield(turns(5));
        logs.push("clean");
        Err(error)?;
    };
    assert_eq!(panic_of(|| Loop::new().run((polite, panics_later("boo")))), "boo");
    assert_eq!(log.take(), ["clean"]);
}

#[test]
fn panic_cannot_be_caught_in_the_loop() {
    macro_rules! inside {
        ($wait:expr) => {
            assert_eq!(panic_of(|| Loop::new().run(co! { let _ = yield $wait; })), "boo", "{}", stringify!($wait));
        };
    }
    inside!(panics_later("boo"));
    inside!(catch(panics_later("boo")));
    inside!(isolate(panics_later("boo")));
    inside!(timeout(panics_later("boo"), LONG));
    inside!(race([panics_later("boo"), co! { yield forever(); }]));
    inside!(shield(panics_later("boo")));
    inside!(panics_later("boo").shared());
    inside!(run_in_thread(|| panic!("boo")));
    inside!((spawn(panics_later("boo")), forever()));
}

#[test]
fn panic_while_stopping_for_an_error_wins_over_the_error() {
    let log = Log::new();
    let answers = co! { let _ = yield catch(forever()); panic!("instead"); };
    let main = (
        waits_forever(log.clone(), "before"),
        answers,
        waits_forever(log.clone(), "after"),
        co! { yield; yield; Err("failed")?; },
    );
    assert_eq!(panic_of(|| Loop::new().run(main)), "instead");
    assert_eq!(log.take(), ["after", "before"]);
}

#[test]
fn panic_in_a_future_or_in_its_destructor_comes_out_of_run() {
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
        panic_of(|| Loop::new().run((waits_forever(log.clone(), "1"), co! { yield; Future("polled", true).await }))),
        "polled"
    );
    let main = (waits_forever(log.clone(), "2"), co! { Future("dropped", false).await }, co! { yield; Err("x")?; });
    assert_eq!(panic_of(|| Loop::new().run(main)), "dropped");
    assert_eq!(log.take(), ["1", "2"]);
}

#[test]
fn panic_in_the_clone_of_a_shared_value_comes_out_of_run() {
    struct Hostile;
    impl Clone for Hostile {
        fn clone(&self) -> Hostile {
            panic!("no copies");
        }
    }
    let log = Log::new();
    let shared = co! { yield; Hostile }.shared();
    let again = shared.clone();
    assert_eq!(panic_of(|| Loop::new().run((waits_forever(log.clone(), "1"), co! { yield shared; }))), "no copies");
    assert_eq!(log.take(), ["1"]);
    // The value is kept, and its next clone panics, too.
    assert_eq!(panic_of(|| Loop::new().run(again)), "no copies");
}

#[test]
fn panic_in_a_thread_comes_out_of_run_after_the_other_threads_have_ended() {
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
fn panic_in_a_cancelled_thread_wins_over_the_error() {
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
fn step_panics_when_all_coroutines_have_ended() {
    let log = Log::new();
    let logs = log.clone();
    let polite = co! {
        let error = (yield catch(forever())).unwrap_err();
        yield shield(());
        logs.push("clean");
        Err(error)?;
    };
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime((polite, panics_later("boo")));
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
fn runtime_dropped_by_a_panic_of_its_host_cancels_all_and_does_not_abort() {
    let log = Log::new();
    let logs = log.clone();
    let message = panic_of(move || {
        let mut event_loop = Loop::new();
        let answers = co! { let _ = yield catch(forever()); panic!("a second one"); };
        let mut runtime = event_loop.runtime((waits_forever(logs.clone(), "1"), answers, waits_forever(logs, "2")));
        ran(&mut runtime);
        let _ = to_idle(&mut runtime);
        panic!("the host's own");
    });
    assert_eq!(message, "the host's own");
    assert_eq!(log.take(), ["2", "1"]);
}

#[test]
fn panic_in_a_nested_loop_comes_out_of_both_loops() {
    let log = Log::new();
    let (inner, outer) = (waits_forever(log.clone(), "inner"), waits_forever(log.clone(), "outer"));
    let main = (outer, co! { yield; Loop::new().run((inner, panics_later("boo")))?; });
    assert_eq!(panic_of(|| Loop::new().run(main)), "boo");
    assert_eq!(log.take(), ["inner", "outer"]);
}

#[test]
fn unstarted_coroutine_is_not_affected_by_a_panic_elsewhere() {
    let drops = Counter::new();
    let guard = drops.guard();
    let coro = co! { drop(guard); 1 };
    assert_eq!(panic_of(|| panic!("elsewhere")), "elsewhere");
    assert_eq!(drops.get(), 0);
    assert_eq!(Loop::new().run(coro).unwrap(), 1);
    assert_eq!(drops.get(), 1);
}

#[test]
fn reason_names_the_coroutine_whose_wait_panicked() {
    struct Unclonable;
    impl Clone for Unclonable {
        fn clone(&self) -> Unclonable {
            panic!("boo");
        }
    }
    let log = Log::new();
    let logs = log.clone();
    let shared = co! { Unclonable }.shared();
    let watches = co! {
        let error = (yield catch(forever())).unwrap_err();
        if let tinyield::Reason::Failed { name, .. } = error.as_cancelled().unwrap().reason() {
            logs.push(name);
        }
        Err(error)?;
    };
    // The task that waits for both, behind the shield, is internal and has no name.
    let main = co! { yield; yield shield((shared.clone(), shared)); }.named("clones");
    assert_eq!(panic_of(|| Loop::new().run((watches, main))), "boo");
    assert_eq!(log.take(), ["clones"]);
}
