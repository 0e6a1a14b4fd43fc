//! Races of waits that are not coroutines: one is over, the others are given up, and no message or permit is lost.
#![feature(coroutines)]

mod common;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use common::{LONG, forever, ms};
use tinyield::channel::{bounded, unbounded};
use tinyield::{
    Barrier, Coro, Deadlock, Event, Lock, Loop, LoopError, Semaphore, Step, TimedOut, abortable, catch, co, coro, dump,
    finally, from_future, interval, isolate, race, settled, shield, sleep, spawn, timeout,
};

#[derive(Debug, PartialEq, Eq)]
enum Next {
    Job(u32),
    Stop,
}

fn run<T: 'static>(coro: Coro<T>) -> T {
    Loop::new().run(coro).unwrap()
}

#[test]
fn select_loop_takes_all_jobs_and_then_stops() {
    let (sender, jobs) = unbounded();
    let stop = Event::new();
    let worker = {
        let stop = stop.clone();
        co! {
            let mut done = Vec::new();
            loop {
                match yield race((jobs.recv().map(|job| Next::Job(job.unwrap())), stop.wait().map(|()| Next::Stop))) {
                    Next::Job(job) => done.push(job),
                    Next::Stop => break done,
                }
            }
        }
    };
    let producer = co! {
        for job in 0..5 {
            sender.try_send(job)?;
            yield;
            yield;
        }
        stop.set();
        // A receiver has to be there until the end.
        yield;
    };
    assert_eq!(run(co! { yield (worker, producer) }).0, [0, 1, 2, 3, 4]);
}

/// Each wait of the library wins against an event that is never set.
#[test]
fn each_leaf_can_win() {
    let never = Event::new();
    let lost = {
        let never = never.clone();
        move || never.wait().map(|()| "lost")
    };
    let set = Event::new();
    set.set();
    let (sender, receiver) = bounded(1);
    let main = co! {
        assert_eq!(yield race((lost(), set.wait().map(|()| "event"))), "event");
        assert_eq!(yield race((lost(), set.wait_timeout(LONG).map(|_| "limited"))), "limited");
        assert_eq!(yield race((lost(), never.wait_timeout(ms(1)).map(|_| "limit"))), "limit");
        assert_eq!(yield race((lost(), sleep(ms(1)).map(|()| "sleep"))), "sleep");
        assert_eq!(yield race((lost(), sender.send(7).map(|_| "send"))), "send");
        assert_eq!(yield race((lost(), receiver.recv().map(|_| "recv"))), "recv");
        assert_eq!(yield race((lost(), Semaphore::new(1).acquire().map(|_| "permit"))), "permit");
        assert_eq!(yield race((lost(), Lock::new(1).acquire().map(|_| "lock"))), "lock");
        assert_eq!(yield race((lost(), Barrier::new(1).wait().map(|_| "barrier"))), "barrier");
        let handle = yield spawn(co! { yield; "handle" });
        assert_eq!(yield race((lost(), handle.map(|name| name))), "handle");
        assert_eq!(yield race((lost(), catch(sleep(ms(1))).map(|_| "catch"))), "catch");
        never.statistics().waiting
    };
    assert_eq!(run(main), 0);
}

/// A task with a race of leaves is resumed whenever any part of its wait is settled. So it has to check whether the other parts are ready.
#[test]
fn each_wait_can_be_over_in_a_gather_with_a_race_of_leaves() {
    let (never, set) = (Event::new(), Event::new());
    set.set();
    let decided_later = move || race((never.wait().map(|()| "lost"), sleep(ms(1)).map(|()| "won")));
    let soon = || co! { yield; 7 };
    let (sender, receiver) = bounded(2);
    macro_rules! assert_over {
        ($($wait:expr),+ $(,)?) => {
            $(
                let (race, wait) = (decided_later(), $wait);
                let winner = common::simulated().run(co! { (yield (race, wait)).0 });
                assert_eq!(winner.unwrap(), "won", "beside {}", stringify!($wait));
            )+
        };
    }
    assert_over!(
        soon(),
        soon().shared(),
        isolate(soon()),
        isolate(soon()).catch_unwind(),
        timeout(soon(), LONG),
        timeout(forever(), ms(1)),
        shield(soon()),
        catch(soon()),
        abortable(soon()).0,
        finally(soon(), soon),
        race([soon(), soon()]),
        race([isolate(soon()), isolate(soon())]),
        race((sleep(ms(2)), sleep(ms(3)))),
        (soon(), sleep(ms(2))),
        [soon(), soon()],
        vec![soon(), soon()],
        Some(soon()),
        sleep(ms(2)),
        settled(),
        interval(ms(2)).tick(),
        dump(),
        from_future(async {}),
        set.wait(),
        set.wait_timeout(LONG),
        Semaphore::new(1).acquire(),
        Lock::new(1).acquire(),
        Barrier::new(1).wait(),
        sender.send(7),
        receiver.recv(),
        co! { yield yield spawn(soon()) },
    );
}

