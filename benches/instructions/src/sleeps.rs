//! Timers that fire, and timeouts that do not.

use std::cell::Cell;
use std::hint::black_box;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use tinyield::{Coro, Loop, co, coro, sleep, sleep_until, timeout};

pub fn alone(rounds: u64) -> u64 {
    let main = co! {
        for _ in 0..rounds {
            yield sleep(Duration::ZERO);
        }
    };
    Loop::new().run(main).expect("no error");
    rounds
}

const SLEEPERS: u64 = 10_000;
/// The length of a round. All tasks fall asleep before the first one is due.
const PERIOD: Duration = Duration::from_secs(2);
/// The deadlines of a round are in this last part of it.
const SPREAD: Duration = Duration::from_millis(100);

#[coro]
fn sleeper(number: u64, rounds: u64, start: Instant, asleep: Rc<Cell<u64>>) -> Coro<()> {
    // All deadlines differ, and they are not set in order.
    let early = SPREAD.mul_f64((number * 7_919 % SLEEPERS) as f64 / SLEEPERS as f64);
    let mut end = start;
    for _ in 0..rounds {
        end += PERIOD;
        asleep.update(|asleep| asleep + 1);
        yield sleep_until(end - early);
    }
}

/// Blocks the loop until all sleeps are due, so that they fire together, independent of the speed of the machine.
#[coro]
fn block_until_due(rounds: u64, start: Instant, asleep: Rc<Cell<u64>>) -> Coro<()> {
    let mut end = start;
    for round in 1..=rounds {
        end += PERIOD;
        while asleep.get() < round * SLEEPERS {
            yield;
        }
        let now = Instant::now();
        assert!(now < end - SPREAD, "the machine is too slow: the tasks did not fall asleep before the first was due");
        thread::sleep(end - now);
        yield;
    }
}

pub fn many(rounds: u64) -> u64 {
    let asleep = Rc::new(Cell::new(0));
    let start = Instant::now();
    let all: Vec<_> = (0..SLEEPERS).map(|i| sleeper(i, rounds, start, Rc::clone(&asleep))).collect();
    Loop::new().run((all, block_until_due(rounds, start, asleep))).expect("no error");
    SLEEPERS * rounds
}

#[coro]
fn child(i: u64) -> Coro<u64> {
    yield;
    black_box(i)
}

pub fn timeout_around(rounds: u64) -> u64 {
    let main = co! {
        for i in 0..rounds {
            assert_eq!((yield timeout(child(i), Duration::from_secs(30)))?, i);
        }
    };
    Loop::new().run(main).expect("no error");
    rounds
}

pub fn unlimited(rounds: u64) -> u64 {
    let main = co! {
        for i in 0..rounds {
            assert_eq!(yield child(i), i);
        }
    };
    Loop::new().run(main).expect("no error");
    rounds
}
