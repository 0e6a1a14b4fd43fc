//! The thread at the other end, the same for all contenders: it parks until a request, then answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::TRIPS;
use crate::harness::Measured;

pub struct Partner {
    asked: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Partner {
    /// A thread that answers `times` times.
    pub fn new(times: u64, answer: impl Fn() + Send + 'static) -> Self {
        let asked = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&asked);
        let thread = thread::spawn(move || {
            for time in 1..=times {
                while seen.load(Ordering::Acquire) < time {
                    thread::park();
                }
                answer();
            }
        });
        Self { asked, thread }
    }

    pub fn ask(&self) {
        self.asked.fetch_add(1, Ordering::Release);
        self.thread.thread().unpark();
    }

    pub fn join(self) {
        self.thread.join().expect("all requests were answered");
    }
}

/// The microseconds per round trip since `begin`.
pub fn per_trip(begin: Instant, trips: u64) -> Measured {
    Measured::one(begin.elapsed().as_secs_f64() * 1e6 / trips as f64)
}

/// Without a loop: both ends park.
pub fn parked() -> Measured {
    let answered = Arc::new(AtomicBool::new(false));
    let (of_partner, this) = (Arc::clone(&answered), thread::current());
    let partner = Partner::new(TRIPS, move || {
        of_partner.store(true, Ordering::Release);
        this.unpark();
    });
    let begin = Instant::now();
    for _ in 0..TRIPS {
        partner.ask();
        while !answered.swap(false, Ordering::Acquire) {
            thread::park();
        }
    }
    let measured = per_trip(begin, TRIPS);
    partner.join();
    measured
}
