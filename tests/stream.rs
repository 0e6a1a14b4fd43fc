//! Streams: values one by one, none lost, and the coroutine ends with its reader.
#![feature(coroutines)]

mod common;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use common::{Alive, Counter, Log, forever, ms};
use tinyield::{
    Coro, Deadlock, Emitter, Event, Loop, Reason, Stream, catch, co, coro, isolate, race, sleep, spawn, stream, timeout,
};

fn run<T: 'static>(coro: Coro<T>) -> T {
    Loop::new().run(coro).unwrap()
}

#[coro]
fn emit_all(out: Emitter<u32>, count: u32) -> Coro<()> {
    for n in 0..count {
        yield out.emit(n);
    }
}

fn numbers(count: u32) -> Stream<u32> {
    stream(move |out| emit_all(out, count))
}

#[coro]
fn read_all(numbers: Stream<u32>) -> Coro<Vec<u32>> {
    let mut all = Vec::new();
    while let Some(n) = yield numbers.next() {
        all.push(n);
    }
    assert_eq!(yield numbers.next(), None);
    all
}

#[test]
fn reader_gets_all_values_in_order_and_then_none() {
    for count in [0, 1, 100] {
        assert_eq!(run(read_all(numbers(count))), (0..count).collect::<Vec<_>>());
    }
}

#[test]
fn coroutine_begins_with_the_first_next_and_emit_waits_until_the_value_is_taken() {
    let log = Log::new();
    let main = {
        let log = log.clone();
        co! {
            let inner = log.clone();
            let values = stream(|out| co! {
                inner.push("begins");
                yield out.emit(1);
                inner.push("taken 1");
                yield out.emit(2);
                inner.push("taken 2");
            });
            for _ in 0..5 { yield; }
            log.push("next");
            assert_eq!(yield values.next(), Some(1));
            for _ in 0..5 { yield; }
            log.push("next");
            assert_eq!(yield values.next(), Some(2));
            assert_eq!(yield values.next(), None);
        }
    };
    run(main);
    assert_eq!(log.take(), ["next", "begins", "taken 1", "next", "taken 2"]);
}

#[test]
fn stream_that_is_never_read_never_begins() {
    let begun = Counter::new();
    let alive = Alive::new();
    let (up, token) = (begun.clone(), alive.token());
    let unread = stream(|out| co! { let _token = token; up.up(); yield out.emit(1); });
    drop(unread);
    assert_eq!((begun.get(), alive.get()), (0, 0));
}

#[test]
fn dropped_reader_cancels_the_coroutine_at_its_emit_and_the_run_waits_for_its_end() {
    let log = Log::new();
    let main = {
        let log = log.clone();
        co! {
            let inner = log.clone();
            let values = stream(|out| co! {
                let _dropped = inner.on_drop("dropped");
                let error = loop {
                    if let Err(error) = yield catch(out.emit(7)) {
                        break error;
                    }
                };
                assert_eq!(error.as_cancelled().unwrap().reason(), Reason::Dropped);
                yield tinyield::shield(sleep(ms(1)));
                inner.push("cleaned up");
                Err(error)?;
            });
            assert_eq!(yield values.next(), Some(7));
            drop(values);
            log.push("reader ends");
        }
    };
    run(main);
    assert_eq!(log.take(), ["reader ends", "cleaned up", "dropped"]);
}

#[test]
fn dropped_reader_cancels_a_coroutine_that_waits_for_something_else() {
    let main = co! {
        let values = stream(|out| co! { yield forever(); yield out.emit(1); });
        let late = yield timeout(values.next(), ms(1));
        late.is_err()
    };
    assert!(run(main));
}