#[test]
fn everything_that_is_yielded_can_be_mapped() {
    let main = co! {
        let mut sum = yield co! { 1 }.map(|n| n + 10);
        let shared = co! { 2 }.shared();
        sum += yield shared.map(|n| n + 20);
        let borrowed = &shared;
        sum += yield borrowed.map(|n| n + 30);
        sum += yield timeout(co! { 3 }, LONG).map(|n| n.unwrap());
        sum += yield isolate(co! { 4 }).map(|n| n.unwrap());
        sum += yield tinyield::shield(co! { 5 }).map(|n| n);
        sum += yield catch(co! { 6 }).map(|n| n.unwrap());
        sum += yield race([co! { 7 }]).map(|n| n);
        let handle = yield spawn(co! { 8 }).map(|handle| handle);
        sum += yield handle.map(|n| n).map(|n| n);
        let mut completed = yield tinyield::as_completed([co! { 9 }]).map(|completed| completed);
        sum += yield completed.next().unwrap().map(|n| n);
        sum
    };
    assert_eq!(run(main), 11 + 22 + 32 + 3 + 4 + 5 + 6 + 7 + 8 + 9);
}

#[test]
fn tuple_can_be_mapped_by_the_trait() {
    use tinyield::Wait;
    assert_eq!(run(co! { yield (co! { 1 }, sleep(ms(0))).map(|(one, ())| one) }), 1);
}

#[test]
fn mapped_wait_raises_and_is_cancelled_as_the_wait() {
    let late = co! { yield timeout(sleep(common::FOREVER).map(|()| 1), ms(1)) };
    assert_eq!(run(late), Err(TimedOut));
    let error = Loop::new().run(co! { yield co! { Err::<u32, _>("no")?; }.map(|()| 1) }.named("main")).unwrap_err();
    assert_eq!(error.error().trace()[0].name(), "main");
    let caught = co! { yield timeout(co! { yield catch(forever()).map(|result| result.is_err()) }, ms(1)) };
    assert_eq!(run(caught), Ok(true));
}

#[test]
fn first_in_the_list_wins_and_those_after_it_do_not_begin() {
    let (a, b) = (Event::new(), Event::new());
    a.set();
    b.set();
    let semaphore = Semaphore::new(1);
    let permits = semaphore.clone();
    let main = co! {
        let first = yield race((
            a.wait().map(|()| 1),
            b.wait().map(|()| 2),
            permits.acquire().map(|_| 3),
        ));
        (first, yield race((b.wait().map(|()| 2), a.wait().map(|()| 1))))
    };
    assert_eq!(run(main), (1, 2));
    assert_eq!(semaphore.available(), 1);
}

#[test]
fn message_of_a_loser_goes_back_and_the_order_stays() {
    let (sender, receiver) = unbounded();
    let stop = Event::new();
    let other = receiver.clone();
    let main = co! {
        let stopped = stop.clone();
        let racing = yield spawn(co! {
            yield race((stopped.wait().map(|()| None), receiver.recv().map(|message| message.ok())))
        });
        yield;
        // Both are over when the race has its turn. The first of the list wins.
        sender.try_send(1)?;
        sender.try_send(2)?;
        stop.set();
        let lost = yield racing;
        (lost, (yield other.recv())?, (yield other.recv())?)
    };
    assert_eq!(run(main), (None, 1, 2));
}

#[test]
fn permit_of_a_loser_goes_to_the_next_in_the_queue() {
    let semaphore = Semaphore::new(1);
    let stop = Event::new();
    let order = Rc::new(RefCell::new(Vec::new()));
    let main = co! {
        let held = yield semaphore.acquire();
        let racing = {
            let (semaphore, stop) = (semaphore.clone(), stop.clone());
            yield spawn(co! { yield race((stop.wait().map(|()| None), semaphore.acquire().map(Some))) })
        };
        for n in 1..=2 {
            let (semaphore, order) = (semaphore.clone(), order.clone());
            yield spawn(co! { let _permit = yield semaphore.acquire(); order.borrow_mut().push(n); });
        }
        yield;
        drop(held);
        stop.set();
        assert!((yield racing).is_none());
        yield sleep(ms(1));
        order.take()
    };
    assert_eq!(run(main), [1, 2]);
}

