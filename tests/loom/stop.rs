//! Stopping a loop from another thread.

use loom::thread;
use tinyield::{Event, Loop, co};

use crate::{check, check_bounded};

#[test]
fn a_stop_wakes_the_loop() {
    check(|| {
        let mut event_loop = Loop::new();
        let stop = event_loop.stop_handle();
        let event = Event::new();
        let _watched = event.remote();
        let thread = thread::spawn(move || stop.stop());
        assert!(event_loop.run(event.wait()).unwrap_err().is_stopped());
        thread.join().unwrap();
    });
}

#[test]
fn a_stop_before_within_or_between_runs_stops_one_of_them_at_most() {
    check(|| {
        let mut event_loop = Loop::new();
        let stop = event_loop.stop_handle();
        let thread = thread::spawn(move || stop.stop());
        let mut stopped = 0;
        for _ in 0..2 {
            if let Err(error) = event_loop.run(co! { yield; }) {
                assert!(error.is_stopped());
                stopped += 1;
            }
        }
        thread.join().unwrap();
        if event_loop.run(()).is_err() {
            stopped += 1;
        }
        assert!(stopped <= 1, "stopped {stopped} times");
        event_loop.run(()).unwrap();
    });
}

#[test]
fn a_stop_of_a_run_that_is_forgotten_stops_the_next() {
    check(|| {
        let mut event_loop = Loop::new();
        let stop = event_loop.stop_handle();
        let event = Event::new();
        let _watched = event.remote();
        std::mem::forget(event_loop.runtime(()));
        let thread = thread::spawn(move || stop.stop());
        assert!(event_loop.run(event.wait()).unwrap_err().is_stopped());
        thread.join().unwrap();
    });
}

#[test]
fn a_run_is_stopped_or_completes_when_a_stop_and_a_set_come_at_once() {
    check_bounded(2, || {
        let mut event_loop = Loop::new();
        let stop = event_loop.stop_handle();
        let event = Event::new();
        let remote = event.remote();
        let threads = [thread::spawn(move || stop.stop()), thread::spawn(move || remote.set())];
        if let Err(error) = event_loop.run(event.wait()) {
            assert!(error.is_stopped());
        }
        for thread in threads {
            thread.join().unwrap();
        }
    });
}
