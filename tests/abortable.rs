//! Abortable work: when the `yield` returns, the work and everything that it started have ended.
#![feature(coroutines)]

mod common;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::thread;

use common::{Alive, Counter, FOREVER, Log, forever, ms};
use tinyield::{
    AbortHandle, Aborted, Coro, Deadlock, Event, Loop, Reason, RemoteAbortHandle, abortable, catch, co, coro, finally,
    isolate, race, shield, sleep, spawn, timeout,
};

fn run<T: 'static>(coro: Coro<T>) -> T {
    Loop::new().run(coro).unwrap()
}

#[coro]
fn parent(log: Log) -> Coro<()> {
    let _ends = log.on_drop("parent");
    yield spawn(child(log.clone(), "background"));
    yield child(log, "child");
}

#[coro]
fn child(log: Log, name: &'static str) -> Coro<()> {
    let _ends = log.on_drop(name);
    yield forever();
}

#[test]
fn abort_ends_the_work_and_all_that_it_started() {
    let log = Log::new();
    let main = {
        let log = log.clone();
        co! {
            let (work, handle) = abortable(parent(log.clone()));
            let working = yield spawn(work);
            yield;
            yield;
            yield;
            handle.abort();
            assert!(handle.is_aborted());
            let result = yield working;
            log.push("gave");
            result
        }
    };
    assert_eq!(run(main), Err(Aborted));
    assert_eq!(log.take(), ["child", "background", "parent", "gave"]);
}

#[test]
fn work_that_is_not_aborted_gives_its_value_when_all_has_ended() {
    let ended = Counter::new();
    let main = {
        let ended = ended.clone();
        co! {
            let background = { let ended = ended.clone(); co! { yield; yield; yield; ended.up(); } };
            let (work, handle) = abortable(co! { yield spawn(background); 7 });
            let value = yield work;
            handle.abort();
            (value, ended.get())
        }
    };
    assert_eq!(run(main), (Ok(7), 1));
}

#[test]
fn work_that_is_aborted_before_it_begins_never_begins() {
    let begun = Counter::new();
    let main = {
        let begun = begun.clone();
        co! {
            let (work, handle) = abortable(co! { begun.up(); });
            handle.clone().abort();
            drop(handle);
            yield work
        }
    };
    assert_eq!(run(main), Err(Aborted));
    assert_eq!(begun.get(), 0);
}

#[test]
fn work_may_clean_up_behind_a_shield_and_may_answer_with_a_value() {
    let reason = Rc::new(Cell::new(None));
    let main = {
        let reason = reason.clone();
        co! {
            let (work, handle) = abortable(co! {
                let error = (yield catch(forever())).unwrap_err();
                reason.set(error.as_cancelled().map(|cancelled| cancelled.reason()));
                yield shield(sleep(ms(1)));
                "so far"
            });
            let working = yield spawn(work);
            yield;
            yield;
            handle.abort();
            yield working
        }
    };
    let mut event_loop = Loop::builder().grouping(tinyield::Grouping::Always).build();
    assert_eq!(event_loop.run(main).unwrap(), Ok("so far"));
    assert_eq!(reason.take(), Some(Reason::Aborted));
}

/// A value that has arrived before the abort is kept.
#[test]
fn value_that_has_arrived_is_kept() {
    let main = co! {
        let (sender, receiver) = tinyield::channel::unbounded();
        let (work, handle) = abortable(receiver.recv());
        let working = yield spawn(work);
        yield;
        yield;
        sender.try_send(3)?;
        handle.abort();
        (yield working)?
    };
    assert_eq!(run(main), Ok(3));
}

#[test]
fn work_may_abort_itself_and_sees_it_at_its_next_yield() {
    let after = Counter::new();
    let main = {
        let after = after.clone();
        co! {
            let mailbox = Rc::new(Cell::new(None::<AbortHandle>));
            let own = mailbox.clone();
            let (work, handle) = abortable(co! {
                own.take().unwrap().abort();
                after.up();
                yield;
                after.up();
            });
            mailbox.set(Some(handle));
            yield work
        }
    };
    assert_eq!(run(main), Err(Aborted));
    assert_eq!(after.get(), 1);
}

#[test]
fn error_of_abortable_work_is_raised_by_its_waiter() {
    let error = Loop::new()
        .run(
            co! {
                let (work, _handle) = abortable(co! { Err::<(), _>("broken")?; }.named("work"));
                yield work
            }
            .named("main"),
        )
        .unwrap_err();
    assert_eq!(error.to_string(), "broken");
    assert_eq!(common::names(error.error()), ["main", "work"]);
    let contained = co! {
        let (work, handle) = abortable(co! { let _cancelled = yield catch(forever()); Err::<(), _>("while cleaning up")?; });
        let working = yield spawn(co! { (yield isolate(work)).map_err(|error| error.to_string()) });
        yield;
        yield;
        handle.abort();
        yield working
    };
    assert_eq!(run(contained), Err("while cleaning up".to_string()));
}

#[test]
fn timeout_and_race_around_it_cancel_it() {
    let alive = Alive::new();
    let main = {
        let alive = alive.clone();
        co! {
            let (work, _handle) = abortable({ let token = alive.token(); co! { let _token = token; yield forever(); } });
            let late = (yield timeout(work, ms(1))).is_err();
            let (work, _other) = abortable({ let token = alive.token(); co! { let _token = token; yield forever(); true } });
            let raced = yield race((work.map(|result| result.is_ok()), sleep(ms(1)).map(|()| false)));
            (late, raced)
        }
    };
    assert_eq!(run(main), (true, false));
    assert_eq!(alive.get(), 0);
}

