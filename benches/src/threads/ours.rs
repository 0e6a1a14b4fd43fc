//! tinyield's shared pool, and a pool of two threads.

use std::hint::black_box;
use std::time::Instant;

use tinyield::{Coro, Loop, ThreadPool, co, run_in_thread};

use super::{CLOSURES, FLIGHT, FLIGHTS};
use crate::harness::Measured;

pub fn one_at_a_time() -> Measured {
    let main = co! {
        let mut begin = Instant::now();
        for i in 0..2 * CLOSURES {
            if i == CLOSURES {
                begin = Instant::now();
            }
            assert_eq!(yield run_in_thread(move || black_box(i)), i);
        }
        Measured::one(begin.elapsed().as_secs_f64() * 1e6 / CLOSURES as f64)
    };
    Loop::new().run(main).expect("no error")
}

pub fn in_flight() -> Measured {
    flights(|i| run_in_thread(move || black_box(i)))
}

pub fn in_flight_in_two() -> Measured {
    let pool = ThreadPool::new(2);
    flights(move |i| pool.run_in_thread(move || black_box(i)))
}

fn flights(start: impl Fn(u64) -> Coro<u64> + 'static) -> Measured {
    let main = co! {
        let mut begin = Instant::now();
        for i in 0..2 * FLIGHTS {
            if i == FLIGHTS {
                begin = Instant::now();
            }
            let flight: Vec<_> = (0..FLIGHT).map(&start).collect();
            assert_eq!((yield flight).iter().sum::<u64>(), FLIGHT * (FLIGHT - 1) / 2);
        }
        Measured::one(begin.elapsed().as_secs_f64() * 1e6 / (FLIGHTS * FLIGHT) as f64)
    };
    Loop::new().run(main).expect("no error")
}
