//! Simulated loops: when the clock stands still, when it jumps, and which warnings the loop prints.
#![feature(coroutines)]

use std::cell::{Cell, RefCell};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tinyield::{
    Coro, Deadlock, Event, Loop, Step, TimedOut, co, coro, now, run_in_thread, settled, sleep, sleep_until, spawn,
    timeout,
};

const HOUR: Duration = Duration::from_secs(3600);

fn simulated() -> Loop {
    Loop::builder().simulated(0).build()
}

#[coro]
fn elapsed_since(start: Instant) -> Coro<Duration> {
    (yield now()) - start
}

#[test]
fn sleeps_of_hours_take_no_time_and_are_exact() {
    let real = Instant::now();
    let program = co! {
        let start = yield now();
        yield sleep(5 * HOUR);
        assert_eq!(yield elapsed_since(start), 5 * HOUR);
        yield sleep_until(start + 7 * HOUR);
        assert_eq!(yield elapsed_since(start), 7 * HOUR);
        yield sleep_until(start);
        assert_eq!(yield elapsed_since(start), 7 * HOUR);
        let set = yield Event::new().wait_timeout(HOUR);
        assert!(!set);
        assert_eq!(yield elapsed_since(start), 8 * HOUR);
        let late = yield timeout(sleep(3 * HOUR), 2 * HOUR);
        assert_eq!(late, Err(TimedOut));
        assert_eq!(yield elapsed_since(start), 10 * HOUR);
    };
    simulated().run(program).unwrap();
    assert!(real.elapsed() < HOUR);
}

#[test]
fn timers_fire_in_the_order_of_their_deadlines() {
    let log = Rc::new(RefCell::new(Vec::new()));
    let sleeper = |hours: u32| {
        let log = log.clone();
        co! {
            yield sleep(hours * HOUR);
            log.borrow_mut().push(hours);
        }
    };
    simulated().run([3, 1, 2, 5, 4].map(sleeper)).unwrap();
    assert_eq!(*log.borrow(), [1, 2, 3, 4, 5]);
}

#[test]
fn the_clock_stands_still_while_a_coroutine_is_ready() {
    let is_over = Rc::new(Cell::new(false));
    let busy = {
        let is_over = is_over.clone();
        co! {
            for _ in 0..1_000 {
                yield;
                assert!(!is_over.get());
            }
        }
    };
    let sleeper = co! {
        yield sleep(Duration::from_nanos(1));
        is_over.set(true);
    };
    simulated().run((busy, sleeper)).unwrap();
}

#[test]
fn the_clock_stands_still_while_a_closure_runs_on_a_thread() {
    for _ in 0..20 {
        let work = run_in_thread(|| std::thread::sleep(Duration::from_millis(2)));
        let result = simulated().run(timeout(work, Duration::from_micros(1))).unwrap();
        assert_eq!(result, Ok(()));
    }
}

#[test]
fn the_clock_stands_still_while_a_remote_handle_may_set_the_event_of_a_waiting_coroutine() {
    let event = Event::new();
    let remote = event.remote();
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        receiver.recv().unwrap();
        remote.set();
    });
    let program = co! {
        let start = yield now();
        yield spawn(co! {
            yield settled();
            sender.send(()).unwrap();
        });
        let set = yield event.wait_timeout(HOUR);
        assert!(set);
        assert_eq!(yield elapsed_since(start), Duration::ZERO);
        // The handle is gone.
        yield sleep(HOUR);
        assert_eq!(yield elapsed_since(start), HOUR);
    };
    simulated().run(program).unwrap();
    thread.join().unwrap();
}

#[test]
fn the_clock_goes_on_when_the_last_remote_handle_is_dropped() {
    let event = Event::new();
    let remote = event.remote();
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        receiver.recv().unwrap();
        drop(remote);
    });
    let program = co! {
        yield spawn(co! {
            yield settled();
            sender.send(()).unwrap();
        });
        yield event.wait_timeout(HOUR)
    };
    assert!(!simulated().run(program).unwrap());
    thread.join().unwrap();
}

