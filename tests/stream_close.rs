//! Closing a stream cancels its coroutine. The `yield` of the close returns when this coroutine has cleaned up and ended.
#![feature(coroutines)]

mod common;

use std::cell::RefCell;
use std::rc::Rc;

use common::{Alive, Log, forever, ms, to_end};
use tinyield::{
    Coro, Deadlock, Emitter, Event, Loop, Reason, Stream, catch, co, coro, finally, isolate, race, shield, sleep,
    spawn, stream, timeout,
};

/// Emits until it is cancelled, and cleans up behind a shield.
#[coro]
fn emit_and_clean_up(out: Emitter<u32>, log: Log, cleanup: u64) -> Coro<()> {
    let _dropped = log.on_drop("dropped");
    let error = loop {
        if let Err(error) = yield catch(out.emit(7)) {
            break error;
        }
    };
    assert_eq!(error.as_cancelled().unwrap().reason(), Reason::Dropped);
    yield shield(sleep(ms(cleanup)));
    log.push("cleaned up");
    Err(error)?;
}

fn source(log: &Log, cleanup: u64) -> Stream<u32> {
    let log = log.clone();
    stream(move |out| emit_and_clean_up(out, log, cleanup))
}

fn run<T: 'static>(coro: Coro<T>) -> T {
    Loop::builder().simulated(1).build().run(coro).unwrap()
}

#[test]
fn close_returns_when_the_coroutine_has_cleaned_up() {
    let log = Log::new();
    let inner = log.clone();
    run(co! {
        let values = source(&inner, 5);
        assert_eq!(yield values.next(), Some(7));
        yield values.close();
        inner.push("closed");
    });
    assert_eq!(log.take(), ["cleaned up", "dropped", "closed"]);
}

#[test]
fn close_waits_for_everything_that_the_coroutine_has_started() {
    let log = Log::new();
    let inner = log.clone();
    run(co! {
        let child = inner.clone();
        let values = stream(|out| co! {
            yield spawn(finally(forever(), move || co! { yield sleep(ms(5)); child.push("child cleaned up"); }));
            yield out.emit(1);
            yield forever();
        });
        yield values.next();
        yield values.close();
        inner.push("closed");
    });
    assert_eq!(log.take(), ["child cleaned up", "closed"]);
}

#[test]
fn several_streams_are_closed_at_once() {
    let log = Log::new();
    let inner = log.clone();
    run(co! {
        let (one, other) = (source(&inner, 5), source(&inner, 3));
        yield (one.next(), other.next());
        yield (one.close(), other.close());
        inner.push("closed");
    });
    assert_eq!(log.take(), ["cleaned up", "dropped", "cleaned up", "dropped", "closed"]);
}

#[test]
fn stream_that_has_not_begun_never_begins() {
    let (log, alive) = (Log::new(), Alive::new());
    let (inner, token) = (log.clone(), alive.token());
    run(co! {
        let begins = inner.clone();
        let values = stream(|out| co! {
            let _token = token;
            begins.push("begun");
            yield out.emit(1);
        });
        let next = values.next();
        yield values.close();
        assert_eq!(yield next, None);
        inner.push("closed");
    });
    assert_eq!(log.take(), ["closed"]);
    assert_eq!(alive.get(), 0);
}

#[test]
fn stream_that_has_ended_is_closed_at_once() {
    run(co! {
        let values = stream(|out| co! { yield out.emit(1); });
        assert_eq!((yield values.next(), yield values.next()), (Some(1), None));
        yield values.close();
    });
}

#[test]
fn close_that_is_not_yielded_drops_the_stream() {
    let log = Log::new();
    let inner = log.clone();
    run(co! {
        let values = source(&inner, 5);
        yield values.next();
        drop(values.close());
        inner.push("goes on");
    });
    assert_eq!(log.take(), ["goes on", "cleaned up", "dropped"]);
}

/// The coroutine waits behind a shield. So the coroutines that wait for it see their cancellation after it has ended.
#[test]
fn timeout_around_close_is_over_when_the_shielded_cleaning_up_is() {
    let log = Log::new();
    let inner = log.clone();
    run(co! {
        let values = source(&inner, 50);
        yield values.next();
        assert!((yield timeout(values.close(), ms(1))).is_err());
        inner.push("timed out");
    });
    assert_eq!(log.take(), ["cleaned up", "dropped", "timed out"]);
}

