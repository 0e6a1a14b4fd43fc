//! `finally` and `bracket`: the cleanup runs exactly once if the work began, after all that the work started.
#![feature(coroutines)]

mod common;

use std::cell::RefCell;
use std::rc::Rc;

use common::{Counter, FOREVER, Log, forever, is_deadlock, messages, ms, names, panic_of, silence_panics, simulated};
use tinyield::{
    Aborted, Coro, Deadlock, Event, Grouping, Loop, abortable, bracket, catch, co, coro, finally, isolate, race,
    shield, sleep, spawn, stream, timeout,
};

/// A cleanup that takes a few turns and logs its name at its end.
#[coro]
fn slow(log: Log, name: &'static str) -> Coro<()> {
    yield;
    yield sleep(ms(1));
    log.push(name);
}

fn cleanup(log: &Log) -> impl FnOnce() -> Coro<()> + 'static {
    let log = log.clone();
    move || slow(log, "cleanup")
}

#[test]
fn cleanup_runs_after_a_value() {
    let log = Log::new();
    let main = finally(co! { yield; 7 }, cleanup(&log));
    assert_eq!(Loop::new().run(main).unwrap(), 7);
    assert_eq!(log.take(), ["cleanup"]);
    // The cleanup may be a plain function, and the work may be any wait.
    let count = Counter::new();
    let up = count.clone();
    Loop::new().run(finally(sleep(ms(0)), move || up.up())).unwrap();
    assert_eq!(count.get(), 1);
}

#[test]
fn cleanup_runs_after_an_error_and_the_error_is_raised() {
    let log = Log::new();
    let main = finally(co! { yield; Err::<(), _>("broken")?; }.named("work"), cleanup(&log));
    let error = Loop::new().run(co! { yield main }.named("main")).unwrap_err();
    assert_eq!(error.to_string(), "broken");
    assert_eq!(names(error.error()), ["main", "work"]);
    assert_eq!(log.take(), ["cleanup"]);
}

#[test]
fn cleanup_runs_after_each_kind_of_cancellation() {
    let log = Log::new();
    let work = || finally(co! { yield forever(); 1 }, cleanup(&log));
    let (late, lost) = (work(), work());
    let (aborted, handle) = abortable(work());
    let failing = work();
    let main = co! {
        assert!((yield timeout(late, ms(1))).is_err());
        assert_eq!(yield race((lost, sleep(ms(1)).map(|()| 2))), 2);
        let aborted = yield spawn(aborted);
        yield sleep(ms(1));
        handle.abort();
        assert_eq!(yield aborted, Err(Aborted));
        let error = yield isolate(co! { yield (failing, co! { yield sleep(ms(1)); Err::<(), _>("elsewhere")?; }) });
        error.unwrap_err().to_string()
    };
    assert_eq!(Loop::new().run(main).unwrap(), "elsewhere");
    assert_eq!(log.take(), ["cleanup"; 4]);
    let mut event_loop = Loop::new();
    event_loop.stop_handle().stop();
    assert!(event_loop.run(work()).unwrap_err().is_stopped());
    assert!(log.take().is_empty(), "it never began");
    let mut runtime = event_loop.runtime(work());
    while let tinyield::Step::Ran = runtime.step() {}
    drop(runtime);
    assert_eq!(log.take(), ["cleanup"]);
}

#[test]
fn cleanup_runs_after_a_panic() {
    let log = Log::new();
    let main = finally(co! { yield; panic!("oh") }, cleanup(&log));
    assert_eq!(panic_of(|| Loop::new().run(main)), "oh");
    assert_eq!(log.take(), ["cleanup"]);
}

#[test]
fn work_that_never_began_is_not_cleaned_up() {
    let count = Counter::new();
    let each = count.clone();
    let up = move || {
        let count = each.clone();
        move || count.up()
    };
    drop(finally(co! {}, up()));
    // Cancelled in the round in which it starts.
    let unlucky = finally(co! { yield forever(); }, up());
    let main = co! { yield timeout(unlucky, ms(0)) };
    let begun = Counter::new();
    let body = {
        let begun = begun.clone();
        co! { begun.up(); yield forever(); }
    };
    let cancelled = finally(body, up());
    let _ = Loop::new().run((co! { yield cancelled }, co! { Err::<(), _>("at once")?; }));
    assert_eq!(count.get(), begun.get());
    assert!(Loop::new().run(main).unwrap().is_err());
}