/// A timeout around `next` gives up that `next`, and not the coroutine.
#[test]
fn timeout_around_next_loses_no_value() {
    let main = co! {
        let values = stream(|out| co! {
            for n in 0..20_u32 {
                yield sleep(ms(u64::from(n % 3)));
                yield out.emit(n);
            }
        });
        let mut all = Vec::new();
        loop {
            match yield timeout(values.next(), ms(1)) {
                Ok(Some(n)) => all.push(n),
                Ok(None) => break all,
                Err(_) => {}
            }
        }
    };
    assert_eq!(run(main), (0..20).collect::<Vec<_>>());
}

#[test]
fn race_against_next_loses_no_value() {
    let main = co! {
        let tick = Event::new();
        let ticker = { let tick = tick.clone(); co! { for _ in 0..100 { tick.set(); yield; } } };
        yield spawn(ticker);
        let values = numbers(50);
        let mut all = Vec::new();
        loop {
            match yield race((tick.wait().map(|()| None), values.next().map(Some))) {
                Some(Some(n)) => all.push(n),
                Some(None) => break all,
                None => tick.clear(),
            }
        }
    };
    assert_eq!(run(main), (0..50).collect::<Vec<_>>());
}

#[test]
fn several_readers_and_several_emitters_share_a_stream() {
    let main = co! {
        let values = stream(|out| co! {
            let others = [emit_all(out.clone(), 3), emit_all(out.clone(), 3)];
            drop(out);
            yield others;
        });
        let (a, b) = yield (values.next(), values.next());
        let mut all = vec![a.unwrap(), b.unwrap()];
        while let Some(n) = yield values.next() {
            all.push(n);
        }
        all.sort_unstable();
        all
    };
    assert_eq!(run(main), [0, 0, 1, 1, 2, 2]);
}

#[test]
fn error_of_the_coroutine_is_that_of_a_child() {
    let broken = || stream(|out| co! { yield out.emit(1); Err("broken")?; }.named("source"));
    let main = co! {
        let values = broken();
        assert_eq!(yield values.next(), Some(1));
        yield values.next()
    };
    let error = Loop::new().run(main).unwrap_err();
    assert_eq!(error.to_string(), "broken");
    assert_eq!(error.error().trace().last().unwrap().name(), "source");
    // The error is also raised at a reader outside of the domain.
    let outside = co! {
        let values = std::rc::Rc::new(broken());
        let first = values.clone();
        let inside = yield isolate(co! { yield first.next(); yield forever(); });
        assert!(inside.is_err() || inside.is_ok());
        let read = yield isolate(co! { yield values.next() });
        read.map_err(|error| error.to_string())
    };
    let stopped = Loop::new().run(timeout(outside, ms(20)));
    assert!(stopped.is_ok());
}

#[test]
fn emitter_that_outlives_the_reader_fails() {
    let main = co! {
        let mailbox = std::rc::Rc::new(std::cell::Cell::new(None));
        let own = mailbox.clone();
        let values = stream(|out| co! { own.set(Some(out.clone())); yield out.emit(1); });
        assert_eq!(yield values.next(), Some(1));
        drop(values);
        let out: Emitter<u32> = mailbox.take().unwrap();
        (yield isolate(out.emit(2))).unwrap_err().to_string()
    };
    assert_eq!(run(main), "a value was emitted, but the stream was dropped: nobody will take it");
}

#[test]
fn values_that_are_not_taken_are_dropped() {
    let alive = Alive::new();
    let main = {
        let alive = alive.clone();
        co! {
            let values = stream(|out| co! { loop { yield out.emit(alive.token()); } });
            drop(yield values.next());
            drop(yield values.next());
            yield;
            yield;
        }
    };
    run(main);
    assert_eq!(alive.get(), 0);
}

#[test]
fn streams_can_be_chained_and_read_further_after_a_pause() {
    let squares = |source: Stream<u32>| {
        stream(|out| {
            co! {
                while let Some(n) = yield source.next() {
                    yield out.emit(n * n);
                }
            }
        })
    };
    let main = co! {
        let values = squares(numbers(10));
        let first = (yield values.next(), yield values.next(), yield values.next());
        (first, yield read_all(values))
    };
    let (first, rest) = run(main);
    assert_eq!(first, (Some(0), Some(1), Some(4)));
    assert_eq!(rest, [9, 16, 25, 36, 49, 64, 81]);
}

