//! A loop inside another one: stepped, polled with a waker, dropped before its end, forgotten.
#![feature(coroutines)]

mod common;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use common::{Alive, Counter, Gate, LONG, Log, Wakes, forever, ms, panic_of, ran, to_end, to_idle};
use tinyield::{
    Coro, Event, JoinHandle, Loop, Reason, Runtime, Shared, Step, catch, co, coro, isolate, race, run_in_thread,
    shield, sleep, spawn, timeout,
};

#[coro]
fn waits(log: Log, name: &'static str) -> Coro<()> {
    let _ends = log.on_drop(name);
    yield forever();
}

fn poll<T>(runtime: &mut Runtime<'_, T>, waker: &std::task::Waker) -> Poll<Result<T, tinyield::LoopError>> {
    runtime.poll(&mut Context::from_waker(waker))
}

#[test]
fn nothing_runs_before_the_first_step() {
    let begun = Counter::new();
    let counts = begun.clone();
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(co! { counts.up(); 5 });
    assert_eq!(begun.get(), 0);
    ran(&mut runtime);
    assert_eq!(begun.get(), 1);
    assert!(matches!(runtime.step(), Step::Done(Ok(5))));
}

#[test]
fn a_step_is_one_turn_of_one_coroutine() {
    let log = Log::new();
    let busy = |name: &'static str| {
        let log = log.clone();
        co! { for turn in 0..3 { log.push(format!("{name}{turn}")); yield; } }
    };
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime((busy("a"), busy("b")));
    ran(&mut runtime);
    for turn in 0..3 {
        for name in ["a", "b"] {
            ran(&mut runtime);
            assert_eq!(log.take(), [format!("{name}{turn}")]);
        }
    }
    let (steps, result) = to_end(&mut runtime);
    result.unwrap();
    assert_eq!(steps, 3);
}

#[test]
fn a_step_after_the_end_panics() {
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(co! { 1 });
    ran(&mut runtime);
    assert!(matches!(runtime.step(), Step::Done(Ok(1))));
    let message = panic_of(|| runtime.step());
    assert!(message.contains("over"), "{message}");
    let (_, waker) = Wakes::new();
    assert!(panic_of(|| poll(&mut runtime, &waker)).contains("over"));
}

#[test]
fn a_thread_wakes_an_idle_loop() {
    for _ in 0..100 {
        let gate = Gate::new();
        let waits = gate.clone();
        let mut event_loop = Loop::new();
        let mut runtime = event_loop.runtime(co! { waits.await; 3 });
        let (_, idle) = to_idle(&mut runtime);
        assert_eq!(idle.deadline(), None);
        let thread = std::thread::spawn(move || gate.open());
        idle.wait();
        assert_eq!(to_end(&mut runtime).1.unwrap(), 3);
        thread.join().unwrap();
    }
}

#[test]
fn a_wake_up_before_the_wait_is_not_lost() {
    let gate = Gate::new();
    let waits = gate.clone();
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(co! { waits.await; 3 });
    let (_, idle) = to_idle(&mut runtime);
    gate.open();
    // The wake-up came before, so the wait returns at once.
    idle.wait();
    ran(&mut runtime);
    assert!(matches!(runtime.step(), Step::Done(Ok(3))));
}

#[test]
fn a_task_made_ready_before_the_idle_wait_ends_that_wait() {
    let event = Event::new();
    let set = event.clone();
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(event.wait_timeout(LONG));
    let (_, idle) = to_idle(&mut runtime);
    set.set();
    let start = Instant::now();
    idle.wait();
    assert!(start.elapsed() < LONG);
    let (_, was_set) = to_end(&mut runtime);
    assert!(was_set.unwrap());
}

#[test]
fn two_loops_on_one_thread_are_stepped_alternately() {
    let log = Log::new();
    let busy = |name: &'static str| {
        let log = log.clone();
        co! { for turn in 0..3 { log.push(format!("{name}{turn}")); yield; } name }
    };
    let (mut one, mut two) = (Loop::new(), Loop::new());
    let (mut one, mut two) = (one.runtime(busy("a")), two.runtime(busy("b")));
    for _ in 0..3 {
        ran(&mut one);
        ran(&mut two);
    }
    assert_eq!(log.take(), ["a0", "b0", "a1", "b1", "a2", "b2"]);
    assert_eq!(to_end(&mut two).1.unwrap(), "b");
    assert_eq!(to_end(&mut one).1.unwrap(), "a");
}