#[test]
fn close_that_loses_a_race_has_cancelled_the_coroutine_all_the_same() {
    let log = Log::new();
    let inner = log.clone();
    run(co! {
        let cleaned = inner.clone();
        let values = stream(|out| co! {
            let error = (yield catch(co! { loop { yield out.emit(1); } })).unwrap_err();
            // Not behind a shield: each wait raises the cancellation again.
            for _ in 0..10 { assert!((yield catch(())).is_err()); }
            cleaned.push("cleaned up");
            Err(error)?;
        });
        yield values.next();
        yield race((values.close(), co! {}));
        inner.push("gave up");
    });
    assert_eq!(log.take(), ["cleaned up", "gave up"]);
}

fn failing_cleanup() -> Stream<u32> {
    stream(|out| {
        co! {
            let _ = yield catch(co! { loop { yield out.emit(1); } });
            Err("the disk is full")?;
        }
    })
}

#[test]
fn error_of_the_cleaning_up_stops_the_domain_of_the_coroutine() {
    let main = co! {
        let values = failing_cleanup();
        yield values.next();
        yield values.close();
        unreachable!("the loop stops");
    };
    assert_eq!(Loop::new().run(main).unwrap_err().to_string(), "the disk is full");
}

#[test]
fn error_of_the_cleaning_up_is_raised_outside_of_the_domain_of_the_coroutine() {
    let result = run(co! {
        let kept = Rc::new(RefCell::new(None));
        let (keeps, is_read) = (kept.clone(), Event::new());
        let read = is_read.clone();
        let reading = co! {
            let values = failing_cleanup();
            yield values.next();
            *keeps.borrow_mut() = Some(values);
            read.set();
            yield forever();
        };
        let reader = yield spawn(co! { yield isolate(reading) });
        yield is_read.wait();
        let values = kept.borrow_mut().take().unwrap();
        let closed = yield catch(values.close());
        let isolated = yield reader;
        (closed.unwrap_err().to_string(), isolated.unwrap_err().to_string())
    });
    assert_eq!(result, ("the disk is full".to_string(), "the disk is full".to_string()));
}

#[test]
fn reader_that_waits_gets_none_when_another_coroutine_closes_the_stream() {
    run(co! {
        let never = Event::new();
        let values = stream(|out| co! { yield never.wait(); yield out.emit(1); });
        let (next, late) = (values.next(), values.next());
        let (value, ()) = yield (next, co! { yield; yield values.close(); });
        assert_eq!((value, yield late), (None, None));
    });
}

#[test]
fn coroutine_that_closes_its_own_stream_is_cancelled() {
    run(co! {
        let own = Rc::new(RefCell::new(None));
        let inner = own.clone();
        let values = stream(|out| co! {
            yield out.emit(1);
            let values: Stream<u32> = inner.borrow_mut().take().unwrap();
            let closed = yield catch(values.close());
            assert_eq!(closed.unwrap_err().as_cancelled().unwrap().reason(), Reason::Dropped);
        });
        let (next, end) = (values.next(), values.next());
        *own.borrow_mut() = Some(values);
        assert_eq!((yield next, yield end), (Some(1), None));
    });
}

#[test]
fn cleaning_up_that_never_ends_is_a_deadlock_that_names_it() {
    let never = Event::new();
    let main = co! {
        let values = stream(|out| finally(co! { loop { yield out.emit(1); } }, move || never.wait()).named("source"));
        yield values.next();
        yield values.close();
    };
    let error = Loop::new().run(main.named("main")).unwrap_err();
    let deadlock: &Deadlock = error.downcast_ref().unwrap();
    let words: Vec<_> = deadlock.stuck().iter().map(|stuck| (stuck.frame().name(), stuck.waits_on())).collect();
    assert_eq!(words, [("main", "`source`"), ("source", "an event")]);
}

#[test]
fn stream_of_another_loop_is_dropped() {
    let log = Log::new();
    let inner = log.clone();
    let values = source(&log, 1);
    let next = values.next();
    let mut one = Loop::new();
    let mut reading = one.runtime(co! { yield next; inner.push("read"); });
    while log.len() == 0 {
        let _ = reading.step();
    }
    Loop::new().run(values.close()).unwrap();
    to_end(&mut reading).1.unwrap();
    assert_eq!(log.take(), ["read", "cleaned up", "dropped"]);
}