#[test]
fn the_clock_stands_still_while_a_foreign_waker_is_held() {
    let (sender, receiver) = async_channel::bounded::<u32>(1);
    let (ready, wait) = mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        wait.recv().unwrap();
        sender.send_blocking(7).unwrap();
    });
    let program = co! {
        yield spawn(co! {
            yield settled();
            ready.send(()).unwrap();
        });
        yield timeout(co! { receiver.recv().await? }, Duration::from_nanos(1))
    };
    assert_eq!(simulated().run(program).unwrap(), Ok(7));
    thread.join().unwrap();
}

#[cfg(feature = "smol")]
#[test]
fn the_clock_waits_for_the_timers_of_other_crates() {
    let program = co! {
        let start = yield now();
        let foreign = co! { async_io::Timer::after(Duration::from_millis(2)).await; };
        let result = yield timeout(foreign, Duration::from_nanos(1));
        assert_eq!(result, Ok(()));
        assert_eq!(yield elapsed_since(start), Duration::ZERO);
    };
    let mut event_loop = simulated();
    event_loop.run(program).unwrap();
    assert!(event_loop.came_from_outside());
}

#[test]
fn a_wait_without_a_deadline_is_a_deadlock() {
    let event = Event::new();
    let program = co! {
        yield sleep(HOUR);
        yield event.wait();
    };
    let error = simulated().run(program.named("listener")).unwrap_err();
    let deadlock = error.error().downcast_ref::<Deadlock>().unwrap();
    assert_eq!(deadlock.stuck()[0].frame().name(), "listener");
    assert_eq!(deadlock.stuck()[0].waits_on(), "an event");
}

#[test]
fn a_sleep_without_end_is_a_deadlock() {
    let error = simulated().run(sleep(Duration::MAX)).unwrap_err();
    assert!(error.error().downcast_ref::<Deadlock>().is_some());
    assert!(error.to_string().contains(BEYOND), "{error}");
}

const BEYOND: &str = "deadlock: nothing is ready, the only timers are set beyond the end of the simulated clock (584 years after \
                      its start; put a limit around a program without end, such as `timeout(program, duration)`), and nothing \
                      outside can wake the loop";

#[test]
fn the_deadlock_at_the_end_of_the_clock_says_why() {
    let turns = Rc::new(Cell::new(0));
    let ticker = {
        let turns = turns.clone();
        co! {
            loop {
                turns.set(turns.get() + 1);
                yield sleep(100 * 365 * 24 * HOUR);
            }
        }
    };
    let error = simulated().run(ticker.named("ticker")).unwrap_err();
    assert_eq!(turns.get(), 6);
    assert!(error.to_string().contains(BEYOND), "{error}");
    assert!(error.to_string().contains("`ticker` waits at "), "{error}");
}

#[test]
fn a_deadlock_without_timers_says_that_none_runs() {
    let error = simulated().run(co! { yield sleep(HOUR); yield Event::new().wait(); }).unwrap_err();
    assert!(error.to_string().contains("no timer runs"), "{error}");
}

#[test]
fn a_stop_by_a_coroutine_ends_a_simulated_run_and_counts_as_from_outside() {
    let mut event_loop = simulated();
    let stop = event_loop.stop_handle();
    let program = co! {
        yield spawn(co! { yield sleep(3 * HOUR); });
        yield sleep(HOUR);
        stop.stop();
        yield sleep(HOUR);
    };
    assert!(event_loop.run(program).unwrap_err().is_stopped());
    assert!(event_loop.came_from_outside());
}

#[test]
fn the_time_never_goes_back_from_one_run_to_the_next() {
    let mut event_loop = simulated();
    let mut last = Instant::now();
    for _ in 0..3 {
        let (start, end) =
            event_loop.run(co! { let start = yield now(); yield sleep(HOUR); (start, yield now()) }).unwrap();
        assert!(start >= last);
        assert_eq!(end - start, HOUR);
        last = end;
    }
}

#[test]
fn a_real_loop_gives_the_time_of_the_machine() {
    let before = Instant::now();
    let time = Loop::new().run(now()).unwrap();
    assert!(before <= time && time <= Instant::now());
}