#[test]
fn stuck_stream_is_a_deadlock() {
    let main = co! {
        let never = Event::new();
        let values = stream(|out| co! { yield never.wait(); yield out.emit(1); }.named("source"));
        yield values.next()
    };
    let error = Loop::new().run(main.named("main")).unwrap_err();
    let deadlock: &Deadlock = error.downcast_ref().unwrap();
    let names: Vec<_> = deadlock.stuck().iter().map(|stuck| stuck.frame().name()).collect();
    assert_eq!(names, ["main", "source"]);
}

/// The name of each stuck coroutine, and what it waits for.
fn stuck(main: Coro<()>) -> Vec<(String, String)> {
    let error = Loop::new().run(main.named("main")).unwrap_err();
    let deadlock: &Deadlock = error.downcast_ref().unwrap();
    let words = |stuck: &tinyield::Stuck| (stuck.frame().name().to_string(), stuck.waits_on().to_string());
    deadlock.stuck().iter().map(words).collect()
}

#[test]
fn report_distinguishes_waits_for_a_reader_from_waits_for_a_value() {
    let never = Event::new();
    let main = co! {
        let unread = stream(|out| co! { yield out.emit(1); yield out.emit(2); }.named("unread"));
        let silent = stream(|out| co! { yield never.wait(); yield out.emit(1); }.named("silent"));
        yield unread.next();
        yield silent.next();
    };
    let words = stuck(main);
    let words: Vec<_> = words.iter().map(|(name, words)| (&**name, &**words)).collect();
    assert_eq!(words, [("main", "a value of a stream"), ("unread", "a reader of its stream"), ("silent", "an event")]);
}

#[test]
fn isolate_around_the_first_next_waits_for_the_coroutine_of_the_stream() {
    let main = co! {
        let values = stream(|out| emit_all(out, 3).named("source"));
        let _first = yield isolate(values.next());
    };
    let words = stuck(main);
    let words: Vec<_> = words.iter().map(|(name, words)| (&**name, &**words)).collect();
    assert_eq!(words, [("main", "`source`"), ("source", "a reader of its stream")]);

    // If all reads of the stream are inside of the `isolate`, the `isolate` ends, because the stream is dropped inside of it.
    let main = co! {
        let values = numbers(3);
        (yield isolate(co! {
            let first = yield values.next();
            drop(values);
            first
        })).unwrap()
    };
    assert_eq!(run(main), Some(0));
}

#[test]
fn stream_can_be_read_by_another_coroutine_than_the_first() {
    let main = co! {
        let values = numbers(3);
        assert_eq!(yield values.next(), Some(0));
        let reader = yield spawn(read_all(values));
        yield reader
    };
    assert_eq!(run(main), [1, 2]);
}

/// A stream that was first read in a race goes on after the race, because it belongs to the domain.
#[test]
fn stream_that_was_first_read_in_a_race_outlives_the_race() {
    let main = co! {
        let values = std::rc::Rc::new(numbers(3));
        let reading = values.clone();
        let first = yield race((co! { yield reading.next() }, co! { yield forever(); None }));
        (first, yield values.next())
    };
    assert_eq!(run(main), (Some(0), Some(1)));
}

