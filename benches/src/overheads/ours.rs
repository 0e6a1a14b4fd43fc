//! With tinyield.

use std::future::{Future, ready};
use std::hint::black_box;
use std::time::Duration;

use tinyield::{Coro, Loop, co, coro, timeout};

use super::{Opaque, READY, TIMEOUTS};
use crate::harness::{Measured, Stopwatch, per_op_in_one_run};

pub fn awaits() -> Measured {
    awaits_of(|i| Opaque(black_box(i)))
}

pub fn awaits_in_sight() -> Measured {
    awaits_of(|i| ready(black_box(i)))
}

fn awaits_of<F: Future<Output = u64> + 'static>(future: impl Fn(u64) -> F + Copy + 'static) -> Measured {
    let work = move || {
        co! {
            let mut sum = 0;
            for i in 0..READY {
                sum += future(i).await;
            }
            sum
        }
    };
    per_op_in_one_run(READY, work, |sum| assert_eq!(sum, READY * (READY - 1) / 2))
}

#[coro]
fn child(i: u64) -> Coro<u64> {
    yield;
    black_box(i)
}

const LIMIT: Duration = Duration::from_secs(30);

pub fn unlimited() -> Measured {
    let main = co! {
        let mut stopwatch = Stopwatch::start();
        for i in 0..2 * TIMEOUTS {
            if i == TIMEOUTS {
                stopwatch = Stopwatch::start();
            }
            assert_eq!(yield child(i), i);
        }
        stopwatch.per(TIMEOUTS)
    };
    Loop::new().run(main).expect("no error")
}

pub fn limited() -> Measured {
    let main = co! {
        let mut stopwatch = Stopwatch::start();
        for i in 0..2 * TIMEOUTS {
            if i == TIMEOUTS {
                stopwatch = Stopwatch::start();
            }
            assert_eq!((yield timeout(child(i), LIMIT))?, i);
        }
        stopwatch.per(TIMEOUTS)
    };
    Loop::new().run(main).expect("no error")
}
