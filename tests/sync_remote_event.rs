//! Remote handles of events: other threads set an event at any time, and a deadlock is reported only when no handle is left.
#![feature(coroutines)]

mod common;

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc;
use std::task::Context;
use std::thread;
use std::time::{Duration, Instant};

use common::{LONG, Log, Wakes, ms, to_end, to_idle};
use tinyield::{Coro, Deadlock, Event, Loop, LoopError, RemoteEvent, co, coro, run_in_thread, sleep, spawn, timeout};

#[coro]
fn logs_when_set(event: Event, log: Log, name: &'static str) -> Coro<()> {
    yield event.wait();
    log.push(name);
}

#[coro]
fn turns(count: usize) -> Coro<()> {
    for _ in 0..count {
        yield;
    }
}

fn is_deadlock(error: &LoopError) -> bool {
    error.error().downcast_ref::<Deadlock>().is_some()
}

#[test]
fn a_loop_that_only_waits_for_an_event_ends_when_a_thread_sets_it() {
    for is_set in [false, true] {
        let event = Event::new();
        if is_set {
            event.set();
        } else {
            let remote = event.remote();
            thread::spawn(move || remote.set());
        }
        Loop::new().run(event.wait()).unwrap();
    }
}

#[test]
fn a_gather_may_wait_twice_for_one_event() {
    for is_set in [false, true] {
        let event = Event::new();
        if is_set {
            event.set();
        }
        let remote = event.remote();
        let main = co! {
            let waits = [event.wait(), event.wait()];
            if !is_set {
                thread::spawn(move || remote.set());
            }
            yield waits;
        };
        Loop::new().run(main).unwrap();
    }
}

#[test]
fn one_part_times_out_and_a_thread_sets_the_other() {
    let (one, other) = (Event::new(), Event::new());
    let remote = other.remote();
    thread::spawn(move || remote.set());
    let waits = (one.wait_timeout(Duration::ZERO), other.wait());
    assert_eq!(Loop::new().run(waits).unwrap(), (false, ()));
}

#[test]
fn a_hundred_threads_set_one_event() {
    let event = Event::new();
    let main = co! {
        let remote = event.remote();
        let sets = co! {
            yield turns(20);
            let threads: Vec<_> = (0..100).map(|_| {
                let remote = remote.clone();
                run_in_thread(move || remote.set())
            }).collect();
            yield threads;
        };
        yield (event.wait(), sets);
    };
    Loop::new().run(main).unwrap();
}

#[test]
fn a_set_wakes_a_sleeping_host_also_from_a_thread() {
    let event = Event::new();
    let remote = event.remote();
    let (wakes, waker) = Wakes::new();
    let mut context = Context::from_waker(&waker);
    let wait = event.wait();
    let again = event.clone();
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(co! { yield wait; again.clear(); yield again.wait(); });
    assert!(runtime.poll(&mut context).is_pending());
    assert_eq!(wakes.get(), 0);
    event.set();
    assert_eq!(wakes.get(), 1);
    assert!(runtime.poll(&mut context).is_pending());
    thread::spawn(move || remote.set()).join().unwrap();
    assert_eq!(wakes.get(), 2);
    assert!(runtime.poll(&mut context).is_ready());
}

#[test]
fn a_remote_set_wakes_the_coroutines_of_two_loops() {
    let event = Event::new();
    let remote = event.remote();
    let (mut one, mut other) = (Loop::new(), Loop::new());
    let mut one = one.runtime(event.wait());
    let mut other = other.runtime(event.wait());
    let _ = to_idle(&mut one);
    let _ = to_idle(&mut other);
    thread::spawn(move || {
        remote.set();
        remote.clear();
    });
    // Each loop blocks by itself, one after the other.
    assert!(to_end(&mut other).1.is_ok());
    assert!(to_end(&mut one).1.is_ok());
}

#[test]
fn a_remote_set_and_clear_wake_exactly_the_coroutines_that_waited() {
    let log = Log::new();
    let event = Event::new();
    let remote = event.remote();
    let main = co! {
        yield spawn(logs_when_set(event.clone(), log.clone(), "early"));
        yield spawn(logs_when_set(event.clone(), log.clone(), "early"));
        yield;
        // The thread is joined before the next turn, so the loop has not seen the notification yet.
        thread::scope(|scope| {
            scope.spawn(|| {
                remote.set();
                remote.clear();
            });
        });
        yield spawn(logs_when_set(event.clone(), log.clone(), "late"));
        assert!(!event.is_set());
        yield turns(5);
        log.push("again");
        remote.set();
        yield turns(5);
        log
    };
    assert_eq!(Loop::new().run(main).unwrap().take(), ["early", "early", "again", "late"]);
}

#[test]
fn an_event_and_its_remote_handles_share_one_flag() {
    let event = Event::new();
    event.set();
    let remote = event.remote();
    assert!(remote.is_set());
    event.clear();
    assert!(!remote.is_set());
    remote.set();
    assert!(event.is_set());
    let again = event.remote();
    remote.clear();
    assert!(!again.is_set() && !event.is_set());
    assert_eq!(event.statistics().remotes, 2);
    drop((remote, again));
    assert_eq!(event.statistics().remotes, 0);
    event.set();
    assert!(event.is_set());
}

