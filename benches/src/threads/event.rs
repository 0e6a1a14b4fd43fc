//! A remote event.

use std::time::Instant;

use tinyield::{Event, Loop, co};

use super::TRIPS;
use super::partner::{Partner, per_trip};
use crate::harness::Measured;

pub fn remote() -> Measured {
    let main = co! {
        let event = Event::new();
        let remote = event.remote();
        let partner = Partner::new(TRIPS, move || remote.set());
        let begin = Instant::now();
        for _ in 0..TRIPS {
            partner.ask();
            yield event.wait();
            event.clear();
        }
        let measured = per_trip(begin, TRIPS);
        partner.join();
        measured
    };
    Loop::new().run(main).expect("no error")
}
