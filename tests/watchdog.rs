//! The watchdog: it reports turns that take too long. No test relies on a time: a turn blocks until the report has arrived.

#![feature(coroutines)]

mod common;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::time::{Duration, Instant};
use std::{mem, thread};

use tinyield::{Event, Loop, Stall, co, finally, run_in_thread, sleep, spawn};

const LIMIT: Duration = Duration::from_millis(5);

/// A loop with a watchdog, and the stalls that it reports.
fn watched() -> (Loop, mpsc::Receiver<Stall>) {
    let (sender, stalls) = mpsc::channel();
    let report = move |stall: &Stall| {
        let _ = sender.send(stall.clone());
    };
    (Loop::builder().watchdog(LIMIT, report).build(), stalls)
}

/// Blocks the turn that was resumed at `line` until its stall is reported. Other turns may be reported as well, when their thread
/// gets no processor for a while.
fn blocks_until_reported(stalls: &mpsc::Receiver<Stall>, name: &str, line: u32) -> Stall {
    stalls.iter().find(|stall| is_of(stall, name, line) && !stall.is_over()).unwrap()
}

fn is_of(stall: &Stall, name: &str, line: u32) -> bool {
    stall.name() == name && stall.location().line() == line
}

#[test]
fn a_limit_of_zero_panics_at_the_call_and_says_what_is_allowed() {
    let message = common::panic_of(|| Loop::builder().watchdog(Duration::ZERO, |_| {}));
    assert!(message.contains("a limit of no time") && message.contains("has to be longer than zero"), "{message}");
    drop(Loop::builder().watchdog(Duration::from_nanos(1), |_| {}).build());
}

#[test]
fn a_stall_is_reported_with_both_lines() {
    let (mut event_loop, stalls) = watched();
    let line = line!() + 2;
    let blocking = co! {
        yield;
        let stall = blocks_until_reported(&stalls, "blocking", line);
        yield;
        (stall, stalls)
    };
    let (during, stalls) = event_loop.run(blocking.named("blocking")).unwrap();
    assert_eq!(during.location().line(), line);
    assert!(during.duration() >= LIMIT);
    // Everything is reported when the run is over.
    let after = stalls.try_iter().find(|stall| stall.is_over() && is_of(stall, "blocking", line)).unwrap();
    assert_eq!(after.yielded_at().unwrap().line(), line + 2);
    assert!(after.duration() >= during.duration());
    let text = after.to_string();
    let expected =
        format!("`blocking` held the loop up from tests/watchdog.rs:{line} to tests/watchdog.rs:{}, for ", line + 2);
    assert!(text.starts_with(&expected), "{text}");
}

#[test]
fn a_stall_is_reported_once_and_once_more_when_it_is_over() {
    let (mut event_loop, stalls) = watched();
    let line = line!() + 2;
    let blocking = co! {
        yield;
        blocks_until_reported(&stalls, "blocking", line);
        // Several times the limit.
        thread::sleep(4 * LIMIT);
        assert!(stalls.try_iter().all(|stall| !is_of(&stall, "blocking", line)));
        yield;
        stalls
    };
    let stalls = event_loop.run(blocking.named("blocking")).unwrap();
    let of_this: Vec<_> = stalls.try_iter().filter(|stall| is_of(stall, "blocking", line)).collect();
    assert_eq!(of_this.iter().map(Stall::is_over).collect::<Vec<_>>(), [true]);
}

#[test]
fn a_stall_that_ends_with_its_coroutine_is_over_without_a_line() {
    let (mut event_loop, stalls) = watched();
    let line = line!() + 1;
    let blocking = co! {
        let during = blocks_until_reported(&stalls, "blocking", line);
        (during, stalls)
    };
    let (during, stalls) = event_loop.run(blocking.named("blocking")).unwrap();
    let after = stalls.try_iter().find(|stall| stall.is_over() && is_of(stall, "blocking", line)).unwrap();
    assert_eq!((after.location(), after.yielded_at()), (during.location(), None));
    assert!(after.to_string().contains(" to its end, for "), "{after}");
}