#[test]
fn lock_of_a_loser_keeps_its_data() {
    let lock = Lock::new(5);
    let stop = Event::new();
    stop.set();
    let main = co! {
        yield race((stop.wait(), lock.acquire().map(drop)));
        *(yield lock.acquire())
    };
    assert_eq!(run(main), 5);
}

#[test]
fn message_that_loses_is_not_sent() {
    let (sender, receiver) = bounded(1);
    let stop = Event::new();
    let main = co! {
        sender.try_send(1)?;
        let sending = yield spawn({
            let stop = stop.clone();
            co! { yield race((sender.send(2).map(|sent| sent.is_ok()), stop.wait().map(|()| false))) }
        });
        yield;
        stop.set();
        assert!(!yield sending);
        ((yield receiver.recv())?, receiver.try_recv().is_err())
    };
    assert_eq!(run(main), (1, true));
}

/// A coroutine and a leaf race as coroutines do: the coroutine is cancelled, with all that it started.
#[test]
fn leaf_and_coroutine_race() {
    let ended = Rc::new(Cell::new(0));
    let count = ended.clone();
    let work = move |turns| {
        let ended = count.clone();
        co! {
            let _on_drop = common::OnDrop(|| ended.set(ended.get() + 1));
            for _ in 0..turns {
                yield;
            }
            "work"
        }
    };
    let stop = Event::new();
    stop.set();
    let main = co! {
        let stopped = yield race((work(100), stop.wait().map(|()| "stop")));
        stop.clear();
        (stopped, yield race((work(1), stop.wait().map(|()| "stop"))), stop.statistics().waiting)
    };
    assert_eq!(run(main), ("stop", "work", 0));
    assert_eq!(ended.get(), 2);
}

/// A gather waits for the race and for the rest. The losers are given up when the race is decided, and not with the rest.
#[test]
fn losers_in_a_gather_are_given_up_at_once() {
    let (sender, receiver) = unbounded::<u32>();
    let (stop, rest) = (Event::new(), Event::new());
    let main = co! {
        let gather = yield spawn({
            let (receiver, stop, rest) = (receiver.clone(), stop.clone(), rest.clone());
            co! { yield (race((receiver.recv().map(|_| 0), stop.wait().map(|()| 1))), rest.wait()) }
        });
        yield;
        stop.set();
        yield;
        yield;
        sender.try_send(7)?;
        let message = yield timeout(receiver.recv(), LONG);
        rest.set();
        (message?.unwrap(), yield gather)
    };
    assert_eq!(run(main), (7, (1, ())));
}

#[test]
fn losers_of_a_list_in_a_gather_are_given_up_at_once() {
    let (sender, receiver) = unbounded::<u32>();
    let (closes, closed) = unbounded::<u32>();
    let rest = Event::new();
    let main = co! {
        let gather = yield spawn({
            let (receiver, rest) = (receiver.clone(), rest.clone());
            co! { yield (race([receiver.recv(), closed.recv()]), rest.wait()) }
        });
        yield;
        drop(closes);
        yield;
        yield;
        sender.try_send(7)?;
        let message = yield timeout(receiver.recv(), LONG);
        rest.set();
        (message?.unwrap(), (yield gather).0.is_err())
    };
    assert_eq!(run(main), (7, true));
}

#[test]
fn races_of_leaves_can_be_nested_and_gathered() {
    let (a, b) = (Event::new(), Event::new());
    let main = co! {
        let inner = race([a.wait(), b.wait()]);
        let both = yield spawn(co! { yield (race((inner.map(|()| 1), sleep(common::FOREVER).map(|()| 2))), sleep(ms(1))) });
        yield;
        b.set();
        yield both
    };
    assert_eq!(run(main).0, 1);
}

/// As for any wait, a value that has arrived before the coroutine is cancelled is not lost.
#[test]
fn value_that_has_arrived_is_kept_when_an_abort_cancels_whether_it_is_mapped_or_not() {
    for is_mapped in [false, true] {
        let go = Event::new();
        let goes = go.clone();
        let main = co! {
            let handle = yield spawn(co! { yield goes.wait(); 7 });
            let waits = co! { if is_mapped { yield handle.map(|value| value) } else { yield handle } };
            let (work, abort) = abortable(waits);
            let aborted = yield spawn(work);
            yield;
            yield;
            go.set();
            // The value arrives, and then the abort comes, before the coroutine that waits has a turn.
            yield;
            abort.abort();
            yield aborted
        };
        assert_eq!(run(main), Ok(7), "mapped: {is_mapped}");
    }
}

