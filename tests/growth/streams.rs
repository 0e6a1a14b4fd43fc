//! How the cost and the memory of streams grow with their values, readers and emitters.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tinyield::{Emitter, Event, Stream, catch, co, race, sleep, spawn, stream};

use crate::common::forever;
use crate::{allocations, assert_keeps_the_same, assert_linear, run};

/// A stream whose emitter is outside of its coroutine.
fn emitter_and_stream() -> (Emitter<usize>, Rc<Stream<usize>>) {
    let mailbox = Rc::new(Cell::new(None));
    let own = mailbox.clone();
    let values = stream(move |out| {
        own.set(Some(out));
        co! { yield forever(); }
    });
    (mailbox.take().unwrap(), Rc::new(values))
}

#[test]
fn values_that_others_read_while_a_reader_holds_one_leave_no_memory_behind() {
    assert_keeps_the_same(|count, kept| {
        let (out, values) = emitter_and_stream();
        let holds = values.next();
        co! {
            yield spawn(co! { yield (holds, forever()); });
            yield;
            let first = out.emit(0);
            yield spawn(co! { yield first; });
            yield spawn(co! { for n in 0..count { yield out.emit(n); } });
            yield;
            for _ in 0..count { yield values.next(); }
            kept.set(allocations::live());
            Err("what waits for ever is cancelled")?;
        }
    });
}

#[test]
fn values_that_are_withdrawn_behind_one_that_waits_leave_no_memory_behind() {
    assert_keeps_the_same(|count, kept| {
        let (out, values) = emitter_and_stream();
        let first = out.emit(0);
        co! {
            yield race((values.next().map(drop), sleep(Duration::ZERO)));
            yield spawn(co! { yield first; });
            yield;
            for n in 0..count { yield race((out.emit(n), sleep(Duration::ZERO))); }
            kept.set(allocations::live());
            assert_eq!(yield values.next(), Some(0));
        }
    });
}

#[test]
fn the_cost_of_many_emitters_and_readers_of_a_stream_is_linear() {
    assert_linear(|count| {
        let (out, values) = emitter_and_stream();
        let main = co! {
            let emits: Vec<_> = (0..count).map(|n| out.emit(n)).collect();
            let readers: Vec<_> = (0..count).map(|_| values.next()).collect();
            let (read, _) = yield (co! { yield readers }, co! { yield; yield emits; });
            assert!(read.into_iter().flatten().eq(0..count));
        };
        drop(run(main));
    });
}

#[test]
fn the_cost_of_readers_that_give_their_values_back_is_linear() {
    assert_linear(|count| {
        let (out, values) = emitter_and_stream();
        let main = co! {
            let emits: Vec<_> = (0..count).map(|n| out.emit(n)).collect();
            let readers: Vec<_> = (0..count).map(|_| values.next()).collect();
            let give_up = Event::new();
            let gives_up = give_up.clone();
            let holds = co! { yield race((co! { yield (readers, forever()); }, co! { yield gives_up.wait(); })); };
            let holds = yield spawn(holds);
            yield;
            yield spawn(co! { yield emits; });
            yield;
            give_up.set();
            yield holds;
            for n in 0..count { assert_eq!(yield values.next(), Some(n)); }
        };
        drop(run(main));
    });
}

#[test]
fn dropping_a_stream_while_many_emit_is_linear() {
    assert_linear(|count| {
        let (out, values) = emitter_and_stream();
        let main = co! {
            yield race((values.next().map(drop), sleep(Duration::ZERO)));
            let emits: Vec<_> = (0..count).map(|n| { let emit = out.emit(n); co! { yield catch(emit) } }).collect();
            let emits = yield spawn(emits);
            yield;
            yield;
            drop(values);
            assert!((yield emits).into_iter().all(|emitted| emitted.is_err()));
        };
        run(main).unwrap();
    });
}