#[test]
fn cleanup_runs_after_everything_that_the_work_started_has_ended() {
    let log = Log::new();
    let polite = |name| {
        let log = log.clone();
        co! {
            let _ended = yield catch(forever());
            yield shield(slow(log, name));
        }
    };
    let (child, background) = (polite("child"), polite("background"));
    let work = co! { yield spawn(background); yield child };
    let main = timeout(finally(work, cleanup(&log)), ms(2));
    simulated().run(main).unwrap().ok();
    let order = log.take();
    assert_eq!(order.last().unwrap(), "cleanup");
    assert_eq!(order.len(), 3);
    // Also after a value.
    let log = Log::new();
    let background = slow(log.clone(), "background");
    Loop::new().run(finally(co! { yield spawn(background); }, cleanup(&log))).unwrap();
    assert_eq!(log.take(), ["background", "cleanup"]);
}

#[test]
fn error_of_the_cleanup_is_raised_after_a_value_and_is_among_the_others_otherwise() {
    let failing = || co! { yield; Err::<(), _>("cleanup failed")?; };
    let error = Loop::new().run(finally(co! { 1 }, failing)).unwrap_err();
    assert_eq!(error.to_string(), "cleanup failed");
    let error = Loop::new().run(finally(co! { Err::<(), _>("work failed")?; }, failing)).unwrap_err();
    assert_eq!(error.to_string(), "work failed");
    assert_eq!(messages(error.others()), ["cleanup failed"]);
}

#[test]
fn value_is_kept_when_a_timeout_comes_during_the_cleanup() {
    let long = || co! { yield sleep(ms(20)); };
    let main = co! { yield timeout(finally(co! { 5 }, long), ms(2)) };
    assert_eq!(Loop::new().run(main).unwrap(), Ok(5));
}

#[test]
fn finally_can_be_nested_and_spawned() {
    let log = Log::new();
    let inner = {
        let log = log.clone();
        move || slow(log, "inner")
    };
    let outer = {
        let log = log.clone();
        move || slow(log, "outer")
    };
    let main = co! {
        let handle = yield spawn(finally(finally(co! { yield forever(); }, inner), outer));
        yield timeout(sleep(FOREVER), ms(1)).map(|_| ());
        Err::<(), _>("stop")?;
        drop(handle);
    };
    assert!(Loop::new().run(main).is_err());
    assert_eq!(log.take(), ["inner", "outer"]);
}

#[test]
fn cleanup_of_cancelled_work_adds_no_errors() {
    let log = Log::new();
    let work = finally(co! { yield forever(); }, cleanup(&log));
    let main = co! { yield (work, co! { yield sleep(ms(1)); Err::<(), _>("first")?; }) };
    let error = Loop::builder().grouping(Grouping::Auto).build().run(main).unwrap_err();
    assert!(error.others().is_empty(), "{error:?}");
}

/// Opens, uses and closes a resource. Each logs its beginning or end.
fn bracketed(log: &Log, gate: &Event, body: Coro<u32>) -> Coro<u32> {
    let (opening, closing, gate) = (log.clone(), log.clone(), gate.clone());
    bracket(
        co! { yield gate.wait(); opening.push("open"); String::from("file") },
        |file| co! { assert_eq!(file, "file"); yield body },
        |file| slow(closing, if file == "file" { "close" } else { "wrong" }),
    )
}

fn open_gate() -> Event {
    let gate = Event::new();
    gate.set();
    gate
}

