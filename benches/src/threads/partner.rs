//! The thread at the other end, the same for all contenders: it waits at a futex until a request, then answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use rustix::thread::futex;

use super::TRIPS;
use crate::harness::Measured;

/// A number that only grows. A thread waits until it has reached a value.
#[derive(Default)]
struct Count(AtomicU32);

impl Count {
    fn increase(&self) {
        self.0.fetch_add(1, Ordering::Release);
        futex::wake(&self.0, futex::Flags::PRIVATE, 1).expect("a futex");
    }

    fn wait_until(&self, value: u32) {
        loop {
            let now = self.0.load(Ordering::Acquire);
            if now >= value {
                return;
            }
            // This call fails if the number has grown in the meantime, or if a signal arrives. In both cases, the loop checks the number
            // again.
            let _ = futex::wait(&self.0, futex::Flags::PRIVATE, now, None);
        }
    }
}

pub struct Partner {
    asked: Arc<Count>,
    thread: JoinHandle<()>,
}

impl Partner {
    /// A thread that answers `times` times.
    pub fn new(times: u32, answer: impl Fn() + Send + 'static) -> Self {
        let asked = Arc::<Count>::default();
        let seen = Arc::clone(&asked);
        let thread = thread::spawn(move || {
            for time in 1..=times {
                seen.wait_until(time);
                answer();
            }
        });
        Self { asked, thread }
    }

    pub fn ask(&self) {
        self.asked.increase();
    }

    pub fn join(self) {
        self.thread.join().expect("all requests were answered");
    }
}

/// The microseconds per round trip since `begin`.
pub fn per_trip(begin: Instant, trips: u32) -> Measured {
    Measured::one(begin.elapsed().as_secs_f64() * 1e6 / f64::from(trips))
}

/// Without a loop: both ends wait at a futex.
pub fn futexes() -> Measured {
    let answered = Arc::<Count>::default();
    let of_partner = Arc::clone(&answered);
    let partner = Partner::new(TRIPS, move || of_partner.increase());
    let begin = Instant::now();
    for trip in 1..=TRIPS {
        partner.ask();
        answered.wait_until(trip);
    }
    let measured = per_trip(begin, TRIPS);
    partner.join();
    measured
}