#[test]
fn a_remote_handle_may_outlive_its_loop_and_its_event() {
    let event = Event::new();
    let remote = event.remote();
    let setter = remote.clone();
    let mut event_loop = Loop::new();
    event_loop.run((event.wait(), run_in_thread(move || setter.set()))).unwrap();
    drop(event_loop);
    drop(event);
    thread::spawn(move || {
        assert!(remote.is_set());
        remote.clear();
        assert!(!remote.is_set());
        remote.set();
        assert!(remote.clone().is_set());
    })
    .join()
    .unwrap();
}

#[test]
fn remote_handles_are_send_and_sync() {
    fn is<T: Send + Sync + Clone + 'static>() {}
    is::<RemoteEvent>();
}

#[test]
fn a_deadlock_is_reported_when_the_last_remote_handle_is_dropped_and_not_before() {
    static ABOUT_TO_DROP: AtomicBool = AtomicBool::new(false);
    let event = Event::new();
    let remote = event.remote();
    // A handle counts wherever it is: this one is in a queue.
    let (send, receive) = mpsc::channel::<RemoteEvent>();
    send.send(remote.clone()).unwrap();
    drop(remote);
    let thread = thread::spawn(move || {
        thread::yield_now();
        ABOUT_TO_DROP.store(true, SeqCst);
        drop(receive);
    });
    let start = Instant::now();
    let error = Loop::new().run(event.wait()).unwrap_err();
    assert!(is_deadlock(&error));
    assert!(ABOUT_TO_DROP.load(SeqCst));
    assert!(start.elapsed() < LONG);
    thread.join().unwrap();
}

#[test]
fn a_remote_handle_made_during_a_wait_prevents_a_deadlock() {
    let event = Event::new();
    let waits = event.wait();
    let remotes = co! {
        yield;
        assert_eq!(event.statistics().waiting, 1);
        let remote = event.remote();
        thread::spawn(move || remote.set());
    };
    Loop::new().run((waits, remotes)).unwrap();
}

#[test]
fn a_remote_handle_of_an_event_without_waits_does_not_hide_a_deadlock() {
    let (watched, stuck) = (Event::new(), Event::new());
    let _remote = watched.remote();
    let main = co! {
        assert!(!(yield watched.wait_timeout(ms(1))));
        let _ = yield timeout(watched.wait(), ms(1));
        yield stuck.wait();
    };
    assert!(is_deadlock(&Loop::new().run(main).unwrap_err()));
}

#[test]
fn a_remote_handle_of_an_event_whose_waits_timed_out_does_not_hide_a_deadlock() {
    let (event, other) = (Event::new(), Event::new());
    let _before = event.remote();
    let waits = (event.wait_timeout(ms(1)), other.wait());
    let main = co! {
        yield spawn(co! { yield waits; });
        yield;
        let _after = event.remote();
        yield sleep(ms(1)); // ends after the limit of the wait
        assert_eq!(event.statistics().waiting, 0);
        yield Event::new().wait();
    };
    assert!(is_deadlock(&Loop::new().run(main).unwrap_err()));
}

#[test]
fn a_set_by_the_last_remote_handle_is_no_deadlock() {
    for _ in 0..500 {
        let event = Event::new();
        let wait = event.wait();
        let sets = co! {
            let remote = event.remote();
            thread::spawn(move || {
                remote.set();
                remote.clear();
            });
        };
        Loop::new().run((wait, sets)).unwrap();
    }
}

#[test]
fn a_remote_handle_made_later_wakes_waits_that_began_before() {
    let event = Event::new();
    let made = event.clone();
    let remote = co! {
        let remote = made.remote();
        run_in_thread(move || remote.set()).yield;
    };
    let (set, (), ()) = Loop::new().run((event.wait_timeout(LONG), event.wait(), remote)).unwrap();
    assert!(set);
}

/// Sets the event from a thread, after a time in which the loop would report a false deadlock.
fn sets_later(remote: RemoteEvent) {
    thread::spawn(move || {
        (0..100).for_each(|_| thread::yield_now());
        remote.set();
    });
}

#[test]
fn a_second_remote_handle_prevents_a_deadlock_after_the_first_was_dropped() {
    for has_handle_at_first_wait in [false, true] {
        let event = Event::new();
        let mut old = Some(event.remote());
        if !has_handle_at_first_wait {
            old = None;
        }
        let (first, second) = (event.wait(), event.wait());
        let remotes = co! {
            yield;
            drop(old);
            yield spawn(co! { yield second; });
            yield;
            let statistics = event.statistics();
            assert_eq!((statistics.waiting, statistics.remotes), (2, 0));
            sets_later(event.remote());
        };
        Loop::new().run((first, remotes)).unwrap();
    }
}

#[test]
fn a_second_remote_handle_wakes_waits_with_a_limit() {
    let event = Event::new();
    drop(event.remote());
    let wait = event.wait_timeout(LONG);
    let remotes = co! {
        yield;
        sets_later(event.remote());
    };
    assert!(Loop::new().run((wait, remotes)).unwrap().0);
}

#[test]
fn a_deadlock_is_reported_when_a_second_remote_handle_is_dropped_as_with_the_first() {
    let event = Event::new();
    let wait = event.wait();
    let remotes = co! {
        for _ in 0..2 {
            let remote = event.remote();
            yield;
            drop(remote);
        }
    };
    assert!(is_deadlock(&Loop::new().run((wait, remotes)).unwrap_err()));
}