#[test]
fn steps_make_the_clock_jump_and_are_never_idle_until_a_virtual_deadline() {
    let mut event_loop = simulated();
    let mut runtime = event_loop.runtime(co! {
        let start = yield now();
        for _ in 0..5 {
            yield sleep(HOUR);
        }
        (yield now()) - start
    });
    let mut steps = 0;
    let time = loop {
        assert_eq!(runtime.deadline(), None);
        match runtime.step() {
            Step::Ran => steps += 1,
            Step::Idle(_) => panic!("the clock can jump"),
            Step::Done(result) => break result.unwrap(),
        }
    };
    assert_eq!(time, 5 * HOUR);
    assert!(steps <= 10, "{steps}");
}

#[test]
fn a_stepped_loop_without_a_deadline_waits_for_its_host() {
    let event = Event::new();
    let mut event_loop = simulated();
    let mut runtime = event_loop.runtime(event.wait());
    let idle = loop {
        match runtime.step() {
            Step::Ran => {}
            Step::Idle(idle) => break idle,
            Step::Done(_) => panic!("the event is not set"),
        }
    };
    assert_eq!(idle.deadline(), None);
    event.set();
    while let Step::Ran = runtime.step() {}
}

#[test]
fn polls_make_the_clock_jump() {
    let mut event_loop = simulated();
    let mut runtime = event_loop.runtime(co! {
        for _ in 0..100 {
            yield sleep(HOUR);
        }
    });
    let mut context = Context::from_waker(Waker::noop());
    assert!(matches!(runtime.poll(&mut context), Poll::Ready(Ok(()))));
}

#[test]
fn a_simulated_loop_that_is_dropped_runs_its_shielded_sleeps_at_once() {
    let is_clean = Rc::new(Cell::new(false));
    let mut event_loop = simulated();
    let cleaner = {
        let is_clean = is_clean.clone();
        co! {
            yield tinyield::shield(sleep(HOUR));
            is_clean.set(true);
        }
    };
    let mut runtime = event_loop.runtime(cleaner);
    assert!(matches!(runtime.step(), Step::Ran));
    drop(runtime);
    assert!(is_clean.get());
}

#[test]
fn settled_goes_on_when_nothing_else_is_ready_and_before_the_clock_jumps() {
    let log = Rc::new(RefCell::new(Vec::new()));
    let note = |what: &'static str| log.borrow_mut().push(what);
    let log_of = |name: &'static str, turns: u32| {
        let log = log.clone();
        co! {
            for _ in 0..turns {
                yield;
            }
            log.borrow_mut().push(name);
        }
    };
    let waiter = |name: &'static str| {
        let log = log.clone();
        co! {
            yield settled();
            log.borrow_mut().push(name);
            yield;
            log.borrow_mut().push("its next turn");
        }
    };
    let sleeper = {
        let log = log.clone();
        co! {
            yield sleep(Duration::from_nanos(1));
            log.borrow_mut().push("the clock jumps");
        }
    };
    note("begin");
    simulated().run((waiter("first"), waiter("second"), sleeper, log_of("busy", 5))).unwrap();
    assert_eq!(
        *log.borrow(),
        ["begin", "busy", "first", "its next turn", "second", "its next turn", "the clock jumps"]
    );
}

#[test]
fn settled_works_in_a_real_loop_and_when_it_is_stepped() {
    let steps = Rc::new(Cell::new(0));
    let program = |steps: Rc<Cell<i32>>| {
        co! {
            let counter = steps.clone();
            yield spawn(co! {
                for _ in 0..3 {
                    counter.set(counter.get() + 1);
                    yield;
                }
            });
            yield settled();
            steps.get()
        }
    };
    assert_eq!(Loop::new().run(program(steps.clone())).unwrap(), 3);
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(program(steps));
    let result = loop {
        match runtime.step() {
            Step::Ran => {}
            Step::Idle(_) => panic!("`settled` goes on when nothing else is ready"),
            Step::Done(result) => break result,
        }
    };
    assert_eq!(result.unwrap(), 6);
}