#[test]
fn a_stall_that_ends_with_a_panic_is_over() {
    let (sender, stalls) = mpsc::channel();
    let report = move |stall: &Stall| {
        let _ = sender.send(stall.clone());
    };
    let mut event_loop = Loop::builder().watchdog(LIMIT, report).panic_trace(false).build();
    let (give, stalls_there) = mpsc::channel();
    let line = line!() + 1;
    let blocking = co! {
        blocks_until_reported(&stalls, "blocking", line);
        give.send(stalls).unwrap();
        if true {
            panic!("after the stall")
        }
    };
    assert_eq!(common::panic_of(|| event_loop.run(blocking.named("blocking"))), "after the stall");
    assert!(stalls_there.recv().unwrap().try_iter().any(|stall| stall.is_over() && is_of(&stall, "blocking", line)));
}

#[test]
fn a_loop_with_nothing_ready_is_no_stall() {
    const WAITS: usize = 10;

    let (mut event_loop, stalls) = watched();
    let mut alarms = [0, 0];
    let main = co! {
        for _ in 0..WAITS {
            yield sleep(3 * LIMIT);
            alarms[0] += usize::from(stalls.try_iter().count() > 0);
            yield run_in_thread(|| thread::sleep(3 * LIMIT));
            alarms[1] += usize::from(stalls.try_iter().count() > 0);
        }
        alarms
    };
    // The short turn before a wait is a stall if its thread gets no processor, but that does not happen before each wait.
    let alarms = event_loop.run(main.named("main")).unwrap();
    assert!(alarms.iter().all(|alarms| *alarms < WAITS), "{alarms:?} alarms in {WAITS} waits each");
}

#[test]
fn the_watchdog_sees_each_of_many_stalls_and_runs() {
    let (mut event_loop, stalls) = watched();
    let mut stalls = Some(stalls);
    for _ in 0..3 {
        let own = stalls.take().unwrap();
        let main = co! {
            for _ in 0..3 {
                yield;
                blocks_until_reported(&own, "main", line!() - 1);
                yield sleep(Duration::from_millis(1));
            }
            own
        };
        stalls = Some(event_loop.run(main.named("main")).unwrap());
    }
}

#[test]
fn a_report_that_panics_does_not_end_the_watchdog() {
    common::silence_panics("from the report");
    let (sender, stalls) = mpsc::channel();
    let report = move |stall: &Stall| {
        let _ = sender.send(stall.clone());
        panic!("from the report");
    };
    let mut event_loop = Loop::builder().watchdog(LIMIT, report).build();
    let main = co! {
        for _ in 0..3 {
            yield;
            blocks_until_reported(&stalls, "main", line!() - 1);
        }
    };
    event_loop.run(main.named("main")).unwrap();
}

