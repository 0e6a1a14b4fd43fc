//! Loops whose timers have a slack.
#![feature(coroutines)]

mod common;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::{Duration, Instant};

use common::{LONG, in_time, ms, panic_of, ran, to_idle};
use tinyield::{
    Builder, Deadlock, Event, Loop, Simulation, Step, TimedOut, co, interval, now, sleep, sleep_until, spawn, timeout,
};

const MINUTE: Duration = Duration::from_secs(60);

fn simulated(slack: Duration) -> Loop {
    Loop::builder().timer_slack(slack).simulated(0).build()
}

/// Sleeps until each of these times, in milliseconds after the start. Returns when each sleep was over, in the order in which the
/// coroutines had their turns.
fn wake_ups(builder: Builder, deadlines: &[u64]) -> Vec<(Duration, Duration)> {
    let woken = Rc::new(RefCell::new(Vec::new()));
    let log = woken.clone();
    let deadlines: Vec<_> = deadlines.iter().copied().map(ms).collect();
    let main = co! {
        let start = yield now();
        let sleeper = |deadline: Duration| {
            let log = log.clone();
            co! {
                yield sleep_until(start + deadline);
                let time = (yield now()) - start;
                log.borrow_mut().push((deadline, time));
            }
        };
        let sleepers: Vec<_> = deadlines.into_iter().map(sleeper).collect();
        yield sleepers;
    };
    builder.build().run(main).unwrap();
    woken.take()
}

/// The numbers from 1 to `last`, not in order.
fn shuffled(last: u64) -> Vec<u64> {
    (0..last).map(|i| 1 + i * 37 % last).collect()
}

#[test]
fn timers_fire_in_order_and_never_early_and_late_by_the_slack_at_most() {
    for slack in [0, 1, 7, 10, 1_000].map(ms) {
        let woken = wake_ups(Loop::builder().simulated(0).timer_slack(slack), &shuffled(100));
        assert_eq!(woken.len(), 100);
        assert!(woken.is_sorted_by_key(|(deadline, _)| *deadline));
        for (deadline, time) in woken {
            assert!(deadline <= time && time <= deadline + slack, "{deadline:?} fired at {time:?}, slack {slack:?}");
        }
    }
}

#[test]
fn timers_that_are_due_within_the_slack_fire_together() {
    let times = |slack| {
        let woken = wake_ups(Loop::builder().simulated(0).timer_slack(slack), &shuffled(100));
        woken.into_iter().map(|(_, time)| time).collect::<BTreeSet<_>>()
    };
    assert_eq!(times(ms(0)).len(), 100);
    // The timer that is due at 1 ms fires at 11 ms, with all that are due by then. The next one is due at 12 ms.
    let expected: BTreeSet<_> = (0..10).map(|i| ms(11 + 11 * i)).collect();
    assert_eq!(times(ms(10)), expected);
}

#[test]
fn a_real_loop_waits_once_for_timers_within_the_slack() {
    let start = Instant::now();
    let sleepers: Vec<_> = (5..15).map(|i| co! { yield sleep_until(start + ms(i)); }).collect();
    let mut event_loop = Loop::builder().timer_slack(ms(20)).build();
    let mut runtime = event_loop.runtime(sleepers);
    // A wait may return early. Then the loop is idle again, with the same deadline.
    let mut waits = BTreeSet::new();
    loop {
        match runtime.step() {
            Step::Ran => {}
            Step::Idle(idle) => {
                waits.insert(idle.deadline().unwrap());
                idle.wait();
            }
            Step::Done(result) => break drop(result.unwrap()),
        }
    }
    assert!(waits.len() <= 1, "{waits:?}");
    assert!(start.elapsed() >= ms(14));
}

#[test]
fn the_deadline_of_an_idle_loop_includes_the_slack() {
    let at = Instant::now() + LONG;
    let mut event_loop = Loop::builder().timer_slack(ms(3)).build();
    let mut runtime = event_loop.runtime(sleep_until(at));
    let idle = loop {
        if let Step::Idle(idle) = runtime.step() {
            break idle;
        }
    };
    assert_eq!(idle.deadline(), Some(at + ms(3)));
    assert_eq!(runtime.deadline(), Some(at + ms(3)));
}

#[test]
fn a_loop_that_is_awake_does_not_use_the_slack() {
    in_time(|| {
        let is_over = Rc::new(Cell::new(false));
        let start = Instant::now();
        let sleeper = {
            let is_over = is_over.clone();
            co! {
                yield sleep(ms(2));
                is_over.set(true);
            }
        };
        let busy = co! {
            let mut turns = 0_u64;
            while !is_over.get() {
                turns += 1;
                yield;
            }
            turns
        };
        let ((), turns) = Loop::builder().timer_slack(MINUTE).build().run((sleeper, busy)).unwrap();
        assert!(turns > 0);
        assert!(start.elapsed() < MINUTE);
    });
}

