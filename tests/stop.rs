//! Stopping a loop with a `StopHandle`.
#![feature(coroutines)]

mod common;

use std::sync::mpsc;

use common::{Alive, Counter, Gate, Log, forever, ran, to_end, to_idle};
use tinyield::{Coro, Grouping, Loop, Reason, StopHandle, catch, co, coro, isolate, run_in_thread, shield};

#[coro]
fn waits(log: Log, name: &'static str) -> Coro<()> {
    let _ends = log.on_drop(name);
    yield forever();
}

#[test]
fn a_stop_handle_is_send_sync_and_clone() {
    fn check<T: Send + Sync + Clone + 'static>() {}
    check::<StopHandle>();
}

#[test]
fn a_stop_between_two_runs_stops_the_next_one_before_it_begins() {
    let begun = Counter::new();
    let bodies = Alive::new();
    let never = || {
        let (begun, held) = (begun.clone(), bodies.token());
        co! { begun.up(); drop(held); }
    };
    let mut event_loop = Loop::new();
    let handle = event_loop.stop_handle();
    for _ in 0..2 {
        handle.stop();
        handle.stop();
        let error = event_loop.run((never(), never())).unwrap_err();
        assert!(error.is_stopped() && error.error().is_cancelled());
        assert_eq!((begun.get(), bodies.get()), (0, 0));
        // One run answers both requests.
        assert_eq!(event_loop.run(co! { yield; 1 }).unwrap(), 1);
    }
}

#[test]
fn a_stop_after_a_run_was_forgotten_stops_the_next() {
    let mut event_loop = Loop::new();
    let handle = event_loop.stop_handle();
    for steps in 0..3 {
        let mut runtime = event_loop.runtime(co! { loop { yield; } });
        for _ in 0..steps {
            ran(&mut runtime);
        }
        common::forget(runtime);
        handle.stop();
        assert!(event_loop.run(co! { 1 }).unwrap_err().is_stopped());
        assert_eq!(event_loop.run(co! { 1 }).unwrap(), 1);
    }
}

#[test]
fn a_forgotten_run_uses_up_the_stop_that_it_has_seen() {
    let mut event_loop = Loop::new();
    let handle = event_loop.stop_handle();
    let mut runtime = event_loop.runtime(co! { yield shield(forever()); });
    let _idle = to_idle(&mut runtime);
    handle.stop();
    let _idle = to_idle(&mut runtime);
    common::forget(runtime);
    assert_eq!(event_loop.run(co! { 1 }).unwrap(), 1);
}

#[test]
fn a_thread_stops_an_idle_loop() {
    let log = Log::new();
    let mut event_loop = Loop::new();
    let handle = event_loop.stop_handle();
    let (begun, begin) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        begin.recv().unwrap();
        handle.stop();
    });
    let main = (waits(log.clone(), "1"), co! { yield; begun.send(())?; yield forever(); }, waits(log.clone(), "2"));
    let error = event_loop.run(main).unwrap_err();
    thread.join().unwrap();
    assert!(error.is_stopped());
    assert!(error.others().is_empty());
    assert_eq!(error.error().as_cancelled().unwrap().reason(), Reason::Stopped);
    assert_eq!(log.take(), ["2", "1"]);
}

#[test]
fn a_thread_stops_a_busy_loop() {
    let mut event_loop = Loop::new();
    let handle = event_loop.stop_handle();
    let (begun, begin) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        begin.recv().unwrap();
        handle.stop();
    });
    let error = event_loop.run(co! { begun.send(())?; loop { yield; } }).unwrap_err();
    thread.join().unwrap();
    assert!(error.is_stopped());
}

#[test]
fn a_coroutine_stops_its_own_loop() {
    let log = Log::new();
    let mut event_loop = Loop::new();
    let handle = event_loop.stop_handle();
    let logs = log.clone();
    let stops = co! {
        yield;
        handle.clone().stop();
        logs.push("goes on to its next yield");
        let error = (yield catch(())).unwrap_err();
        logs.push(error.as_cancelled().unwrap());
        Err(error)?;
    };
    let error = event_loop.run((waits(log.clone(), "other"), stops)).unwrap_err();
    assert!(error.is_stopped());
    assert_eq!(log.take(), ["goes on to its next yield", "cancelled: the loop was told to stop", "other"]);
    assert_eq!(event_loop.run(co! { 1 }).unwrap(), 1);
}

#[test]
fn a_stop_after_the_last_turn_of_a_run_does_not_reach_the_next() {
    let mut event_loop = Loop::new();
    let handle = event_loop.stop_handle();
    let result = event_loop.run(co! { handle.stop(); 1 });
    assert!(result.is_ok_and(|value| value == 1) || event_loop.run(co! { 2 }).is_ok());
    assert_eq!(event_loop.run(co! { 3 }).unwrap(), 3);
}

#[test]
fn a_stop_cancels_inside_an_isolate_and_leaves_the_loop() {
    let log = Log::new();
    let inside = waits(log.clone(), "inside");
    let mut event_loop = Loop::new();
    let handle = event_loop.stop_handle();
    let main = co! { drop(yield isolate(co! { yield inside; })); unreachable!() };
    let error = event_loop.run((main, co! { yield; yield; yield; handle.stop(); })).map(|((), ())| ()).unwrap_err();
    assert!(error.is_stopped());
    assert_eq!(log.take(), ["inside"]);
}