#[test]
fn a_cancelled_settled_leaves_the_queue() {
    let program = co! {
        let lost = yield tinyield::race((
            co! { yield settled(); "settled" },
            co! { yield; "turn" },
        ));
        yield settled();
        lost
    };
    assert_eq!(simulated().run(program).unwrap(), "turn");
}

#[test]
fn a_loop_inside_of_a_simulated_loop_has_a_clock_of_its_own() {
    let program = co! {
        let start = yield now();
        let inner = co! { let start = yield now(); yield sleep(HOUR); (yield now()) - start };
        assert_eq!(simulated().run(inner)?, HOUR);
        assert_eq!(yield elapsed_since(start), Duration::ZERO);
        Loop::new().run(sleep(Duration::from_millis(1)))?;
        assert_eq!(yield elapsed_since(start), Duration::ZERO);
    };
    simulated().run(program).unwrap();
}

#[test]
fn nothing_comes_from_outside_in_a_run_of_coroutines_alone() {
    let mut event_loop = simulated();
    event_loop.run(co! { yield sleep(HOUR); }).unwrap();
    assert!(!event_loop.came_from_outside());
    event_loop.run(run_in_thread(|| ())).unwrap();
    assert!(event_loop.came_from_outside());
    event_loop.run(co! { yield sleep(HOUR); }).unwrap();
    assert!(!event_loop.came_from_outside());
}

// The warnings that a loop writes to the standard error. Each of these tests runs this test binary again, with this test only.

const VARIABLE: &str = "NEVER_ENDS";

/// The first lines that `test` writes to the standard error if [`VARIABLE`] is set. `test` does not end by itself.
fn lines_said_by(test: &str, count: usize) -> Vec<String> {
    let mut waiting = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test])
        .env(VARIABLE, "yes")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(waiting.stderr.take().unwrap()).lines().take(count).map(Result::unwrap).collect();
    waiting.kill().unwrap();
    waiting.wait().unwrap();
    said
}

/// A waker that a sleeping coroutine of the same loop holds counts as held outside. The loop reports this, and continues to wait.
#[test]
fn a_clock_that_waits_for_long_is_reported() {
    if std::env::var_os(VARIABLE).is_some() {
        let (sender, receiver) = async_channel::bounded::<u32>(1);
        let sends = co! { yield sleep(HOUR); sender.send(1).await?; };
        let receives = co! { receiver.recv().await? };
        simulated().run((sends.named("sends"), receives.named("receives"))).unwrap();
        panic!("the clock has jumped");
    }
    let said = lines_said_by("a_clock_that_waits_for_long_is_reported", 3);
    assert!(said[0].contains("a simulated clock has waited for 3 s"), "{said:?}");
    assert!(said[1].starts_with("  `sends` waits at ") && said[1].ends_with(" on a timer"), "{said:?}");
    assert!(said[2].starts_with("  `receives` waits at ") && said[2].ends_with(" on a future"), "{said:?}");
}

#[test]
fn a_clock_that_stands_still_because_coroutines_are_always_ready_is_reported() {
    if std::env::var_os(VARIABLE).is_some() {
        let is_done = Rc::new(Cell::new(false));
        let waits = {
            let is_done = is_done.clone();
            co! { while !is_done.get() { yield; } }
        };
        let sets = co! { yield sleep(HOUR); is_done.set(true); };
        Loop::builder().simulated(7).build().run((waits.named("waits"), sets.named("sets"))).unwrap();
        panic!("the clock has jumped");
    }
    let said = lines_said_by("a_clock_that_stands_still_because_coroutines_are_always_ready_is_reported", 3);
    assert!(said[0].contains("the clock of a simulated loop with seed 7 has stood still for "), "{said:?}");
    assert!(said[0].contains("livelock: the clock has not moved for "), "{said:?}");
    assert!(said[1].starts_with("  `waits` at ") && said[1].contains(file!()), "{said:?}");
    assert!(said[2].starts_with("a `yield` in a loop keeps the clock from moving"), "{said:?}");
}
