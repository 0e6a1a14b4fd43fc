//! Loops on threads of their own: the values, errors, panics and cancellations that cross between them and the loop
//! outside.
#![feature(coroutines)]

mod common;

use std::num::ParseIntError;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use common::{FOREVER, forever, messages, ms, names, panic_of, silence_panics};
use tinyield::{
    Coro, Event, Loop, Reason, TimedOut, abortable, catch, co, coro, finally, isolate, run_in_loop, run_in_thread,
    shield, sleep, spawn, timeout,
};

#[coro]
fn sum(numbers: Rc<Vec<u64>>) -> Coro<u64> {
    let mut sum = 0;
    for n in numbers.iter() {
        sum += n;
        yield;
    }
    sum
}

#[test]
fn loops_run_on_threads_of_their_own() {
    let here = thread::current().id();
    let main = co! {
        yield (0..4_u64).map(|n| run_in_loop(move || co! {
            assert_ne!(thread::current().id(), here);
            yield sum(Rc::new((0..=n).collect()))
        })).collect::<Vec<_>>()
    };
    assert_eq!(Loop::new().run(main).unwrap(), [0, 1, 3, 6]);
}

#[coro]
fn parse(text: &'static str) -> Coro<i32> {
    yield;
    text.parse::<i32>()?
}

#[test]
fn error_reaches_the_outer_loop_with_its_trace_and_the_other_errors() {
    let inner = || {
        co! {
            let impolite = co! { let _cancelled = yield catch(forever()); Err::<(), _>("second")?; };
            yield spawn(impolite);
            yield;
            yield parse("x")
        }
        .named("inner")
    };
    let main = co! { yield run_in_loop(inner) }.named("main");
    let error = Loop::new().run(main).unwrap_err();
    assert!(error.error().downcast_ref::<ParseIntError>().is_some(), "{error:?}");
    assert_eq!(names(error.error()), ["main", "run_in_loop", "inner", "parse"]);
    assert_eq!(messages(error.others()), ["second"]);
    let contained = co! { (yield isolate(run_in_loop(inner))).unwrap_err().to_string() };
    assert_eq!(Loop::new().run(contained).unwrap(), "invalid digit found in string");
}

#[test]
fn panic_reaches_the_outer_loop() {
    let inside = co! { yield run_in_loop(|| co! { yield; panic!("inside") }) };
    assert_eq!(panic_of(|| Loop::new().run(inside)), "inside");
    let building = run_in_loop(|| -> Coro<()> { panic!("building") });
    assert_eq!(panic_of(|| Loop::new().run(building)), "building");
}

#[test]
fn cancellation_stops_the_loop_and_waits_for_its_end() {
    let ended = Arc::new(AtomicUsize::new(0));
    let begun = Event::new();
    let inner = |reason: Reason| {
        let (ended, begins) = (ended.clone(), begun.remote());
        run_in_loop(move || {
            co! {
                begins.set();
                let error = (yield catch(sleep(FOREVER))).unwrap_err();
                assert_eq!(error.as_cancelled().unwrap().reason(), reason);
                yield shield(sleep(ms(5)));
                ended.fetch_add(1, Ordering::SeqCst);
                Err(error)?;
            }
        })
    };
    // On a busy machine, the time may be up before the loop has begun.
    let mut limit = ms(5);
    while !begun.is_set() {
        assert!(Loop::new().run(timeout(inner(Reason::TimedOut), limit)).unwrap().is_err());
        limit *= 2;
    }
    assert_eq!(ended.load(Ordering::SeqCst), 1);
    begun.clear();
    let (work, handle) = abortable(inner(Reason::Aborted));
    let begins = begun.clone();
    let main = co! {
        let working = yield spawn(work);
        yield begins.wait();
        begins.clear();
        handle.abort();
        yield working
    };
    assert!(Loop::new().run(main).unwrap().is_err());
    assert_eq!(ended.load(Ordering::SeqCst), 2);
    let mut event_loop = Loop::new();
    let stop = event_loop.stop_handle();
    let stopped = inner(Reason::Stopped);
    let main = co! { yield (stopped, co! { yield begun.wait(); stop.stop(); }) };
    let error = event_loop.run(main).unwrap_err();
    assert!(error.is_stopped(), "{error:?}");
    assert!(error.others().is_empty(), "{error:?}");
    assert_eq!(ended.load(Ordering::SeqCst), 3);
}

#[test]
fn error_while_the_inner_loop_stops_is_among_the_others() {
    let main = co! {
        let impolite = run_in_loop(|| co! { let _cancelled = yield catch(forever()); Err::<(), _>("while stopping")?; });
        yield (impolite, co! { yield sleep(ms(5)); Err::<(), _>("first")?; });
    };
    let error = Loop::new().run(main).unwrap_err();
    assert_eq!(error.to_string(), "first");
    assert_eq!(messages(error.others()), ["while stopping"]);
}

#[test]
fn loops_nest_and_use_threads() {
    let main = run_in_loop(|| run_in_loop(|| co! { yield run_in_thread(|| 7) }));
    assert_eq!(Loop::new().run(main).unwrap(), 7);
}

#[test]
fn deadlock_inside_is_an_error_and_a_running_inner_loop_is_no_deadlock_outside() {
    let error = Loop::new().run(run_in_loop(|| Event::new().wait())).unwrap_err();
    assert!(error.to_string().contains("deadlock"), "{error}");
    assert_eq!(Loop::new().run(run_in_loop(|| sleep(ms(10)).map(|()| 1))).unwrap(), 1);
}

/// The closure is not called if the work is cancelled before it begins.
#[test]
fn loop_that_is_cancelled_before_it_begins_never_begins() {
    let begun = Arc::new(AtomicUsize::new(0));
    let count = begun.clone();
    let main = co! {
        let (work, handle) = abortable(run_in_loop(move || { count.fetch_add(1, Ordering::SeqCst); sleep(FOREVER) }));
        handle.abort();
        yield work
    };
    assert!(Loop::new().run(main).unwrap().is_err());
    assert_eq!(begun.load(Ordering::SeqCst), 0);
}

#[test]
fn loops_in_loops_end_when_a_timeout_cancels_the_outermost() {
    let cleaned = Arc::new(AtomicUsize::new(0));
    let count = cleaned.clone();
    let innermost =
        move || finally(sleep(FOREVER), move || co! { yield sleep(ms(1)); count.fetch_add(1, Ordering::Relaxed); });
    let main = timeout(run_in_loop(|| run_in_loop(|| run_in_loop(innermost))), ms(5));
    let result: Result<(), TimedOut> = Loop::new().run(main).unwrap();
    assert_eq!(result, Err(TimedOut));
    assert!(cleaned.load(Ordering::Relaxed) <= 1);
    assert_eq!(Arc::strong_count(&cleaned), 1, "all loops have ended");
}

#[test]
fn panic_in_a_loop_of_a_cleanup_is_contained() {
    silence_panics("in the cleanup");
    let cleanup = || run_in_loop(|| co! { yield; panic!("in the cleanup") });
    let main = timeout(finally(sleep(FOREVER), cleanup), ms(1));
    let error = Loop::new().run(isolate(main).catch_unwind()).unwrap().unwrap_err();
    assert_eq!(error.to_string(), "panicked: in the cleanup");
}