// Polling.

#[test]
fn a_poll_runs_ready_tasks_and_does_not_wake_the_host_while_idle() {
    let gate = Gate::new();
    let waits = gate.clone();
    let (wakes, waker) = Wakes::new();
    let turns = Counter::new();
    let counts = turns.clone();
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(co! {
        for _ in 0..10 { counts.up(); yield; }
        waits.await;
        "opened"
    });
    assert!(poll(&mut runtime, &waker).is_pending());
    assert_eq!((turns.get(), wakes.get()), (10, 0));
    // A poll without a wake-up does nothing.
    assert!(poll(&mut runtime, &waker).is_pending());
    assert_eq!((gate.polls(), wakes.get()), (1, 0));
    gate.open();
    assert_eq!(wakes.get(), 1);
    assert!(matches!(poll(&mut runtime, &waker), Poll::Ready(Ok("opened"))));
    assert_eq!(wakes.get(), 1);
}

#[test]
fn several_wake_ups_before_a_poll_wake_the_host_once() {
    let gates: Vec<Gate> = (0..10).map(|_| Gate::new()).collect();
    let (wakes, waker) = Wakes::new();
    let all: Vec<_> = gates.iter().cloned().map(|gate| co! { gate.await }).collect();
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(all);
    assert!(poll(&mut runtime, &waker).is_pending());
    for gate in &gates[..5] {
        gate.open();
    }
    assert_eq!(wakes.get(), 1);
    assert!(poll(&mut runtime, &waker).is_pending());
    assert_eq!(wakes.get(), 1);
    for (count, gate) in (2..).zip(&gates[5..]) {
        gate.open();
        assert_eq!(wakes.get(), count);
        assert_eq!(poll(&mut runtime, &waker).is_ready(), count == 6);
    }
    assert_eq!(wakes.get(), 6);
}

#[test]
fn only_the_waker_of_the_last_poll_is_woken() {
    let gate = Gate::new();
    let waits = gate.clone();
    let ((old, old_waker), (new, new_waker)) = (Wakes::new(), Wakes::new());
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(co! { waits.await });
    assert!(poll(&mut runtime, &old_waker).is_pending());
    assert!(poll(&mut runtime, &new_waker).is_pending());
    gate.open();
    assert_eq!((old.get(), new.get()), (0, 1));
    assert!(poll(&mut runtime, &new_waker).is_ready());
    drop(runtime);
    // After the end, nothing keeps the wakers of the host.
    assert_eq!((std::sync::Arc::strong_count(&old), std::sync::Arc::strong_count(&new)), (2, 2));
}

#[test]
fn a_poll_of_a_busy_loop_takes_a_bounded_number_of_turns() {
    let (wakes, waker) = Wakes::new();
    let turns = Counter::new();
    let counts = turns.clone();
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(co! { for _ in 0..10_000 { counts.up(); yield; } });
    let (mut polls, mut most) = (0, 0);
    loop {
        let before = turns.get();
        let result = poll(&mut runtime, &waker);
        polls += 1;
        most = most.max(turns.get() - before);
        match result {
            Poll::Ready(result) => break result.unwrap(),
            // The loop has woken the host, so that it is polled again at once.
            Poll::Pending => assert_eq!(wakes.get(), polls),
        }
    }
    assert!(most <= 4_096, "{most} turns in one poll");
    assert!(polls >= 3);
}

#[test]
fn a_polled_loop_has_a_deadline_and_continues_after_it() {
    let mut event_loop = Loop::new();
    // If the thread gets no processor until the deadline, the loop has nothing to wait for. Then this is repeated with more time.
    for attempt in 0.. {
        let (wakes, waker) = Wakes::new();
        let at = Instant::now() + ms(3 << attempt);
        let mut runtime = event_loop.runtime(co! { yield tinyield::sleep_until(at); 4 });
        if poll(&mut runtime, &waker).is_ready() {
            assert!(Instant::now() >= at);
            continue;
        }
        let deadline = runtime.deadline().expect("it sleeps");
        assert!(deadline >= at && deadline < at + LONG);
        while Instant::now() < deadline {
            std::thread::yield_now();
        }
        assert!(matches!(poll(&mut runtime, &waker), Poll::Ready(Ok(4))));
        assert_eq!(wakes.get(), 0);
        return;
    }
}