/// The other part of the gather reads a stream that failed in a domain that has ended.
#[test]
fn value_of_a_gather_is_not_lost_when_another_stream_has_failed() {
    let main = co! {
        let mailbox = std::rc::Rc::new(std::cell::Cell::new(None));
        let given = mailbox.clone();
        let failed = yield isolate(co! {
            let broken = stream(|out| co! { yield out.emit(1); yield; Err("broken")?; });
            yield broken.next();
            given.set(Some(broken));
            yield forever();
        });
        assert_eq!(failed.unwrap_err().to_string(), "broken");
        let (good, broken): (_, Stream<u32>) = (numbers(3), mailbox.take().unwrap());
        // It starts here, and not in the domain below.
        assert_eq!(yield good.next(), Some(0));
        let next = (good.next(), broken.next());
        let both = yield isolate(co! { yield next });
        assert_eq!(both.unwrap_err().to_string(), "broken");
        let (first, error) = yield (good.next(), isolate(broken.next()));
        assert_eq!(error.unwrap_err().to_string(), "broken");
        (first, yield good.next(), yield good.next())
    };
    assert_eq!(run(main), (Some(1), Some(2), None));
}

/// As above, with a message of a channel, and with the failed stream in a race of leaves.
#[test]
fn message_of_a_gather_is_not_lost_when_a_stream_in_a_race_has_failed() {
    let main = co! {
        let mailbox = Rc::new(Cell::new(None));
        let given = mailbox.clone();
        let failed = yield isolate(co! {
            let broken = stream(|out| co! { yield out.emit(1); yield; Err("broken")?; });
            yield broken.next();
            given.set(Some(broken));
            yield forever();
        });
        assert!(failed.is_err());
        let (broken, never): (Stream<u32>, _) = (mailbox.take().unwrap(), Event::new());
        let (sender, jobs) = tinyield::channel::unbounded();
        sender.try_send(7)?;
        let next = (jobs.recv(), race((broken.next(), never.wait().map(|()| None))));
        let both = yield isolate(co! { yield next });
        assert_eq!(both.unwrap_err().to_string(), "broken");
        jobs.try_recv()?
    };
    assert_eq!(run(main), 7);
}

/// A coroutine that waits for several things takes their outputs only when all are there. The stream does not wait for that.
#[test]
fn stream_goes_on_when_its_value_is_granted_to_a_part_of_a_gather() {
    let main = co! {
        let values = numbers(4);
        assert_eq!(yield (values.next(), values.next()), (Some(0), Some(1)));
        assert_eq!(yield vec![values.next(), values.next(), values.next()], [Some(2), Some(3), None]);

        let done = Event::new();
        let sets = done.clone();
        let values = stream(move |out| co! { yield out.emit(1); sets.set(); yield out.emit(2); });
        assert_eq!((yield (values.next(), done.wait())).0, Some(1));
        yield values.next()
    };
    assert_eq!(run(main), Some(2));
}

/// The value is offered when the gather begins.
#[test]
fn stream_goes_on_when_its_offered_value_is_granted_to_a_part_of_a_gather() {
    let main = co! {
        let values = numbers(3);
        assert_eq!(yield values.next(), Some(0));
        for _ in 0..3 { yield; }
        yield (values.next(), values.next())
    };
    assert_eq!(run(main), (Some(1), Some(2)));
}

/// The reader loses a race in the round in which it was granted the value. The coroutine goes on, and the next reader gets the value.
#[test]
fn value_that_a_reader_gives_back_is_not_lost_when_the_stream_has_gone_on() {
    let main = co! {
        let emitted = Rc::new(Cell::new(0));
        let (counts, go) = (emitted.clone(), Event::new());
        let (begins, wins) = (go.clone(), go.clone());
        let values = stream(move |out| co! {
            yield begins.wait();
            for value in 1..=2 { yield out.emit(value); counts.set(value); }
        });
        let next = values.next();
        let reads = co! { (yield next).is_some() };
        let races = yield spawn(co! { yield race((reads, co! { for _ in 0..3 { yield; } yield wins.wait(); false })) });
        for _ in 0..5 { yield; }
        go.set();
        assert!(!yield races);
        for _ in 0..5 { yield; }
        assert_eq!(emitted.get(), 1);
        (yield values.next(), yield values.next(), yield values.next())
    };
    assert_eq!(run(main), (Some(1), Some(2), None));
}