/// A coroutine that loses an outer race keeps the value of a handle, which would be lost otherwise. A message goes back.
#[test]
fn winner_of_a_race_of_leaves_decides_whether_its_value_is_kept_when_an_outer_race_is_lost() {
    for handle_wins in [true, false] {
        let (go, never, got) = (Event::new(), Event::new(), Rc::new(Cell::new(None)));
        let (sender, jobs) = unbounded();
        let main = {
            let (go, got, jobs) = (go.clone(), got.clone(), jobs.clone());
            co! {
                let (ends, sends, wins) = (if handle_wins { go.clone() } else { never.clone() }, go.clone(), go.clone());
                let handle = yield spawn(co! { yield ends.wait(); 7 });
                yield spawn(co! { yield sends.wait(); if !handle_wins { sender.try_send(8)?; } });
                let loses = co! { got.set(Some(yield race((handle, jobs.recv().map(|job| job.unwrap()))))); };
                let wins = co! { yield wins.wait(); };
                let races = yield spawn(co! { yield race((loses, wins)); });
                for _ in 0..5 { yield; }
                // In the next round, the value of the inner race arrives first, and then the outer race is lost.
                go.set();
                yield races;
                never.set();
            }
        };
        run(main);
        assert_eq!(got.get(), handle_wins.then_some(7));
        assert_eq!(jobs.try_recv().ok(), (!handle_wins).then_some(8));
    }
}

/// The event carries no value, so nothing is lost if the whole wait is given up.
#[test]
fn message_goes_back_if_a_coroutine_that_waits_for_it_and_for_an_event_loses_a_race() {
    let (go, got) = (Event::new(), Rc::new(Cell::new(None)));
    let (sender, jobs) = unbounded();
    let main = {
        let (got, jobs) = (got.clone(), jobs.clone());
        co! {
            let (first, second) = (go.clone(), go.clone());
            let wins = co! { yield first.wait(); };
            let loses = co! { yield; yield; got.set(Some((yield (jobs.recv(), second.wait())).0)); };
            let races = yield spawn(co! { yield race((loses, wins)); });
            for _ in 0..6 { yield; }
            // Both parts of the wait are over now, and the other coroutine of the race ends before it has a turn.
            sender.try_send(5)?;
            go.set();
            yield races;
        }
    };
    run(main);
    assert_eq!((got.get(), jobs.try_recv()), (None, Ok(5)));
}

#[test]
fn value_that_has_arrived_is_kept_when_a_timeout_cancels() {
    let (sender, receiver) = unbounded();
    let work = || {
        let receiver = receiver.clone();
        co! {
            let never = Event::new();
            yield race((never.wait().map(|()| 0), receiver.recv().map(|message| message.unwrap())))
        }
    };
    for attempt in 0.. {
        let (limit, receiver) = (ms(5 << attempt), receiver.clone());
        let (work, sender) = (work(), sender.clone());
        let main = co! {
            let racing = yield spawn(co! { yield timeout(work, limit) });
            yield;
            yield;
            // The message comes in the turn that makes the timeout due.
            std::thread::sleep(2 * limit);
            sender.try_send(3)?;
            yield racing
        };
        match run(main) {
            Ok(message) => return assert_eq!(message, 3),
            // The thread got no processor before this turn. Then this is repeated with more time.
            Err(TimedOut) => assert_eq!(receiver.try_recv().unwrap(), 3),
        }
    }
}

fn stuck(error: &LoopError) -> Vec<(&str, &str)> {
    let deadlock: &Deadlock = error.error().downcast_ref().unwrap_or_else(|| panic!("no deadlock: {error:?}"));
    deadlock.stuck().iter().map(|stuck| (stuck.frame().name(), stuck.waits_on())).collect()
}

#[test]
fn deadlock_names_the_alternatives_of_a_race() {
    let (_sender, receiver) = unbounded::<u32>();
    let never = Event::new();
    let main = co! { yield race((never.wait(), receiver.recv().map(drop))) }.named("main");
    let error = Loop::new().run(main).unwrap_err();
    assert_eq!(stuck(&error), [("main", "an event or a channel")]);
}