#[test]
fn the_thread_is_gone_when_the_run_returns() {
    struct Counts(Arc<AtomicUsize>);
    impl Drop for Counts {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    let dropped = Arc::new(AtomicUsize::new(0));
    let counts = Counts(dropped.clone());
    let mut event_loop = Loop::builder()
        .watchdog(LIMIT, move |_| {
            let _ = &counts;
        })
        .build();
    for _ in 0..10 {
        event_loop.run(co! { yield spawn(co! { yield; }); }).unwrap();
    }
    drop(event_loop.runtime(co! { yield; }));
    // The threads share the report. The loop has the last reference.
    assert_eq!(dropped.load(Ordering::SeqCst), 0);
    drop(event_loop);
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
}

#[test]
fn the_report_may_look_into_the_loop() {
    let (sender, seen) = mpsc::channel();
    let view = Arc::new(std::sync::Mutex::new(None::<tinyield::View>));
    let report = {
        let view = view.clone();
        move |stall: &Stall| {
            let view = view.lock().unwrap().clone().unwrap();
            if stall.name() == "blocking" && !stall.is_over() {
                let _ = sender.send(view.dump(Duration::ZERO).unwrap_err());
            }
        }
    };
    let mut event_loop = Loop::builder().watchdog(LIMIT, report).build();
    *view.lock().unwrap() = Some(event_loop.view());
    let blocking = co! { seen.recv().unwrap() };
    assert_eq!(event_loop.run(blocking.named("blocking")).unwrap().name(), "blocking");
}

#[test]
fn a_simulated_loop_is_watched_in_real_time() {
    let (sender, stalls) = mpsc::channel();
    let report = move |stall: &Stall| {
        let _ = sender.send(stall.clone());
    };
    let mut event_loop = Loop::builder().simulated(7).watchdog(LIMIT, report).build();
    let main = co! {
        yield sleep(Duration::from_secs(3600));
        blocks_until_reported(&stalls, "main", line!() - 1);
    };
    event_loop.run(main.named("main")).unwrap();
}

#[test]
fn a_stall_while_the_report_of_another_runs_is_reported_afterwards() {
    let (sender, stalls) = mpsc::channel();
    let (begun, go_on) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let report = {
        let (begun, go_on) = (begun.clone(), go_on.clone());
        let mut is_first = true;
        move |stall: &Stall| {
            sender.send((stall.name().to_string(), stall.is_over())).unwrap();
            if stall.name() == "first" && mem::take(&mut is_first) {
                begun.wait();
                go_on.wait();
            }
        }
    };
    let mut event_loop = Loop::builder().watchdog(LIMIT, report).build();
    let blocks = || {
        let start = Instant::now();
        while start.elapsed() < 2 * LIMIT {
            thread::yield_now();
        }
    };
    let main = co! {
        yield co! { begun.wait(); }.named("first");
        yield co! { blocks(); }.named("second");
        go_on.wait();
    };
    event_loop.run(main).unwrap();
    let mut reports: Vec<_> = stalls.try_iter().map(|(name, is_over)| format!("{name} {is_over}")).collect();
    reports.retain(|report| report.starts_with("first") || report.starts_with("second"));
    assert_eq!(reports, ["first false", "first true", "second false", "second true"]);
}

#[test]
fn the_destructor_of_a_value_that_is_not_taken_is_part_of_the_turn() {
    struct Slow(Duration);
    impl Drop for Slow {
        fn drop(&mut self) {
            let start = Instant::now();
            while start.elapsed() < self.0 {
                thread::yield_now();
            }
        }
    }
    let (sender, stalls) = mpsc::channel();
    let report = move |stall: &Stall| sender.send(stall.name().to_string()).unwrap();
    let mut event_loop = Loop::builder().watchdog(LIMIT, report).build();
    let main = co! {
        yield spawn(co! { yield; Slow(2 * LIMIT) }.named("culprit"));
        for _ in 0..5 { yield; }
    };
    event_loop.run(main).unwrap();
    assert!(stalls.try_iter().any(|name| name == "culprit"));
    assert!(event_loop.statistics().longest_turn().unwrap() >= 2 * LIMIT);
}

#[test]
fn a_stall_in_a_cleanup_has_the_name_of_the_coroutine_that_waits_for_it_and_not_of_its_starter() {
    let (mut event_loop, stalls) = watched();
    let event = Event::new();
    let set = event.clone();
    let seen = Rc::new(RefCell::new(String::new()));
    let sees = seen.clone();
    let cleanup = move || {
        let names = ["starter", "waiting"];
        let stall = stalls.iter().find(|stall| names.contains(&stall.name()) && !stall.is_over()).unwrap();
        co! { *sees.borrow_mut() = stall.name().to_string() }
    };
    let starter = co! {
        let cleaned = yield spawn(finally(event.wait(), cleanup));
        let waiting = yield spawn(co! { yield cleaned }.named("waiting"));
        yield;
        set.set();
        yield waiting
    };
    event_loop.run(starter.named("starter")).unwrap();
    assert_eq!(*seen.borrow(), "waiting");
}