#[test]
fn bracket_closes_after_a_value_an_error_a_cancellation_and_a_panic() {
    let log = Log::new();
    assert_eq!(Loop::new().run(bracketed(&log, &open_gate(), co! { yield; 3 })).unwrap(), 3);
    assert_eq!(log.take(), ["open", "close"]);
    let error = Loop::new().run(bracketed(&log, &open_gate(), co! { yield; Err("broken")?; 1 })).unwrap_err();
    assert_eq!((error.to_string().as_str(), log.take()), ("broken", vec!["open".into(), "close".into()]));
    let late = timeout(bracketed(&log, &open_gate(), co! { yield forever(); 1 }), ms(5));
    assert!(Loop::new().run(late).unwrap().is_err());
    assert_eq!(log.take(), ["open", "close"]);
    let panics = bracketed(&log, &open_gate(), co! { yield; panic!("oh") });
    assert_eq!(panic_of(|| Loop::new().run(panics)), "oh");
    assert_eq!(log.take(), ["open", "close"]);
}

#[test]
fn bracket_closes_if_the_function_that_makes_the_use_panics() {
    let log = Log::new();
    let closing = log.clone();
    let main = bracket(co! { 1 }, |_| -> Coro<()> { panic!("no use") }, |_| slow(closing, "close"));
    assert_eq!(panic_of(|| Loop::new().run(main)), "no use");
    assert_eq!(log.take(), ["close"]);
}

/// The opening continues, the use does not begin, and the resource is closed.
#[test]
fn cancellation_during_the_opening_closes_the_resource() {
    let log = Log::new();
    let gate = Event::new();
    let used = Counter::new();
    let body = {
        let used = used.clone();
        co! { used.up(); 1 }
    };
    let main = co! {
        let (work, handle) = abortable(bracketed(&log, &gate, body));
        let working = yield spawn(work);
        yield sleep(ms(1));
        handle.abort();
        yield sleep(ms(1));
        gate.set();
        let result = yield working;
        (result, log.take())
    };
    let (result, order) = Loop::new().run(main).unwrap();
    assert_eq!(result, Err(Aborted));
    assert_eq!(order, ["open", "close"]);
    assert_eq!(used.get(), 0);
}

#[test]
fn error_of_the_opening_is_raised_and_nothing_is_closed() {
    let closed = Counter::new();
    let up = closed.clone();
    let main = bracket(co! { Err("locked")?; 1 }, |n| co! { n }, move |_| up.up());
    assert_eq!(Loop::new().run(main).unwrap_err().to_string(), "locked");
    assert_eq!(closed.get(), 0);
}

/// At the deadlock, the shielded work is dropped. The tasks that wait for the cleanup continue.
#[test]
fn cleanup_runs_although_the_work_is_stuck_behind_a_shield() {
    let log = Log::new();
    let (cleaned, inside, outside) = (log.clone(), log.clone(), log.clone());
    let never = Event::new();
    let stuck = co! { yield shield(never.wait()); }.named("stuck");
    let work = finally(stuck, move || slow(cleaned, "cleanup"));
    let waiting = co! {
        let _ended = inside.on_drop("waiting ends");
        let result = yield catch(work);
        inside.push(if result.is_err() { "waiting goes on" } else { "not stuck" });
        result?;
    };
    let main = co! { let _ended = outside.on_drop("main ends"); yield shield(waiting.named("waiting")); };
    let error = Loop::new().run(main).unwrap_err();
    assert!(is_deadlock(&error));
    assert_eq!(log.take(), ["cleanup", "waiting goes on", "waiting ends", "main ends"]);
    let dropped: Vec<_> = messages(error.others()).into_iter().filter(|text| text.contains("was dropped")).collect();
    assert_eq!(dropped.len(), 1, "{dropped:?}");
    assert!(dropped[0].contains("`stuck`"), "{dropped:?}");
}

/// The work waits behind a shield for a coroutine that waits for the `finally` around the work.
#[test]
fn cleanup_runs_although_its_work_is_in_a_cycle() {
    let log = Log::new();
    let handle = Rc::new(RefCell::new(None));
    let given = handle.clone();
    let other = co! { yield given.take().unwrap() }.shared();
    let work = {
        let other = other.clone();
        co! { yield; yield shield(other) }
    };
    let cleaned = cleanup(&log);
    let main = co! {
        *handle.borrow_mut() = Some(yield spawn(finally(work, cleaned)));
        yield other
    };
    let error = Loop::new().run(main).unwrap_err();
    assert!(!error.downcast_ref::<Deadlock>().unwrap().cycle().is_empty());
    assert_eq!(log.take(), ["cleanup"]);
}

