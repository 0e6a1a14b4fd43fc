//! A task that waits for a thread, with the primitive that the users of each peer use.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Instant;

use event_listener::{Event, listener};
use futures::task::AtomicWaker;
use tokio::sync::Notify;

use super::TRIPS;
use super::partner::{Partner, per_trip};
use crate::harness::Measured;
use crate::peers::Peer;

async fn trips(partner: Partner, wait: impl AsyncFn()) -> Measured {
    let begin = Instant::now();
    for _ in 0..TRIPS {
        partner.ask();
        wait().await;
    }
    let measured = per_trip(begin, TRIPS);
    partner.join();
    measured
}

/// smol's and async-std's `event_listener`, with a flag.
pub fn listener<P: Peer>() -> Measured {
    P::run(|_| {
        let shared = Arc::new((AtomicBool::new(false), Event::new()));
        let of_partner = Arc::clone(&shared);
        let partner = Partner::new(TRIPS, move || {
            of_partner.0.store(true, Ordering::Release);
            of_partner.1.notify(1);
        });
        trips(partner, async move || {
            let (set, event) = &*shared;
            while !set.swap(false, Ordering::Acquire) {
                listener!(event => listener);
                if set.swap(false, Ordering::Acquire) {
                    return;
                }
                listener.await;
            }
        })
    })
}

/// tokio's `Notify`.
pub fn notify<P: Peer>() -> Measured {
    P::run(|_| {
        let notify = Arc::new(Notify::new());
        let of_partner = Arc::clone(&notify);
        let partner = Partner::new(TRIPS, move || of_partner.notify_one());
        trips(partner, async move || notify.notified().await)
    })
}

/// The bare `AtomicWaker`, with a flag.
pub fn waker<P: Peer>() -> Measured {
    P::run(|_| {
        let shared = Arc::new((AtomicBool::new(false), AtomicWaker::new()));
        let of_partner = Arc::clone(&shared);
        let partner = Partner::new(TRIPS, move || {
            of_partner.0.store(true, Ordering::Release);
            of_partner.1.wake();
        });
        trips(partner, async move || {
            let (set, waker) = &*shared;
            poll_fn(|context| {
                waker.register(context.waker());
                if set.swap(false, Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        })
    })
}
