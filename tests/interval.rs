//! Intervals: ticks in a fixed rhythm, and never a burst.
#![feature(coroutines)]

mod common;

use std::thread;
use std::time::{Duration, Instant};

use common::{LONG, ms};
use tinyield::{Loop, co, interval, race, sleep, timeout};

#[test]
fn ticks_are_a_period_apart_from_the_first_yield_on() {
    let main = co! {
        let ticks = interval(ms(3));
        assert_eq!(ticks.period(), ms(3));
        thread::sleep(ms(5)); // it has not begun
        let start = Instant::now();
        let mut missed = yield ticks.tick();
        assert!(start.elapsed() >= ms(3));
        for _ in 0..3 {
            missed += yield ticks.tick();
        }
        let periods = start.elapsed().as_millis() / 3;
        (missed, periods)
    };
    let (missed, periods) = Loop::new().run(main).unwrap();
    assert!(u128::from(missed) + 4 <= periods + 1 && periods >= 4, "{missed} {periods}");
}

#[test]
fn ticks_that_have_passed_are_missed_and_come_once() {
    let main = co! {
        let ticks = interval(ms(10));
        yield ticks.tick();
        thread::sleep(ms(45));
        let before = Instant::now();
        let missed = yield ticks.tick();
        // It comes at once, and the next one in the rhythm.
        let late = before.elapsed();
        yield ticks.tick();
        (missed, late, before.elapsed())
    };
    let (missed, late, next) = Loop::new().run(main).unwrap();
    assert!(missed >= 3, "{missed}");
    assert!(late < LONG && next > late);
}

#[test]
fn tick_that_is_given_up_is_not_lost() {
    let main = co! {
        let ticks = interval(ms(20));
        let start = Instant::now();
        for _ in 0..5 {
            assert!((yield timeout(ticks.tick(), ms(1))).is_err());
        }
        yield race((ticks.tick().map(|_| "tick"), sleep(ms(0)).map(|()| "sleep")));
        yield ticks.tick();
        start.elapsed()
    };
    let elapsed = Loop::new().run(main).unwrap();
    assert!(elapsed >= ms(20) && elapsed < LONG, "{elapsed:?}");
}

#[test]
fn period_without_an_end_never_ticks() {
    let main = co! {
        let ticks = interval(Duration::MAX);
        (yield timeout(ticks.tick(), ms(1))).is_err()
    };
    assert!(Loop::new().run(main).unwrap());
}

#[test]
#[should_panic(expected = "its period has to be longer than zero")]
fn period_of_zero_panics() {
    let _ = interval(Duration::ZERO);
}
