//! Remote events, and the inbox below them.

use loom::thread;
use tinyield::{Aborted, Event, Loop, abortable, co, race};

use crate::{Letter, check, check_bounded, is_deadlock};

#[test]
fn a_set_wakes_the_loop() {
    check_bounded(4, || {
        let event = Event::new();
        let (remote, letter) = (event.remote(), Letter::new());
        let thread = {
            let letter = letter.clone();
            thread::spawn(move || {
                letter.write();
                remote.set();
            })
        };
        Loop::new().run(event.wait()).unwrap();
        letter.assert_written();
        thread.join().unwrap();
    });
}

#[test]
fn a_loop_that_finds_an_event_set_sees_writes_from_before_the_set() {
    check(|| {
        let event = Event::new();
        let (remote, letter) = (event.remote(), Letter::new());
        let thread = {
            let letter = letter.clone();
            thread::spawn(move || {
                letter.write();
                remote.set();
            })
        };
        if event.is_set() {
            letter.assert_written();
        }
        thread.join().unwrap();
    });
}

/// The request comes before the work begins, while its loop registers, or while it waits.
#[test]
fn a_remote_abort_ends_work_that_waits_for_ever() {
    check_bounded(3, || {
        let (work, handle) = abortable(Event::new().wait());
        let remote = handle.remote();
        let thread = thread::spawn(move || remote.abort());
        assert_eq!(Loop::new().run(work).unwrap(), Err(Aborted));
        thread.join().unwrap();
    });
}

#[test]
fn a_set_and_a_clear_wake_exactly_the_earlier_waiters() {
    check_bounded(4, || {
        let event = Event::new();
        let remote = event.remote();
        // `early` waits before the thread begins, and `late` only in the second run.
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
fn a_set_as_the_last_act_of_the_last_handle_is_no_deadlock() {
    check_bounded(3, || {
        let event = Event::new();
        let (one, other) = (event.remote(), event.remote());
        let threads = [thread::spawn(move || drop(one)), thread::spawn(move || other.set())];
        Loop::new().run(event.wait()).unwrap();
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn two_threads_set_two_events() {
    check_bounded(2, || {
        let (one, other) = (Event::new(), Event::new());
        let threads = [one.remote(), other.remote()].map(|remote| thread::spawn(move || remote.set()));
        Loop::new().run((one.wait(), other.wait())).unwrap();
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn two_threads_set_one_event() {
    check_bounded(2, || {
        let event = Event::new();
        let threads = [event.remote(), event.remote()].map(|remote| thread::spawn(move || remote.set()));
        Loop::new().run((event.wait(), event.wait())).unwrap();
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(event.is_set());
    });
}

#[test]
fn one_event_after_another_wakes_the_loop_again() {
    check_bounded(3, || {
        let (first, second) = (Event::new(), Event::new());
        let remotes = [first.remote(), second.remote()];
        let thread = thread::spawn(move || remotes.iter().for_each(|remote| remote.set()));
        Loop::new()
            .run(co! {
                yield first.wait();
                yield second.wait();
            })
            .unwrap();
        thread.join().unwrap();
    });
}

#[test]
fn a_handle_outlives_the_run() {
    check_bounded(4, || {
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
fn a_wait_is_given_up_while_it_is_woken() {
    check_bounded(4, || {
        let event = Event::new();
        let remote = event.remote();
        let thread = thread::spawn(move || remote.set());
        let gives_up = race([co! { yield event.wait(); }, co! { yield; }]);
        Loop::new().run(gives_up).unwrap();
        thread.join().unwrap();
    });
}