/// The emitter goes on, because a reader was granted the value. Then the reader gives up, and the stream is dropped.
#[test]
fn value_that_was_given_back_is_dropped_with_the_stream_although_an_emitter_is_kept() {
    let main = co! {
        let place = Rc::new(RefCell::new(None));
        let (kept, stops) = (place.clone(), Event::new());
        let stopped = stops.clone();
        let values = stream(move |out| co! { *kept.borrow_mut() = Some(out); });
        let reads = yield spawn(co! {
            let got = yield race((stopped.wait().map(|()| None), values.next()));
            drop(values);
            got.is_some()
        });
        for _ in 0..3 { yield; }
        let out = place.borrow().as_ref().map(Emitter::clone).unwrap();
        let (sender, receiver) = tinyield::channel::unbounded::<u32>();
        stops.set();
        yield out.emit(sender);
        assert!(!yield reads);
        (yield receiver.recv()).is_err()
    };
    assert!(run(main));
}

#[test]
fn stream_that_drops_its_own_reader_is_cancelled_at_its_next_emit() {
    let alive = Alive::new();
    let token = alive.token();
    let main = co! {
        let slot = std::rc::Rc::new(std::cell::RefCell::new(None));
        let own = slot.clone();
        *slot.borrow_mut() = Some(stream(move |out| co! {
            let _token = token;
            yield out.emit(1);
            drop(own.borrow_mut().take());
            yield out.emit(2);
            unreachable!("it is cancelled");
        }));
        let next = slot.borrow().as_ref().map(Stream::next).unwrap();
        assert_eq!(yield next, Some(1));
        for _ in 0..5 { yield; }
    };
    run(main);
    assert_eq!(alive.get(), 0);
}

/// The coroutine of a stream that was first read on another loop ends with that loop.
#[test]
fn stream_that_began_on_an_inner_loop_ends_with_that_loop() {
    let main = co! {
        let values = std::rc::Rc::new(numbers(3));
        let inner = values.clone();
        let stuck = Loop::new().run(co! { yield inner.next() }).unwrap_err();
        assert!(stuck.downcast_ref::<Deadlock>().is_some(), "the stream waits for a reader, and the run for the stream");
        (yield isolate(values.next())).unwrap_err()
    };
    assert!(run(main).downcast_ref::<Deadlock>().is_some());
}

/// A stream whose emitter is outside of its coroutine, which ends at once.
fn with_emitter_outside() -> (Rc<Stream<u32>>, Emitter<u32>) {
    let mailbox = Rc::new(Cell::new(None));
    let own = mailbox.clone();
    let values = stream(move |out| {
        own.set(Some(out));
        co! {}
    });
    (Rc::new(values), mailbox.take().unwrap())
}

/// A reader that holds a value, because another part of its gather still waits. It gives up when the event is set.
fn hold_one(values: &Stream<u32>, gives_up: &Event) -> Coro<()> {
    let (next, gives_up) = (values.next(), gives_up.clone());
    co! {
        yield race((co! { yield (next, forever()); }, co! { yield gives_up.wait(); }));
    }
}

/// The last emitter was dropped, but another reader may still give its value back.
#[test]
fn reader_gets_no_none_before_a_value_that_another_reader_gives_back() {
    let (values, out) = with_emitter_outside();
    let main = co! {
        let gives_up = Event::new();
        let holds = yield spawn(hold_one(&values, &gives_up));
        yield;
        yield spawn(co! { yield out.emit(7); drop(out); });
        yield;
        yield;
        let (a, b) = (values.clone(), values.clone());
        let readers = yield spawn((co! { yield a.next() }, co! { yield b.next() }));
        for _ in 0..5 { yield; }
        gives_up.set();
        yield holds;
        (yield readers, yield values.next())
    };
    // The second one finds the end when the first has taken the value.
    assert_eq!(run(main), ((Some(7), None), None));
}