#[test]
fn a_stop_wakes_the_host() {
    let (wakes, waker) = Wakes::new();
    let mut event_loop = Loop::new();
    let handle = event_loop.stop_handle();
    let mut runtime = event_loop.runtime(forever());
    assert!(poll(&mut runtime, &waker).is_pending());
    handle.stop();
    assert_eq!(wakes.get(), 1);
    assert!(matches!(poll(&mut runtime, &waker), Poll::Ready(Err(error)) if error.is_stopped()));
}

#[test]
fn a_loop_hosted_in_a_coroutine_is_woken_through_the_outer_loop() {
    let gate = Gate::new();
    let waits = gate.clone();
    let polls = Counter::new();
    let counts = polls.clone();
    let host = co! {
        let mut inner = Loop::new();
        let mut runtime = inner.runtime(co! { waits.await; 6 });
        std::future::poll_fn(|context| { counts.up(); runtime.poll(context) }).await?
    };
    let opener = gate.clone();
    let thread = std::thread::spawn(move || {
        while opener.polls() == 0 {
            std::thread::yield_now();
        }
        opener.open();
    });
    assert_eq!(Loop::new().run(host).unwrap(), 6);
    // Only one wake-up, if the gate was opened before the inner loop polled the future.
    assert!((1..=2).contains(&polls.get()));
    thread.join().unwrap();
}

// Dropped before the end.

#[test]
fn a_dropped_runtime_cancels_its_coroutines_last_started_first() {
    let log = Log::new();
    let logs = log.clone();
    let watches = co! {
        let error = (yield catch(forever())).unwrap_err();
        logs.push(format!("{:?}", error.as_cancelled().unwrap().reason()));
        Err(error)?;
    };
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime((waits(log.clone(), "1"), watches, waits(log.clone(), "2")));
    let _ = to_idle(&mut runtime);
    drop(runtime);
    assert_eq!(log.take(), ["2", format!("{:?}", Reason::Dropped).as_str(), "1"]);
    assert_eq!(event_loop.run(co! { 1 }).unwrap(), 1);
}

#[test]
fn a_dropped_runtime_waits_for_coroutines_that_clean_up() {
    let log = Log::new();
    let logs = log.clone();
    let polite = co! {
        let error = (yield catch(forever())).unwrap_err();
        yield shield(sleep(ms(3)));
        logs.push("clean");
        Err(error)?;
    };
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(polite);
    let _ = to_idle(&mut runtime);
    let start = Instant::now();
    drop(runtime);
    assert!(start.elapsed() >= ms(3));
    assert_eq!(log.take(), ["clean"]);
}

#[test]
fn a_dropped_runtime_joins_its_threads() {
    let (begun, begin) = std::sync::mpsc::channel();
    let (ended, end) = std::sync::mpsc::channel();
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(run_in_thread(move || {
        begun.send(()).unwrap();
        while !tinyield::thread::is_cancelled() {
            std::thread::yield_now();
        }
        ended.send(()).unwrap();
    }));
    let _ = to_idle(&mut runtime);
    begin.recv().unwrap();
    drop(runtime);
    assert_eq!(end.try_iter().count(), 1);
}

#[test]
fn a_runtime_that_is_dropped_while_it_stops_finishes_stopping() {
    let (gate, log) = (Gate::new(), Log::new());
    let (waits_for, logs) = (gate.clone(), log.clone());
    let polite = co! {
        let error = (yield catch(forever())).unwrap_err();
        assert!(matches!(error.as_cancelled().unwrap().reason(), Reason::Failed { .. }));
        yield shield(co! { waits_for.await });
        logs.push("clean");
        Err(error)?;
    };
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime((polite, co! { yield; Err("failed")?; }));
    let _ = to_idle(&mut runtime);
    gate.open();
    drop(runtime);
    assert_eq!(log.take(), ["clean"]);
}

// Shared between loops.