#[test]
fn a_stop_waits_for_coroutines_that_clean_up() {
    let (gate, log) = (Gate::new(), Log::new());
    let (waits, logs) = (gate.clone(), log.clone());
    let polite = co! {
        let error = (yield catch(forever())).unwrap_err();
        yield shield(co! { waits.await });
        logs.push("clean");
        Err(error)?;
    };
    let mut event_loop = Loop::new();
    let handle = event_loop.stop_handle();
    let mut runtime = event_loop.runtime(polite);
    let _opens = gate.open_on_drop();
    let _ = to_idle(&mut runtime);
    handle.stop();
    let _ = to_idle(&mut runtime);
    // A second request changes nothing.
    handle.stop();
    let _ = to_idle(&mut runtime);
    assert_eq!(log.len(), 0);
    gate.open();
    let (_, result) = to_end(&mut runtime);
    let error = result.unwrap_err();
    assert!(error.is_stopped() && error.others().is_empty(), "{error:?}");
    assert_eq!(log.take(), ["clean"]);
}

#[test]
fn a_stop_while_it_stops_for_an_error_changes_nothing() {
    let mut event_loop = Loop::new();
    let handle = event_loop.stop_handle();
    let polite = co! {
        let error = (yield catch(forever())).unwrap_err();
        handle.stop();
        yield shield(co! { for _ in 0..5 { yield; } });
        Err(error)?;
    };
    let error = event_loop.run((polite, co! { yield; Err("first")?; })).unwrap_err();
    assert_eq!((error.to_string().as_str(), error.is_stopped(), error.others().len()), ("first", false, 0));
    assert_eq!(event_loop.run(co! { 1 }).unwrap(), 1);
}

#[test]
fn a_stop_joins_threads() {
    let mut event_loop = Loop::new();
    let handle = event_loop.stop_handle();
    let (ended, end) = mpsc::channel();
    let main = run_in_thread(move || {
        handle.stop();
        while !tinyield::thread::is_cancelled() {
            std::thread::yield_now();
        }
        ended.send(()).unwrap();
    });
    let error = event_loop.run(main).unwrap_err();
    assert!(error.is_stopped());
    assert_eq!(end.try_iter().count(), 1);
}

#[test]
fn wrong_answers_to_a_stop_are_among_the_others() {
    let mut event_loop = Loop::new();
    drop(event_loop.stop_handle());
    let handle = event_loop.stop_handle();
    let value = co! { let _ = yield catch(forever()); }.named("value");
    let other = co! { let _ = yield catch(forever()); Err("other")?; };
    let error = event_loop.run((value, other, co! { yield; handle.stop(); yield; })).unwrap_err();
    assert!(error.is_stopped());
    assert_eq!(error.others().len(), 2, "{error:?}");
    assert_eq!(error.others()[0].to_string(), "other");
    assert!(error.others()[1].to_string().contains("`value`"));
}

#[test]
fn grouping_always_keeps_the_cancellation_of_each_coroutine() {
    let mut event_loop = Loop::builder().grouping(Grouping::Always).build();
    event_loop.stop_handle().stop();
    let error = event_loop.run((co! { yield; }.named("a"), co! { yield; })).unwrap_err();
    assert!(error.is_stopped());
    let handle = event_loop.stop_handle();
    let main = (co! { yield forever(); }.named("a"), co! { yield; handle.stop(); yield; }.named("b"));
    let error = event_loop.run(main).unwrap_err();
    assert!(error.others().iter().all(tinyield::Error::is_cancelled));
    let names: Vec<_> = error.others().iter().map(|error| common::names(error).join("/")).collect();
    assert_eq!(names, ["b", "a"]);
}

#[test]
fn a_stop_handle_stops_only_its_own_loop() {
    let (mut one, mut two) = (Loop::new(), Loop::new());
    one.stop_handle().stop();
    assert_eq!(two.run(co! { 1 }).unwrap(), 1);
    assert!(one.run(co! { 1 }).unwrap_err().is_stopped());
    // The handle of an outer loop does not stop the inner one.
    let mut outer = Loop::new();
    let handle = outer.stop_handle();
    let log = Log::new();
    let logs = log.clone();
    let main = co! {
        handle.stop();
        logs.push(Loop::new().run(co! { yield; yield; 5 })?);
        yield;
    };
    assert!(outer.run(main).unwrap_err().is_stopped());
    assert_eq!(log.take(), ["5"]);
}

#[test]
fn a_stop_handle_does_nothing_when_its_loop_is_gone() {
    let handle = {
        let mut event_loop = Loop::new();
        let handle = event_loop.stop_handle();
        event_loop.run(co! { yield; }).unwrap();
        handle
    };
    handle.stop();
    drop(handle);
}

#[test]
fn the_next_step_sees_the_stop_of_a_stepped_loop() {
    let mut event_loop = Loop::new();
    let handle = event_loop.stop_handle();
    let mut runtime = event_loop.runtime(forever());
    ran(&mut runtime);
    let (_, idle) = to_idle(&mut runtime);
    let thread = std::thread::spawn(move || handle.stop());
    idle.wait();
    thread.join().unwrap();
    let (steps, result) = to_end(&mut runtime);
    assert_eq!(steps, 1);
    assert!(result.unwrap_err().is_stopped());
}

#[test]
fn many_threads_stop_the_same_loop() {
    for _ in 0..50 {
        let mut event_loop = Loop::new();
        let handle = event_loop.stop_handle();
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let handle = handle.clone();
                std::thread::spawn(move || handle.stop())
            })
            .collect();
        assert!(event_loop.run(co! { loop { yield; } }).unwrap_err().is_stopped());
        for thread in threads {
            thread.join().unwrap();
        }
        // A request that came after the run stops the next run. After that, no request is left.
        let _ = event_loop.run(());
        assert_eq!(event_loop.run(co! { 1 }).unwrap(), 1);
    }
}