/// In a stepped loop only a cycle is an error. A race against an event that the host may set is not a cycle.
#[test]
fn race_with_a_leaf_is_no_cycle() {
    let way_out = Event::new();
    let mailbox = Rc::new(Cell::new(None));
    let main = {
        let (way_out, mailbox) = (way_out.clone(), mailbox.clone());
        co! {
            let waiting = {
                let mailbox = mailbox.clone();
                co! {
                    yield;
                    let me: tinyield::JoinHandle<()> = mailbox.take().unwrap();
                    yield race((me, way_out.wait()))
                }
            };
            let handle = yield spawn(waiting);
            mailbox.set(Some(handle));
        }
    };
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(main);
    loop {
        match runtime.step() {
            Step::Ran => {}
            Step::Idle(_) => break,
            Step::Done(result) => panic!("{result:?}"),
        }
    }
    way_out.set();
    while !matches!(runtime.step(), Step::Done(Ok(()))) {}
}

/// A race of handles that are all in a cycle can never end.
#[test]
fn race_of_handles_that_wait_for_it_is_a_cycle() {
    let mailbox = Rc::new(RefCell::new(Vec::new()));
    let main = {
        let mailbox = mailbox.clone();
        co! {
            for name in ["a", "b"] {
                let others = mailbox.clone();
                let waits = co! {
                    yield;
                    yield;
                    let handle: tinyield::JoinHandle<()> = others.borrow_mut().pop().unwrap();
                    yield race([handle])
                };
                let handle = yield spawn(waits.named(name));
                mailbox.borrow_mut().push(handle);
            }
        }
    };
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(main);
    let error = loop {
        match runtime.step() {
            Step::Ran => {}
            Step::Idle(_) => panic!("no cycle was found"),
            Step::Done(result) => break result.unwrap_err(),
        }
    };
    assert!(error.to_string().contains("cycle"), "{error}");
}

#[coro]
fn fails() -> Coro<u32> {
    yield;
    Err("broken")?;
    0
}

#[test]
fn handle_of_a_failed_domain_raises_in_a_race() {
    let mailbox = Rc::new(Cell::new(None));
    let never = Event::new();
    let main = co! {
        let inside = {
            let mailbox = mailbox.clone();
            co! { let handle = yield spawn(fails()); mailbox.set(Some(handle)); yield forever(); }
        };
        let failing = yield spawn(co! { yield isolate(inside) });
        yield;
        yield;
        let handle: tinyield::JoinHandle<u32> = mailbox.take().unwrap();
        let result = yield isolate(co! { yield race((never.wait().map(|()| 0), handle)) });
        let _ = yield failing;
        result.unwrap_err().to_string()
    };
    assert_eq!(run(main), "broken");
}

#[test]
#[should_panic(expected = "a race of 0 waits has no winner; it takes at least 1")]
fn race_of_nothing_panics() {
    let _ = race(Vec::<tinyield::sync::EventWait>::new());
}

/// Each of many messages is received once, whichever side of the race is over first.
#[test]
fn races_of_a_receiver_against_an_event_lose_no_message() {
    const RACES: u64 = if cfg!(debug_assertions) { 20_000 } else { 1_000_000 };
    let (sender, receiver) = unbounded();
    let tick = Event::new();
    let received = Rc::new(Cell::new((0, 0)));
    let worker = |receiver: tinyield::channel::Receiver<u64>, tick: Event, received: Rc<Cell<(u64, u64)>>| {
        co! {
            let mut races = 0;
            loop {
                races += 1;
                let next = yield race((tick.wait().map(|()| Ok(None)), receiver.recv().map(|message| message.map(Some))));
                let (count, sum) = received.get();
                match next {
                    Ok(Some(message)) => received.set((count + 1, sum + message)),
                    Ok(None) => tick.clear(),
                    Err(_) => break races,
                }
            }
        }
    };
    let producer = {
        let tick = tick.clone();
        co! {
            let mut random = 421_u64;
            for message in 0..RACES {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                if random & 1 == 0 {
                    tick.set();
                }
                sender.try_send(message)?;
                if random & 2 == 0 {
                    tick.set();
                }
                if random & 12 == 0 {
                    yield;
                }
            }
            drop(sender);
        }
    };
    let workers: Vec<_> = (0..3).map(|_| worker(receiver.clone(), tick.clone(), received.clone())).collect();
    let (races, ()) = run(co! { yield (workers, producer) });
    assert_eq!(received.get(), (RACES, RACES * (RACES - 1) / 2));
    assert!(races.iter().sum::<u64>() >= RACES);
}