#[test]
fn an_unfinished_shared_of_another_loop_raises() {
    let shared = co! { yield forever(); 1 }.named("theirs").shared();
    let (mut one, mut two) = (Loop::new(), Loop::new());
    let mut runtime = one.runtime(&shared);
    let _ = to_idle(&mut runtime);
    let wait = shared.clone();
    let main = co! {
        let error = (yield catch(&wait)).unwrap_err();
        assert!(!error.is_cancelled());
        assert!(error.to_string().contains("`theirs`") && error.to_string().contains("another loop"), "{error}");
        yield wait
    };
    let error = two.run(main).unwrap_err();
    assert!(error.to_string().contains("another loop"), "{error}");
    // The loop that runs it is not affected.
    let _ = to_idle(&mut runtime);
    drop(runtime);
    // It was cancelled, and later waits raise the cancellation.
    let error = two.run(shared).unwrap_err();
    assert!(error.error().is_cancelled(), "{error:?}");
}

#[test]
fn spawning_an_unfinished_shared_of_another_loop_has_no_effect() {
    let shared = co! { yield forever(); 1 }.shared();
    let (mut one, mut two) = (Loop::new(), Loop::new());
    let mut runtime = one.runtime(&shared);
    let _ = to_idle(&mut runtime);
    let theirs = shared.clone();
    let error = two.run(co! { let handle = yield spawn(theirs); yield; yield handle }).unwrap_err();
    assert!(error.to_string().contains("another loop"), "{error}");
}

#[test]
fn an_unfinished_handle_of_another_loop_raises() {
    let handle = Rc::<RefCell<Option<JoinHandle<i32>>>>::default();
    let keeps = handle.clone();
    let (mut one, mut two) = (Loop::new(), Loop::new());
    let mut runtime = one.runtime(co! {
        *keeps.borrow_mut() = Some(yield spawn(co! { yield forever(); 1 }));
        yield forever();
    });
    let _ = to_idle(&mut runtime);
    let error = two.run(handle.take().unwrap()).unwrap_err();
    assert!(error.to_string().contains("another loop"), "{error}");
}

#[test]
fn a_shared_that_finished_on_one_loop_gives_its_value_on_another() {
    let shared: Shared<i32> = co! { yield; yield; 8 }.shared();
    let (mut one, mut two) = (Loop::new(), Loop::new());
    let mut runtime = one.runtime(&shared);
    // It has begun and is not finished.
    ran(&mut runtime);
    ran(&mut runtime);
    assert!(two.run(&shared).unwrap_err().to_string().contains("another loop"));
    assert_eq!(to_end(&mut runtime).1.unwrap(), 8);
    assert_eq!(two.run(&shared).unwrap(), 8);
}

// Forgotten.

#[test]
fn a_loop_runs_again_after_a_forgotten_runtime() {
    let alive = Alive::new();
    let mut event_loop = Loop::new();
    let handle = event_loop.stop_handle();
    let shared = {
        let held = alive.token();
        co! { let _held = held; yield forever(); }.shared()
    };
    let gate = Gate::new();
    let waits_for = gate.clone();
    let mut runtime = event_loop.runtime((&shared, co! { waits_for.await }, timeout(forever(), LONG)));
    let _ = to_idle(&mut runtime);
    common::forget(runtime);
    // The loop can run again. The forgotten run is neither stepped nor cancelled.
    assert_eq!(event_loop.run(co! { yield; 2 }).unwrap(), 2);
    assert!(event_loop.run(&shared).unwrap_err().to_string().contains("another loop"));
    gate.open();
    handle.stop();
    assert!(event_loop.run(co! { yield; }).unwrap_err().is_stopped());
    assert_eq!(event_loop.run(co! { yield; 3 }).unwrap(), 3);
    drop(event_loop);
    drop(shared);
}

#[test]
fn forgotten_coroutines_and_handles_do_no_harm() {
    common::forget(co! { yield forever(); });
    common::forget(co! { 1 }.shared());
    let main = co! {
        common::forget(yield spawn(co! { yield; String::from("never dropped") }));
        let shared = co! { yield; 1 }.shared();
        common::forget(shared.clone());
        yield spawn(&shared);
        common::forget(isolate(co! { yield; }));
        common::forget(race([co! { yield; }]));
        common::forget(timeout(forever(), LONG));
        yield shared
    };
    assert_eq!(Loop::new().run(main).unwrap(), 1);
}

#[test]
fn a_timer_that_is_due_when_the_host_steps_fires_in_that_step() {
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(co! { yield sleep(ms(2)); });
    ran(&mut runtime);
    let begun = Instant::now();
    while begun.elapsed() < ms(2) {
        std::hint::spin_loop();
    }
    ran(&mut runtime);
}