#[test]
fn many_are_aborted_by_id() {
    let main = co! {
        let (mut works, mut handles) = (Vec::new(), Vec::new());
        for id in 0..10 {
            let (work, handle) = abortable(co! { yield sleep(if id % 2 == 0 { FOREVER } else { ms(1) }); id });
            works.push(work);
            handles.push(handle);
        }
        let all = yield spawn(works);
        yield;
        handles.iter().for_each(|handle| handle.abort());
        handles.iter().for_each(|handle| handle.abort());
        yield all
    };
    assert_eq!(run(main), [Err(Aborted); 10]);
}

#[test]
fn other_thread_aborts_work_that_waits_for_ever() {
    let (work, handle) = abortable(forever());
    let remote: RemoteAbortHandle = handle.remote();
    let thread = thread::spawn(move || remote.abort());
    assert_eq!(Loop::new().run(work).unwrap(), Err(Aborted));
    thread.join().unwrap();
    assert!(handle.is_aborted());
}

/// The remote handle is made before the work begins, or while the work runs. The other thread may use it before the loop has its next turn.
#[test]
fn remote_handle_can_be_made_at_any_time() {
    for before in [true, false] {
        let main = co! {
            let (work, handle) = abortable(Event::new().wait());
            let early = before.then(|| handle.remote());
            let working = yield spawn(work);
            yield;
            yield;
            let remote = early.unwrap_or_else(|| handle.remote());
            let thread = thread::spawn(move || remote.abort());
            let result = yield working;
            let _ = thread.join();
            result
        };
        assert_eq!(run(main), Err(Aborted));
    }
    let (work, handle) = abortable(forever());
    let remote = handle.remote();
    remote.abort();
    drop(handle);
    assert_eq!(Loop::new().run(work).unwrap(), Err(Aborted));
}

#[test]
fn remote_handle_outlives_the_work_and_the_loop() {
    let (work, handle) = abortable(co! { 1 });
    let remote = handle.remote();
    assert_eq!(Loop::new().run(work).unwrap(), Ok(1));
    remote.clone().abort();
    drop(remote);
    assert!(handle.is_aborted());
}

/// While the loop is stuck, nothing can use a handle of this thread. Another thread can use a remote handle, until it is dropped.
#[test]
fn deadlock_is_found_without_a_remote_handle() {
    let (work, _handle) = abortable(Event::new().wait());
    let error = Loop::new().run(work).unwrap_err();
    assert!(error.error().downcast_ref::<Deadlock>().is_some());
    let (work, handle) = abortable(Event::new().wait());
    let remote = handle.remote();
    let thread = thread::spawn(move || drop(remote));
    let error = Loop::new().run(work).unwrap_err();
    thread.join().unwrap();
    assert!(error.error().downcast_ref::<Deadlock>().is_some());
}

#[test]
fn handle_of_work_that_is_over_keeps_nothing_of_the_loop() {
    let alive = Alive::new();
    let handle = {
        let (work, handle) = abortable(forever());
        let token = alive.token();
        let stopped = Loop::new().run(co! { let _token = token; yield timeout(work, ms(1)).map(|late| late.is_err()) });
        assert!(stopped.unwrap());
        handle
    };
    assert_eq!(alive.get(), 0);
    handle.abort();
}

#[test]
fn work_in_aborted_work_is_cancelled_and_not_aborted() {
    let (inner, inner_handle) = abortable(forever());
    let seen = Rc::new(Cell::new(None));
    let told = seen.clone();
    let (outer, outer_handle) = abortable(co! {
        match yield catch(inner) {
            Ok(_) => told.set(Some("aborted")),
            Err(cancelled) => {
                told.set(Some("cancelled"));
                Err(cancelled)?;
            }
        }
    });
    let main = co! {
        let handle = yield spawn(outer);
        yield;
        yield;
        outer_handle.abort();
        yield handle
    };
    assert_eq!(Loop::new().run(main).unwrap(), Err(Aborted));
    assert_eq!(seen.get(), Some("cancelled"));
    assert!(!inner_handle.is_aborted());
}

#[test]
fn abort_of_aborted_work_changes_nothing() {
    let cleaned = Counter::new();
    let up = cleaned.clone();
    let main = co! {
        let (inner, inner_handle) = abortable(finally(co! { yield forever(); }, move || co! { yield; up.up(); }));
        let (outer, outer_handle) = abortable(inner);
        let again = outer_handle.clone();
        let working = yield spawn(outer);
        for _ in 0..5 { yield; }
        for handle in [&inner_handle, &outer_handle, &again, &inner_handle] {
            handle.abort();
        }
        yield;
        again.abort();
        yield working
    };
    // When the outer work was aborted, the inner one already had its value, `Err(Aborted)`.
    let result = run(main);
    assert!(matches!(result, Ok(Err(Aborted)) | Err(Aborted)), "{result:?}");
    assert_eq!(cleaned.get(), 1);
}

/// The destructor runs after the work has returned its value, and before the work is over.
#[test]
fn work_whose_destructor_aborts_it_has_its_value() {
    struct Aborts(RefCell<Option<AbortHandle>>);

    impl Drop for Aborts {
        fn drop(&mut self) {
            self.0.take().expect("there is a handle").abort();
        }
    }

    let aborts = Rc::new(Aborts(RefCell::default()));
    let held = aborts.clone();
    let (work, handle) = abortable(co! { let _held = held; yield; 5 });
    *aborts.0.borrow_mut() = Some(handle);
    drop(aborts);
    assert_eq!(Loop::new().run(work).unwrap(), Ok(5));
}
