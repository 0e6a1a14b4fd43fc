//! Intervals: ticks in a fixed rhythm, and never a burst.
#![feature(coroutines)]

mod common;

use std::time::Duration;

use common::{ms, simulated};
use tinyield::{co, interval, now, race, sleep, timeout};

#[test]
fn ticks_are_a_period_apart_from_the_first_yield_on() {
    let main = co! {
        let ticks = interval(ms(3));
        assert_eq!(ticks.period(), ms(3));
        yield sleep(ms(5)); // it has not begun
        let start = yield now();
        for count in 1..=4 {
            assert_eq!(yield ticks.tick(), 0);
            assert_eq!((yield now()) - start, count * ms(3));
        }
    };
    simulated().run(main).unwrap();
}

#[test]
fn missed_ticks_are_counted_by_one_late_tick() {
    let main = co! {
        let start = yield now();
        let ticks = interval(ms(10));
        yield ticks.tick();
        yield sleep(ms(45));
        // The ticks at 20, 30, 40 and 50 ms have passed. One of them comes at once, and the next tick is in the rhythm again.
        assert_eq!(yield ticks.tick(), 3);
        assert_eq!((yield now()) - start, ms(55));
        assert_eq!(yield ticks.tick(), 0);
        assert_eq!((yield now()) - start, ms(60));
    };
    simulated().run(main).unwrap();
}

#[test]
fn ticks_that_pass_before_the_end_of_a_gather_count_as_missed() {
    let main = co! {
        let start = yield now();
        let ticks = interval(ms(10));
        assert_eq!(yield (ticks.tick(), sleep(ms(55))), (4, ()));
        assert_eq!(yield ticks.tick(), 0);
        assert_eq!((yield now()) - start, ms(60));
    };
    simulated().run(main).unwrap();
}

#[test]
fn tick_that_is_given_up_is_not_lost() {
    let main = co! {
        let ticks = interval(ms(20));
        let start = yield now();
        for _ in 0..5 {
            assert!((yield timeout(ticks.tick(), ms(1))).is_err());
        }
        yield race((ticks.tick().map(|_| "tick"), sleep(ms(0)).map(|()| "sleep")));
        assert_eq!(yield ticks.tick(), 0);
        assert_eq!((yield now()) - start, ms(20));
    };
    simulated().run(main).unwrap();
}

#[test]
fn interval_of_the_longest_duration_never_ticks() {
    let main = co! {
        let ticks = interval(Duration::MAX);
        (yield timeout(ticks.tick(), ms(1))).is_err()
    };
    assert!(simulated().run(main).unwrap());
}

#[test]
#[should_panic(expected = "its period has to be longer than zero")]
fn period_of_zero_panics() {
    let _ = interval(Duration::ZERO);
}