#[test]
fn an_idle_wait_on_another_thread_returns_when_the_run_ends() {
    for waits_first in [false, true] {
        let mut event_loop = Loop::new();
        let mut runtime = event_loop.runtime(forever());
        let (_, idle) = to_idle(&mut runtime);
        let (begins, begun) = mpsc::channel();
        let (ends, ended) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            begins.send(()).unwrap();
            idle.wait();
            ends.send(()).unwrap();
        });
        if waits_first {
            begun.recv().unwrap();
            // The thread is probably parked now. If it is not, its wait has to return all the same.
            (0..100).for_each(|_| std::thread::yield_now());
        }
        drop(runtime);
        ended.recv_timeout(LONG).unwrap();
        thread.join().unwrap();
    }
}

#[test]
fn an_idle_wait_on_another_thread_returns_when_the_loop_is_polled() {
    let (done, is_done) = mpsc::channel();
    let mut event_loop = Loop::new();
    let event = Event::new();
    let _remote = event.remote();
    let mut runtime = event_loop.runtime(event.wait());
    let (_, idle) = to_idle(&mut runtime);
    std::thread::spawn(move || {
        idle.wait();
        done.send(()).unwrap();
    });
    // If the thread sleeps, a poll stores its waker in place of the thread, and unparks the thread.
    let start = Instant::now();
    while is_done.recv_timeout(ms(5)).is_err() {
        assert!(start.elapsed() < LONG, "the thread still sleeps");
        let (_, waker) = Wakes::new();
        assert!(runtime.poll(&mut Context::from_waker(&waker)).is_pending());
    }
}

mod racing_waker {
    use std::cell::RefCell;
    use std::task::{RawWaker, RawWakerVTable, Waker};

    thread_local! {
        static ON_CLONE: RefCell<Option<Box<dyn FnMut()>>> = const { RefCell::new(None) };
    }

    static VTABLE: RawWakerVTable = RawWakerVTable::new(
        |_| {
            ON_CLONE.with_borrow_mut(|on_clone| on_clone.as_mut().unwrap()());
            RawWaker::new(std::ptr::null(), &VTABLE)
        },
        |_| {},
        |_| {},
        |_| {},
    );

    /// A waker that calls `on_clone` when it is cloned, on this thread.
    pub fn new(on_clone: impl FnMut() + 'static) -> Waker {
        ON_CLONE.set(Some(Box::new(on_clone)));
        // SAFETY: the functions of the table use no data.
        unsafe { Waker::new(std::ptr::null(), &VTABLE) }
    }
}

#[test]
fn a_poll_takes_no_more_turns_when_tasks_become_ready_while_it_registers_its_waker() {
    let event = Event::new();
    let sets = event.clone();
    let mut races = 0;
    let waker = racing_waker::new(move || {
        races += 1;
        if races <= 2_000 {
            sets.set();
        }
    });
    let turns = Counter::new();
    let counts = turns.clone();
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(co! {
        loop {
            yield event.wait();
            event.clear();
            for _ in 0..10 { counts.up(); yield; }
        }
    });
    let mut polls = 0;
    while turns.get() < 10_000 {
        let before = turns.get();
        assert!(poll(&mut runtime, &waker).is_pending());
        assert!(turns.get() - before <= 4096, "{} turns in one poll", turns.get() - before);
        polls += 1;
    }
    assert!(polls >= 3);
}

/// How many turns one poll takes, if `turn` is called in each of them and the loop is always ready.
fn turns_of_a_poll(mut event_loop: Loop, turn: fn()) -> usize {
    let turns = Counter::new();
    let counts = turns.clone();
    let mut runtime = event_loop.runtime(co! {
        loop {
            turn();
            counts.up();
            yield;
        }
    });
    assert!(poll(&mut runtime, Waker::noop()).is_pending());
    turns.get()
}

#[test]
fn a_poll_takes_few_turns_if_they_are_long() {
    let spin = || {
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_micros(1) {}
    };
    assert_eq!(turns_of_a_poll(Loop::new(), spin), 256);
}

#[test]
fn a_poll_takes_a_limited_number_of_short_turns() {
    let turns = turns_of_a_poll(Loop::new(), || {});
    assert!((256..=4096).contains(&turns), "{turns} turns in one poll");
}

#[test]
fn a_poll_of_a_simulated_loop_takes_the_same_number_of_turns_each_time() {
    assert_eq!(turns_of_a_poll(Loop::builder().simulated(3).build(), || {}), 768);
}