#[test]
fn gather_that_reads_more_than_there_is_finds_the_end_although_it_holds_values() {
    let (values, out) = with_emitter_outside();
    let main = co! {
        let emits = (out.emit(1), out.emit(2));
        yield spawn(co! { yield emits; });
        drop(out);
        let all = (0..4).map(|_| values.next()).collect::<Vec<_>>();
        (yield all, yield values.next())
    };
    assert_eq!(run(main), (vec![Some(1), Some(2), None, None], None));
}

#[test]
fn values_that_are_given_back_are_read_before_younger_ones_in_the_order_of_their_offers() {
    let (values, out) = with_emitter_outside();
    let main = co! {
        let first = Event::new();
        let second = Event::new();
        let readers = [hold_one(&values, &first), hold_one(&values, &second)];
        yield spawn(Vec::from(readers));
        yield;
        let emits: Vec<_> = (0..4).map(|n| out.emit(n)).collect();
        yield spawn(co! { yield emits; });
        yield;
        second.set();
        for _ in 0..5 { yield; }
        first.set();
        for _ in 0..5 { yield; }
        drop(out);
        let mut all = Vec::new();
        while let Some(n) = yield values.next() {
            all.push(n);
        }
        all
    };
    assert_eq!(run(main), [0, 1, 2, 3]);
}

#[test]
fn emit_that_has_not_begun_keeps_the_stream_from_its_end() {
    let (values, out) = with_emitter_outside();
    let main = co! {
        let late = out.emit(7);
        drop(out);
        yield spawn(co! { yield; yield; yield late; });
        (yield values.next(), yield values.next())
    };
    assert_eq!(run(main), (Some(7), None));
    let (values, out) = with_emitter_outside();
    let unused = out.emit(7);
    drop(out);
    let reads = co! {
        yield spawn(co! { yield; drop(unused); });
        yield values.next()
    };
    assert_eq!(run(reads), None);
}

/// Returns the result of a reader outside of the domain of a stream. The coroutine of the stream fails after `turns` turns. A clone of its
/// emitter is kept, and offers `offered` values, which the reader gets first.
fn read_after_failure(turns: usize, offered: u32) -> (Vec<u32>, String) {
    let kept = Rc::new(Cell::new(None));
    let keeps = kept.clone();
    let parked: Rc<RefCell<Option<Emitter<u32>>>> = Rc::default();
    let (parks, outlives) = (parked.clone(), parked.clone());
    let main = co! {
        let inside = yield spawn(co! {
            let failing = co! {
                let values = stream(move |out| {
                    *parks.borrow_mut() = Some(out.clone());
                    co! {
                        yield out.emit(100);
                        for _ in 0..turns { yield; }
                        Err("inside")?;
                    }
                });
                yield values.next();
                keeps.set(Some(values));
                yield forever();
            };
            assert_eq!((yield isolate(failing)).unwrap_err().to_string(), "inside");
        });
        for _ in 0..6 { yield; }
        let values: Stream<u32> = kept.take().unwrap();
        let out = parked.borrow().clone().unwrap();
        let emits: Vec<_> = (0..offered).map(|n| out.emit(n)).collect();
        yield spawn(co! { yield emits; });
        let mut all = Vec::new();
        let error = loop {
            match yield catch(values.next()) {
                Ok(value) => all.push(value.unwrap()),
                Err(error) => break error.to_string(),
            }
        };
        yield inside;
        (all, error)
    };
    let result = run(main);
    drop(outlives);
    result
}

#[test]
fn error_of_a_stream_is_raised_outside_although_a_clone_of_its_emitter_is_kept() {
    for turns in [0, 100] {
        for offered in [0, 3] {
            let (all, error) = read_after_failure(turns, offered);
            assert_eq!(all, (0..offered).collect::<Vec<_>>(), "after {turns} turns");
            assert_eq!(error, "inside", "after {turns} turns");
        }
    }
}
