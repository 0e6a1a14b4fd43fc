//! `isolate(..).catch_unwind()`: a panic inside is an error of the domain.
#![feature(coroutines)]

mod common;

use common::{Alive, Log, forever, messages, ms, names, panic_of, silence_panics};
use tinyield::{
    Coro, Event, Loop, LoopError, Panic, Shared, catch, co, coro, finally, isolate, run_in_thread, shield, sleep,
    spawn, timeout,
};

fn run<T: 'static>(coro: Coro<T>) -> T {
    silence_panics("inside");
    Loop::new().run(coro).unwrap()
}

fn message(result: Result<(), LoopError>) -> String {
    let error = result.unwrap_err();
    error.downcast_ref::<Panic>().unwrap_or_else(|| panic!("{error:?}")).message().to_string()
}

#[coro]
fn panics(text: &'static str) -> Coro<()> {
    yield;
    panic!("{text}")
}

#[test]
fn panic_comes_back_as_a_value_when_all_inside_has_ended() {
    let log = Log::new();
    let main = {
        let log = log.clone();
        co! {
            let neighbour = {
                let log = log.clone();
                co! {
                    let _ended = yield catch(forever());
                    yield shield(sleep(ms(1)));
                    log.push("neighbour");
                }
            };
            let result = yield isolate(co! { yield spawn(neighbour); yield; yield panics("inside 1") }).catch_unwind();
            log.push("back");
            let error = result.as_ref().unwrap_err();
            assert_eq!(error.error().trace().last().unwrap().name(), "panics");
            assert!(error.to_string().contains("inside 1"));
            (message(result), yield co! { 5 })
        }
    };
    assert_eq!(run(main), ("inside 1".to_string(), 5));
    assert_eq!(log.take(), ["neighbour", "back"]);
}

#[test]
fn values_and_errors_come_back_as_without_catch_unwind() {
    let main = co! {
        let value = yield isolate(co! { 3 }).catch_unwind();
        let error = yield isolate(co! { Err::<(), _>("broken")?; }.named("work")).catch_unwind();
        let error = error.unwrap_err();
        assert_eq!(names(error.error()), ["work"]);
        (value.unwrap(), error.to_string())
    };
    assert_eq!(run(main), (3, "broken".to_string()));
}

#[test]
fn without_catch_unwind_a_panic_stops_the_loop() {
    silence_panics("inside");
    let main = co! { yield isolate(panics("inside 2")) };
    assert_eq!(panic_of(|| Loop::new().run(main)), "inside 2");
    // The inner domain does not contain panics, so the panic goes through it. The outer domain contains it.
    let main = co! { message(yield isolate(co! { let _ = yield isolate(panics("inside 3")); yield forever(); }).catch_unwind()) };
    assert_eq!(run(main), "inside 3");
}

#[test]
fn panics_of_destructors_threads_and_background_coroutines_are_contained() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                panic!("inside a destructor");
            }
        }
    }
    let main = co! {
        let destructor = yield isolate(co! { yield; let _bomb = Bomb; }).catch_unwind();
        let thread = yield isolate(run_in_thread(|| panic!("inside a thread"))).catch_unwind();
        let background = yield isolate(co! { yield spawn(panics("inside the background")); yield forever() }).catch_unwind();
        let cleaning = yield isolate(finally(co! { yield; }, || -> Coro<()> { panic!("inside a cleanup") })).catch_unwind();
        let cancelled = co! { let _bomb = Bomb; yield forever(); };
        let stopping = yield isolate(co! { yield (cancelled, co! { yield; yield; Err::<(), _>("first")?; }); }).catch_unwind();
        let stopping = stopping.unwrap_err();
        assert_eq!(stopping.to_string(), "first");
        assert_eq!(messages(stopping.others()), ["panicked: inside a destructor"]);
        [destructor, thread, background, cleaning].map(message)
    };
    let expected = ["inside a destructor", "inside a thread", "inside the background", "inside a cleanup"];
    assert_eq!(run(main), expected);
}

#[test]
fn cleanups_run_when_a_panic_is_contained() {
    let log = Log::new();
    let cleanup = {
        let log = log.clone();
        move || co! { yield sleep(ms(1)); log.push("cleaned up"); }
    };
    let main = co! { message(yield isolate(finally(panics("inside 4"), cleanup)).catch_unwind()) };
    assert_eq!(run(main), "inside 4");
    assert_eq!(log.take(), ["cleaned up"]);
}

/// A domain that is given up contains its panics, like its errors.
#[test]
fn panic_of_a_domain_that_was_given_up_is_contained() {
    let alive = Alive::new();
    let token = alive.token();
    let main = co! {
        let impolite = co! { let _token = token; let _cancelled = yield catch(forever()); panic!("inside the cancelled") };
        let late = yield timeout(isolate(impolite).catch_unwind(), ms(1));
        late.is_err() || late.is_ok_and(|result| result.is_err())
    };
    assert!(run(main));
    assert_eq!(alive.get(), 0);
}

#[test]
fn waiter_outside_of_the_domain_gets_the_panic_as_an_error() {
    let main = co! {
        let gate = Event::new();
        let opened = gate.clone();
        let shared: Shared<()> = co! { yield opened.wait(); panic!("inside the shared") }.shared();
        let inside = shared.clone();
        let first = yield spawn(co! { yield isolate(inside).catch_unwind() });
        yield;
        yield;
        yield;
        let second = yield spawn(co! { yield isolate(shared) });
        yield;
        yield;
        gate.set();
        (message(yield first), message(yield second))
    };
    assert_eq!(run(main), ("inside the shared".to_string(), "inside the shared".to_string()));
}