#[test]
fn close_that_panics_panics_once_and_after_a_failed_use_is_among_the_others() {
    silence_panics("no close");
    for use_fails in [false, true] {
        let work = move |_| {
            co! {
                yield;
                if use_fails {
                    Err("use failed")?;
                }
            }
        };
        let main = bracket(co! { 7 }, work, |_| -> Coro<()> { panic!("no close") });
        assert_eq!(panic_of(|| Loop::new().run(main)), "no close");
        let main = bracket(co! { 7 }, work, |_| co! { yield; panic!("no close") });
        let error = Loop::new().run(isolate(main).catch_unwind()).unwrap().unwrap_err();
        let all: Vec<_> = std::iter::once(error.to_string()).chain(messages(error.others())).collect();
        let expected = if use_fails { &["use failed", "panicked: no close"][..] } else { &["panicked: no close"] };
        assert_eq!(all, expected);
    }
}

#[test]
fn cleanup_that_has_begun_ends_although_the_runtime_is_dropped() {
    let log = Log::new();
    let cleaned = log.clone();
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(finally(co! { 1 }, move || {
        co! {
            cleaned.push("begins");
            yield slow(cleaned.clone(), "ends");
        }
    }));
    while log.len() == 0 {
        runtime.step();
    }
    drop(runtime);
    assert_eq!(log.take(), ["begins", "ends"]);
}

/// The program is given up after any number of turns. Each body that began is cleaned up once.
#[test]
fn each_body_has_one_cleanup_in_a_stream_in_a_race_in_a_domain_that_contains_panics() {
    silence_panics("the third");
    let mut outcomes = std::collections::BTreeSet::new();
    for turns in 0..60 {
        let (begun, cleaned) = (Counter::new(), Counter::new());
        let (up, down) = (begun.clone(), cleaned.clone());
        let values = stream(move |out| {
            co! {
                for n in 0..3 {
                    let (up, down, out) = (up.clone(), down.clone(), out.clone());
                    let body = co! {
                        up.up();
                        yield out.emit(n);
                        if n == 2 { panic!("the third") }
                    };
                    yield finally(body, move || co! { yield; down.up(); });
                }
            }
        });
        let reading = co! { while let Some(_n) = yield values.next() {} "read" };
        let limit = co! { for _ in 0..turns { yield; } "given up" };
        let result = Loop::new().run(isolate(race((reading, limit))).catch_unwind()).unwrap();
        outcomes.insert(result.map_or_else(|error| error.to_string(), str::to_string));
        assert_eq!(begun.get(), cleaned.get(), "after {turns} turns");
    }
    assert_eq!(outcomes.into_iter().collect::<Vec<_>>(), ["given up", "panicked: the third"]);
}

struct PanicsOnClone;

impl Clone for PanicsOnClone {
    fn clone(&self) -> PanicsOnClone {
        panic!("the clone panics")
    }
}

#[test]
fn bracket_closes_a_resource_whose_clone_panics() {
    silence_panics("the clone panics");
    let closed = Counter::new();
    let up = closed.clone();
    let close = move |_| co! { yield; up.up(); };
    let result = Loop::new().run(isolate(bracket(co! { PanicsOnClone }, |_| (), close)).catch_unwind()).unwrap();
    assert_eq!(result.unwrap_err().to_string(), "panicked: the clone panics");
    assert_eq!(closed.get(), 1);
}

#[test]
fn bracket_that_is_cancelled_while_it_opens_does_not_clone() {
    let closed = Counter::new();
    let up = closed.clone();
    let work = bracket(co! { yield sleep(ms(2)); PanicsOnClone }, |_| (), move |_| co! { yield; up.up(); });
    assert!(simulated().run(timeout(work, ms(1))).unwrap().is_err());
    assert_eq!(closed.get(), 1);
}
