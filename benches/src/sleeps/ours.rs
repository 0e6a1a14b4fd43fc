//! Coroutines in the background that yield a sleep.

use std::cell::Cell;
use std::process;
use std::rc::Rc;
use std::time::Duration;

use tinyield::{Coro, Loop, co, coro, sleep, spawn, timeout};

use super::memory::Memory;
use super::naps::{Naps, Plan};
use super::{LIMIT, LONG, LONGEST, SLEEPERS, TIMEOUTS, nap};
use crate::harness::{Measured, Stopwatch, machine};

#[coro]
fn sleeper(number: usize, woken: Rc<Cell<usize>>) -> Coro<()> {
    yield sleep(nap(number, LONGEST));
    woken.update(|woken| woken + 1);
}

/// The slack of tokio and monoio: they round each deadline up to a millisecond.
const SLACK: Duration = Duration::from_millis(1);

fn with_slack() -> Loop {
    Loop::builder().timer_slack(SLACK).build()
}

pub fn sleeps() -> Measured {
    sleeps_in(Loop::new())
}

pub fn sleeps_with_slack() -> Measured {
    sleeps_in(with_slack())
}

fn sleeps_in(mut event_loop: Loop) -> Measured {
    let stopwatch = Stopwatch::start();
    let woken = Rc::new(Cell::new(0));
    let woken_in_the_end = Rc::clone(&woken);
    // All sleepers are made before the first one wakes.
    let main = co! {
        let sleepers: Vec<_> = (0..SLEEPERS).map(|i| sleeper(i, Rc::clone(&woken))).collect();
        yield spawn(sleepers);
    };
    event_loop.run(main).expect("no error");
    assert_eq!(woken_in_the_end.get(), SLEEPERS);
    Measured { figures: vec![stopwatch.elapsed().as_secs_f64(), machine::peak_mib()], note: None }
}

#[coro]
fn napper(naps: Rc<Naps>) -> Coro<()> {
    naps.start();
    loop {
        let nap = naps.next();
        yield sleep(nap);
        naps.woken(nap);
    }
}

pub fn naps(plan: Plan) -> Measured {
    naps_in(Loop::new(), plan)
}

pub fn naps_with_slack(plan: Plan) -> Measured {
    naps_in(with_slack(), plan)
}

fn naps_in(mut event_loop: Loop, plan: Plan) -> Measured {
    let naps = Naps::new(plan);
    let nappers: Vec<_> = (0..plan.tasks).map(|_| napper(Rc::clone(&naps))).collect();
    event_loop.run(nappers).expect("no error");
    unreachable!("the process has ended");
}

#[coro]
fn long_sleeper(asleep: Rc<Cell<usize>>) -> Coro<()> {
    asleep.update(|asleep| asleep + 1);
    yield sleep(LONG);
    unreachable!("it sleeps for a long time");
}

/// Ends the process, because cancelling the sleepers is not part of the measurement.
pub fn bytes(sleepers: usize) -> Measured {
    let before = Memory::now();
    let main = co! {
        let asleep = Rc::new(Cell::new(0));
        for _ in 0..sleepers {
            yield spawn(long_sleeper(Rc::clone(&asleep)));
        }
        yield sleep(Duration::from_millis(10));
        assert_eq!(asleep.get(), sleepers);
        before.per_task(sleepers).print();
        process::exit(0);
    };
    Loop::new().run(main).expect("no error");
    unreachable!("the process has ended");
}

pub fn timeouts() -> Measured {
    let main = co! {
        let mut stopwatch = Stopwatch::start();
        for i in 0..2 * TIMEOUTS {
            if i == TIMEOUTS {
                stopwatch = Stopwatch::start();
            }
            (yield timeout((), LIMIT))?;
        }
        stopwatch.per(TIMEOUTS)
    };
    Loop::new().run(main).expect("no error")
}
