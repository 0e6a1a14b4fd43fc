//! A deadlock is found although something is left that can no longer change anything. This may be the limit or the
//! abort handle of a part that is over, in a gather that still waits. It may also be a loop that no coroutine polls any
//! more.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

#[cfg(feature = "smol")]
use tinyield::from_future;
use tinyield::{Coro, Event, Loop, abortable, catch, co, finally, now, shield, sleep, spawn, timeout};

use crate::common::{forget, in_time, is_deadlock, ms, simulated};

#[test]
fn a_remote_abort_handle_of_work_that_is_over_does_not_hide_a_deadlock() {
    in_time(|| {
        let (work, handle) = abortable(co! { yield; });
        let remote = handle.remote();
        let error = Loop::new().run(co! { let _ = yield (work, Event::new().wait()); }).unwrap_err();
        assert!(is_deadlock(&error), "{error:?}");

        let (work, handle) = abortable(co! { yield; });
        let remote_of_spawned = handle.remote();
        let spawns = co! { let _handle = yield spawn(work); yield Event::new().wait(); };
        let error = Loop::new().run(spawns).unwrap_err();
        assert!(is_deadlock(&error), "{error:?}");
        remote.abort();
        remote_of_spawned.abort();
    });
}

#[test]
fn a_remote_abort_handle_that_was_used_does_not_hide_a_deadlock() {
    in_time(|| {
        let main = co! {
            let (work, handle) = abortable(shield(Event::new().wait()));
            let remote = handle.remote();
            let working = yield spawn(work);
            yield;
            remote.abort();
            let _ = yield working;
        };
        let error = Loop::new().run(main).unwrap_err();
        assert!(is_deadlock(&error), "{error:?}");
    });
}

#[test]
fn a_remote_abort_handle_or_a_limit_of_work_that_is_cancelled_does_not_hide_a_deadlock() {
    in_time(|| {
        let main = co! {
            let (work, handle) = abortable(shield(Event::new().wait()));
            let remote = handle.remote();
            let _ = yield timeout(work, ms(1));
            drop(remote);
        };
        let error = Loop::new().run(main).unwrap_err();
        assert!(is_deadlock(&error), "{error:?}");

        let (work, handle) = abortable(timeout(shield(Event::new().wait()), Duration::from_secs(1_000_000)));
        let main = co! {
            let working = yield spawn(work);
            for _ in 0..3 { yield; }
            handle.abort();
            let _ = yield working;
        };
        let error = Loop::new().run(main).unwrap_err();
        assert!(is_deadlock(&error), "{error:?}");
    });
}

#[test]
fn a_remote_abort_handle_that_was_used_does_not_stop_a_simulated_clock() {
    in_time(|| {
        let main = co! {
            let (work, handle) = abortable(finally(Event::new().wait(), || sleep(Duration::from_secs(3600))));
            let remote = handle.remote();
            let working = yield spawn(work);
            for _ in 0..3 { yield; }
            remote.abort();
            // A handle that is made now has no effect either.
            let (result, _again) = (yield working, handle.remote());
            drop(remote);
            result
        };
        assert!(simulated().run(main).unwrap().is_err());
    });
}

#[test]
fn a_remote_abort_handle_that_can_still_end_the_work_is_no_deadlock() {
    let (work, handle) = abortable(co! { yield Event::new().wait(); });
    let remote = handle.remote();
    std::thread::spawn(move || remote.abort());
    let ((), aborted) = Loop::new().run(co! { yield (co! { yield; }, work) }).unwrap();
    assert!(aborted.is_err());
}

#[test]
fn the_limit_of_work_that_is_over_does_not_hide_a_deadlock() {
    for limit in [Duration::from_secs(1_000_000), Duration::from_secs(u64::MAX / 2)] {
        in_time(move || {
            let error = Loop::new()
                .run(co! { let _ = yield (timeout(co! { yield; }, limit), Event::new().wait()); })
                .unwrap_err();
            assert!(is_deadlock(&error), "{limit:?}: {error:?}");
        });
    }
}

#[test]
fn the_limit_of_work_that_is_over_does_not_move_a_simulated_clock() {
    let hour = Duration::from_secs(3600);
    let seen = Rc::new(RefCell::new(None));
    let sees = seen.clone();
    let main = co! {
        let start = yield now();
        let cleans_up = co! {
            let _ = yield catch(Event::new().wait());
            *sees.borrow_mut() = Some((yield shield(now())) - start);
        };
        let _ = yield (timeout(co! { yield; }, hour), cleans_up);
    };
    assert!(is_deadlock(&simulated().run(main).unwrap_err()));
    assert_eq!(seen.take(), Some(Duration::ZERO));
}

#[test]
fn a_loop_that_no_coroutine_polls_any_more_does_not_hide_a_deadlock() {
    for (polling_task_ends, waits_for_timer) in [(true, true), (true, false), (false, true), (false, false)] {
        in_time(move || {
            let event = Event::new();
            let remote = event.remote();
            let work = co! {
                if waits_for_timer { yield sleep(Duration::from_secs(1_000_000)); } else { yield event.wait(); }
            };
            let guest = Rc::new(RefCell::new(Loop::new().into_runtime(work)));
            let polled = guest.clone();
            let polls_once: Coro<()> = co! {
                poll_fn(move |context| {
                    assert!(polled.borrow_mut().poll(context).is_pending());
                    Poll::Ready(())
                }).await
            };
            let main = co! {
                if polling_task_ends {
                    yield polls_once;
                    yield Event::new().wait();
                } else {
                    let guest = polls_once;
                    yield (guest, Event::new().wait());
                }
            };
            let error = Loop::new().run(main).unwrap_err();
            assert!(is_deadlock(&error), "{error:?}");
            forget(guest);
            drop(remote);
        });
    }
}

#[test]
fn a_loop_whose_polling_coroutine_waits_for_something_else_does_not_hide_a_deadlock() {
    in_time(|| {
        let guest = Rc::new(RefCell::new(Loop::new().into_runtime(sleep(Duration::from_secs(1_000_000)))));
        let polled = guest.clone();
        let main = co! {
            poll_fn(|context| {
                assert!(polled.borrow_mut().poll(context).is_pending());
                Poll::Ready(())
            }).await;
            yield Event::new().wait();
        };
        assert!(is_deadlock(&Loop::new().run(main).unwrap_err()));
        forget(guest);
    });
}

#[cfg(feature = "smol")]
#[test]
fn a_loop_that_is_polled_and_sleeps_is_no_deadlock_of_its_host() {
    let main = from_future(tinyield::to_smol(sleep(Duration::from_millis(1))));
    Loop::new().run(main).unwrap().unwrap();
}
