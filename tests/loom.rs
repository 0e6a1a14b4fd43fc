//! What crosses threads, in every order that can happen: `RemoteEvent` and, under it, the inbox of a loop.
//!
//! Run by `RUSTFLAGS="--cfg tinyield_loom" cargo test --no-default-features --release --test loom`: a name of its own, as
//! other crates know `loom` too, and do not build with it.
#![cfg(tinyield_loom)]
#![feature(coroutines)]

use loom::thread;
use tinyield::channel::{RecvError, unbounded};
use tinyield::{Deadlock, Event, Loop, LoopError, co};

fn is_deadlock(error: &LoopError) -> bool {
    error.error().downcast_ref::<Deadlock>().is_some()
}

/// All orders with at most so many preemptions: more of them take for ever.
fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(model);
}

#[test]
fn a_set_wakes_the_loop() {
    check(|| {
        let event = Event::new();
        let remote = event.remote();
        let thread = thread::spawn(move || remote.set());
        Loop::new().run(event.wait()).unwrap();
        thread.join().unwrap();
    });
}

#[test]
fn a_set_and_a_clear_wake_exactly_those_who_waited() {
    check(|| {
        let event = Event::new();
        let remote = event.remote();
        // Each signals that it waits before the thread begins.
        let (early, late) = (event.wait(), event.wait());
        let begins = co! {
            yield;
            thread::spawn(move || {
                remote.set();
                remote.clear();
            })
        };
        let ((), thread) = Loop::new().run((early, begins)).unwrap();
        thread.join().unwrap();
        assert!(!event.is_set());
        assert!(is_deadlock(&Loop::new().run(late).unwrap_err()));
    });
}

#[test]
fn the_last_handle_dropped_is_a_deadlock_found_at_once_and_never_before() {
    check(|| {
        let event = Event::new();
        let remote = event.remote();
        let thread = thread::spawn(move || {
            let clone = remote.clone();
            drop(remote);
            drop(clone);
        });
        assert!(is_deadlock(&Loop::new().run(event.wait()).unwrap_err()));
        thread.join().unwrap();
    });
}

#[test]
fn two_threads_set_two_events() {
    check(|| {
        let (one, other) = (Event::new(), Event::new());
        let threads = [one.remote(), other.remote()].map(|remote| thread::spawn(move || remote.set()));
        Loop::new().run((one.wait(), other.wait())).unwrap();
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn a_handle_outlives_the_run() {
    check(|| {
        let event = Event::new();
        let remote = event.remote();
        event.set();
        let thread = thread::spawn(move || {
            remote.clear();
            remote.set();
        });
        Loop::new().run(event.wait()).unwrap();
        thread.join().unwrap();
        assert!(event.is_set());
    });
}

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
fn a_remote_sender_and_its_end_wake_the_loop() {
    check(|| {
        let (sender, receiver) = unbounded();
        let remote = sender.remote();
        drop(sender);
        let thread = thread::spawn(move || remote.try_send(1).unwrap());
        let main = co! {
            assert_eq!(yield receiver.recv(), Ok(1));
            assert_eq!(yield receiver.recv(), Err(RecvError));
        };
        Loop::new().run(main).unwrap();
        thread.join().unwrap();
    });
}