#[test]
fn a_step_after_the_deadline_fires_the_timer() {
    let at = Instant::now() + ms(500);
    let mut event_loop = Loop::builder().timer_slack(MINUTE).build();
    let mut runtime = event_loop.runtime(sleep_until(at));
    let (_, idle) = to_idle(&mut runtime);
    assert_eq!(idle.deadline(), Some(at + MINUTE));
    // The host does something else until the deadline has passed.
    std::thread::sleep(at.saturating_duration_since(Instant::now()));
    ran(&mut runtime);
}

#[test]
fn a_timeout_may_be_late_by_the_slack() {
    let main = co! {
        let start = yield now();
        let result = yield timeout(sleep(ms(100)), ms(10));
        assert_eq!((result, (yield now()) - start), (Err(TimedOut), ms(15)));
        let start = yield now();
        assert!(!yield Event::new().wait_timeout(ms(10)));
        assert_eq!((yield now()) - start, ms(15));
        // Both timers fire at 15 ms, and the work is in time.
        let start = yield now();
        let result = yield timeout(sleep(ms(14)), ms(10));
        assert_eq!((result, (yield now()) - start), (Ok(()), ms(15)));
        // Without a wait for a timer nothing is late.
        let start = yield now();
        assert_eq!(yield timeout(co! { yield; 3 }, ms(10)), Ok(3));
        yield sleep(Duration::ZERO);
        assert_eq!(yield now(), start);
    };
    simulated(ms(5)).run(main).unwrap();
}

#[test]
fn an_interval_does_not_drift_and_counts_the_ticks_within_the_slack() {
    let main = co! {
        let start = yield now();
        let slow = interval(ms(20));
        for i in 1..=5_u32 {
            assert_eq!(yield slow.tick(), 0);
            assert_eq!((yield now()) - start, i * ms(20) + ms(10));
        }
        let start = yield now();
        let fast = interval(ms(1));
        for i in 1..=5_u32 {
            assert_eq!(yield fast.tick(), 10);
            assert_eq!((yield now()) - start, i * ms(11));
        }
    };
    simulated(ms(10)).run(main).unwrap();
}

#[test]
fn the_same_seed_gives_the_same_turns() {
    for seed in 1..20 {
        let run = || wake_ups(Loop::builder().simulated(seed).timer_slack(ms(10)), &shuffled(100));
        let woken = run();
        assert_eq!(woken, run());
        // A seed permutes the coroutines that wake up together, and no others.
        assert!(woken.is_sorted_by_key(|(_, time)| *time));
    }
}

#[test]
fn a_deadlock_is_reported_without_waiting_for_the_slack() {
    let never = || Event::new();
    for mut event_loop in [Loop::builder().timer_slack(MINUTE).build(), simulated(MINUTE)] {
        let start = Instant::now();
        let error = event_loop.run(never().wait()).unwrap_err();
        assert!(error.error().downcast_ref::<Deadlock>().is_some());
        assert!(start.elapsed() < MINUTE);
    }
    // A deadlock after a timer has fired.
    let main = co! {
        yield spawn(co! { yield sleep(ms(1)); });
        yield never().wait();
    };
    let error = simulated(ms(5)).run(main).unwrap_err();
    assert!(error.error().downcast_ref::<Deadlock>().is_some());
}

#[test]
fn a_slack_of_more_than_a_minute_is_an_error() {
    let _ = Loop::builder().timer_slack(MINUTE);
    let too_long = || drop(Loop::builder().timer_slack(MINUTE + Duration::from_nanos(1)));
    let text = panic_of(too_long);
    assert!(
        text.starts_with(
            "a slack of 60.000000001s would make each timer late by up to that time; it can be at most 60s"
        ),
        "{text}"
    );
}

/// The orders in which two sleepers have their turns, in a simulation with 20 seeds. They sleep for 10 and for 12 ms.
fn orders(simulation: Simulation) -> BTreeSet<Vec<u64>> {
    let orders = Rc::new(RefCell::new(BTreeSet::new()));
    let seen = orders.clone();
    let checked = simulation.seeds(0..20).check(move || {
        let seen = seen.clone();
        co! {
            let order = Rc::new(RefCell::new(Vec::new()));
            let log = order.clone();
            let sleepers = [10, 12].map(|length| {
                let log = log.clone();
                co! { yield sleep(ms(length)); log.borrow_mut().push(length); }
            });
            yield sleepers;
            seen.borrow_mut().insert(order.take());
        }
    });
    assert_eq!(checked.runs(), 20);
    orders.take()
}

#[test]
fn simulation_with_slack_runs_sleepers_that_wake_up_together_in_both_orders() {
    assert_eq!(orders(Simulation::new()), BTreeSet::from([vec![10, 12]]));
    assert_eq!(orders(Simulation::new().timer_slack(ms(1))), BTreeSet::from([vec![10, 12]]));
    assert_eq!(orders(Simulation::new().timer_slack(ms(5))), BTreeSet::from([vec![10, 12], vec![12, 10]]));
}

#[test]
fn simulation_refuses_a_slack_of_more_than_a_minute() {
    let _ = Simulation::new().timer_slack(MINUTE);
    let message = panic_of(|| Simulation::new().timer_slack(MINUTE + ms(1)));
    assert!(message.contains("60.001s") && message.contains("at most 60s"), "{message}");
}
