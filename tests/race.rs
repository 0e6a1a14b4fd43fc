//! Races: the first coroutine to finish wins, and the losers have ended when the race returns.
#![feature(coroutines)]

mod common;

use std::cell::Cell;
use std::rc::Rc;

use common::{Alive, Counter, FOREVER, Gate, LONG, Log, forever, messages, ms, names, panic_of, simulated};
use tinyield::channel::unbounded;
use tinyield::{
    Coro, Event, Loop, Reason, Shared, Wait, catch, co, coro, isolate, race, run_in_thread, shield, sleep, spawn,
    timeout,
};

#[coro]
fn after<T: 'static>(turns: u32, value: T) -> Coro<T> {
    for _ in 0..turns {
        yield;
    }
    value
}

#[coro]
fn waits(log: Log, name: &'static str) -> Coro<&'static str> {
    let _ends = log.on_drop(name);
    yield forever();
    name
}

#[test]
fn the_first_to_finish_wins_at_any_position() {
    for winner in 0..4 {
        let racers = (0..4).map(move |n| after(if n == winner { 3 } else { 10 }, n));
        assert_eq!(Loop::new().run(race(racers)).unwrap(), winner);
    }
}

#[test]
fn arrays_vecs_iterators_and_tuples_can_race() {
    let run = |race| Loop::new().run(race).unwrap();
    assert_eq!(run(race([after(5, 1), after(1, 2)])), 2);
    assert_eq!(run(race(vec![after(5, 1), after(1, 2)])), 2);
    assert_eq!(run(race((1..=2).map(|n| after(n, n)))), 1);
    assert_eq!(run(race(Some(after(1, 7)))), 7);
    assert_eq!(run(race((after(5, 1), after(1, 2)))), 2);
    assert_eq!(run(race((after(1, 1),))), 1);
    let a = |n| after(n, n);
    assert_eq!(run(race((a(12), a(11), a(10), a(9), a(8), a(7), a(6), a(5), a(4), a(3), a(2), a(1)))), 1);
}

#[test]
fn the_first_to_finish_in_a_round_wins_and_the_others_are_cancelled() {
    let ended = Counter::new();
    let racer = |n| {
        let ended = ended.clone();
        co! { yield; yield; ended.up(); n }
    };
    assert_eq!(Loop::new().run(race([racer(1), racer(2), racer(3)])).unwrap(), 1);
    assert_eq!(ended.get(), 1);
}

#[test]
fn a_winner_in_its_first_turn_keeps_the_next_ones_from_starting() {
    let (begun, bodies) = (Counter::new(), Alive::new());
    let racer = |n: u32| {
        let (begun, held) = (begun.clone(), bodies.token());
        co! { begun.up(); drop(held); n }
    };
    assert_eq!(Loop::new().run(race([racer(1), racer(2), racer(3)])).unwrap(), 1);
    assert_eq!((begun.get(), bodies.get()), (1, 0));
}

#[test]
fn the_losers_have_ended_when_the_race_returns() {
    let log = Log::new();
    let (logs, cleans) = (log.clone(), log.clone());
    let background = waits(log.clone(), "loser's background");
    let polite = co! {
        let error = (yield catch(forever())).unwrap_err();
        assert_eq!(error.as_cancelled().unwrap().reason(), Reason::Raced);
        yield shield(sleep(ms(5)));
        cleans.push("polite loser");
        Err(error)?;
        "never"
    };
    let loser = co! { yield spawn(background); yield waits(logs.clone(), "loser's child") };
    let ends = log.clone();
    let main = co! {
        let won = yield race([polite, loser, after(4, "winner")]);
        ends.push(won);
    };
    simulated().run(main).unwrap();
    assert_eq!(log.take(), ["loser's child", "loser's background", "polite loser", "winner"]);
}

#[test]
fn a_losing_thread_is_cancelled_and_joined() {
    let (begun, begin) = std::sync::mpsc::channel();
    let (ended, end) = std::sync::mpsc::channel();
    let main = co! {
        let thread = run_in_thread(move || {
            begun.send(()).unwrap();
            while !tinyield::thread::is_cancelled() {
                std::thread::yield_now();
            }
            ended.send(()).unwrap();
            "thread"
        });
        let won = yield race([thread, co! { yield; begin.recv()?; "quick" }]);
        assert_eq!(end.try_iter().count(), 1);
        won
    };
    assert_eq!(Loop::new().run(main).unwrap(), "quick");
}

#[test]
fn background_coroutines_of_the_winner_continue_outside() {
    let log = Log::new();
    let (logs, ends) = (log.clone(), log.clone());
    let main = co! {
        let goes_on = Event::new();
        let winner = {
            let goes_on = goes_on.clone();
            co! {
                yield spawn(co! { yield goes_on.wait(); logs.push("background"); });
                1
            }
        };
        assert_eq!(yield race([winner, after(50, 2)]), 1);
        ends.push("won");
        goes_on.set();
    };
    Loop::new().run(main).unwrap();
    assert_eq!(log.take(), ["won", "background"]);
}

#[test]
fn a_domain_in_the_background_of_the_winner_continues_and_is_cancelled_with_the_run() {
    let log = Log::new();
    let (ends, waits_inside) = (log.clone(), waits(log.clone(), "in the domain"));
    let main = co! {
        let background = co! {
            let well = isolate(co! { yield sleep(ms(2)); ends.push("well"); });
            let (well, waited) = yield (well, isolate(waits_inside));
            well?;
            waited?;
        };
        assert_eq!(yield race([co! { yield spawn(background); yield; 1 }, after(50, 2)]), 1);
        yield sleep(ms(20));
        Err("enough")?;
    };
    assert_eq!(simulated().run(main).unwrap_err().to_string(), "enough");
    assert_eq!(log.take(), ["well", "in the domain"]);
}

#[test]
fn background_coroutines_of_the_winner_are_cancelled_with_the_scope_around_the_race() {
    let log = Log::new();
    let (background, begun) = (waits(log.clone(), "background"), Event::new());
    let main = co! {
        let inside = {
            let begun = begun.clone();
            co! {
                yield race([co! { yield spawn(background); 1 }]);
                yield;
                begun.set();
                yield forever();
            }
        };
        yield race([inside, co! { yield begun.wait(); }]);
        log.push("cancelled");
        log
    };
    assert_eq!(Loop::new().run(main).unwrap().take(), ["background", "cancelled"]);
}

#[test]
fn an_error_of_a_racer_stops_the_domain_around_the_race() {
    let log = Log::new();
    let main = race([after(20, ()), co! { yield; Err("stumbled")?; }.named("racer")]);
    let error = Loop::new().run((co! { yield main; }.named("main"), waits(log.clone(), "outside"))).unwrap_err();
    assert_eq!(error.to_string(), "stumbled");
    assert_eq!(names(error.error()), ["main", "racer"]);
    assert!(error.others().is_empty());
    assert_eq!(log.take(), ["outside"]);
    let main = co! { yield isolate(co! { yield race([after(20, ()), co! { yield; Err("stumbled")?; }]); }) };
    assert_eq!(Loop::new().run(main).unwrap().unwrap_err().to_string(), "stumbled");
}

#[test]
fn the_value_of_a_loser_that_swallows_its_cancellation_is_dropped() {
    let values = Alive::new();
    let (token, won) = (values.token(), values.token());
    let loser = co! { let _ = yield catch(forever()); token };
    let main = co! {
        let won = yield race([loser, co! { yield; yield; won }]);
        drop(won);
        values.get()
    };
    assert_eq!(Loop::new().run(main).unwrap(), 0);
}

#[test]
fn a_loser_gets_the_value_of_its_helper_that_had_ended() {
    let (values, finished) = (Alive::new(), Counter::new());
    let (token, counts) = (values.token(), finished.clone());
    let main = co! {
        let helper = co! { counts.up(); token };
        let gets = finished.clone();
        yield race([co! { yield; yield; }, co! { drop(yield helper); gets.up(); yield; unreachable!("it is cancelled"); }]);
        (values.get(), finished.get())
    };
    assert_eq!(Loop::new().run(main).unwrap(), (0, 2));
}

#[test]
fn a_message_for_a_loser_goes_to_the_next_receiver() {
    let (sender, receiver) = unbounded();
    let main = co! {
        let (loses, wins) = (receiver.recv(), Event::new());
        let won = wins.wait();
        let sends = co! { yield; yield; wins.set(); sender.try_send("message")?; };
        let racers = [co! { yield won; "winner" }, co! { (yield loses).unwrap_or("closed") }];
        assert_eq!((yield (race(racers), sends)).0, "winner");
        receiver.try_recv()?
    };
    assert_eq!(Loop::new().run(main).unwrap(), "message");
}

#[test]
fn messages_for_a_gather_of_a_loser_go_back_into_the_channel() {
    let (sender, receiver) = unbounded();
    let main = co! {
        for number in [1, 2, 3] {
            sender.try_send(number).unwrap();
        }
        let parts = ((receiver.recv(), receiver.recv()), [receiver.recv()]);
        yield race([co! { let _ = yield parts; unreachable!("it has lost"); }, co! {}]);
        receiver.try_iter().collect::<Vec<_>>()
    };
    assert_eq!(Loop::new().run(main).unwrap(), [1, 2, 3]);
}

#[test]
fn a_loser_gets_the_message_that_its_helper_has_received() {
    let messages = Alive::new();
    let message = messages.token();
    let (sender, receiver) = unbounded();
    let main = co! {
        sender.try_send(message).unwrap();
        let receives = receiver.recv();
        let helper = co! { yield receives };
        let gets = Rc::new(Cell::new(false));
        let sees = gets.clone();
        yield race([co! { yield; yield; yield; }, co! { drop(yield helper); sees.set(true); yield; unreachable!("it is cancelled"); }]);
        (messages.get(), receiver.is_empty(), gets.get())
    };
    assert_eq!(Loop::new().run(main).unwrap(), (0, true, true));
}

#[test]
fn another_error_raised_by_a_cancelled_loser_belongs_to_the_domain_around_the_race() {
    let loser = || co! { let _ = yield catch(forever()); Err("sore loser")?; 1 };
    let error = Loop::new().run(co! { yield race([loser(), after(2, 2)]) }).unwrap_err();
    assert_eq!((error.to_string().as_str(), error.others().len()), ("sore loser", 0));
    let error = Loop::new().run(co! { yield race([loser(), loser(), after(2, 2)]) }).unwrap_err();
    assert_eq!(messages(error.others()), ["sore loser"]);
}

#[test]
fn losers_of_nested_races_are_cancelled() {
    let log = Log::new();
    let (one, two) = (waits(log.clone(), "inner loser"), waits(log.clone(), "outer loser"));
    let main = co! {
        let inner = co! { yield race([one, after(3, "inner")]) };
        yield race([two, inner])
    };
    assert_eq!(Loop::new().run(main).unwrap(), "inner");
    assert_eq!(log.take(), ["inner loser", "outer loser"]);
    let (one, two) = (waits(log.clone(), "1"), waits(log.clone(), "2"));
    let main = race([co! { yield race([one, two]) }, after(5, "outer")]);
    assert_eq!(Loop::new().run(main).unwrap(), "outer");
    assert_eq!(log.take(), ["2", "1"]);
}

#[test]
fn racers_are_cancelled_last_started_first() {
    let log = Log::new();
    let racers = [waits(log.clone(), "1"), waits(log.clone(), "2"), waits(log.clone(), "3")];
    Loop::new().run((co! { yield race(racers); }, co! { yield; yield; yield; Err("x")?; })).unwrap_err();
    assert_eq!(log.take(), ["3", "2", "1"]);
}

#[test]
fn a_losing_future_is_dropped() {
    let gate = Gate::new();
    let waits = gate.clone();
    let main = race([co! { waits.await; 1 }, after(3, 2)]);
    assert_eq!(Loop::new().run(main).unwrap(), 2);
    assert_eq!(gate.polls(), 1);
    gate.open();
}

#[test]
fn a_race_does_not_wait_for_the_sleep_of_a_loser() {
    let start = std::time::Instant::now();
    let main = co! { yield race([co! { yield sleep(LONG); 1 }, co! { yield sleep(ms(1)); 2 }]) };
    assert_eq!(Loop::new().run(main).unwrap(), 2);
    assert!(start.elapsed() >= ms(1) && start.elapsed() < LONG / 2);
}

#[test]
fn a_race_without_coroutines_panics() {
    let message = panic_of(|| race(Vec::<Coro<()>>::new()));
    assert!(message.contains("at least 1"), "{message}");
    let message = panic_of(|| race([] as [Coro<i32>; 0]));
    assert!(message.contains("at least 1"), "{message}");
}

#[test]
fn ten_thousand_coroutines_can_race() {
    let alive = Alive::new();
    let racers: Vec<_> = (0..10_000)
        .map(|n| {
            let held = alive.token();
            co! { let _held = held; if n == 7_777 { yield; yield; } else { yield forever(); } n }
        })
        .collect();
    assert_eq!(Loop::new().run(race(racers)).unwrap(), 7_777);
    assert_eq!(alive.get(), 0);
}

#[test]
fn a_shared_with_other_waiters_outlives_the_race_that_started_it() {
    let [gate, begun, joined] = [(); 3].map(|()| Event::new());
    let opens = gate.clone();
    let inner = co! { yield gate.wait(); 10 };
    let base = co! { (yield inner) + 1 }.shared();
    let (loses, stays) = (base.clone(), base);
    let (begins, joins) = (begun.clone(), joined.clone());
    let main = co! {
        let stays = co! {
            yield begun.wait();
            // It waits for `stays` when the other part of this gather runs.
            (yield (stays, co! { joins.set(); })).0
        };
        let stays = yield spawn(stays);
        yield race([co! { begins.set(); yield loses; unreachable!() }, co! { yield joined.wait(); }]);
        opens.set();
        yield stays
    };
    assert_eq!(Loop::new().run(main).unwrap(), 11);
}

/// Waits for `work` in a race that `work` loses when `gone` is set. Then it sets `over`.
#[coro]
fn loses<T: 'static>(work: Coro<T>, gone: Event, over: Event) -> Coro<()> {
    let lost = yield race([co! { yield work; false }, co! { yield gone.wait(); true }]);
    assert!(lost);
    over.set();
}

/// Waits for `shared` ten turns later, and then sets `gone`.
#[coro]
fn comes_later<T: Clone + 'static>(shared: Shared<T>, gone: Event) -> Coro<T> {
    for _ in 0..10 {
        yield;
    }
    (yield (shared, co! { gone.set(); })).0
}

#[test]
fn a_shared_that_outlives_a_race_keeps_its_own_races_and_their_background() {
    let (log, gone, over) = (Log::new(), Event::new(), Event::new());
    let (background, ends, own) = (log.clone(), over.clone(), log.clone());
    let shared = co! {
        let work = co! {
            yield spawn(co! {
                let _ends = background.on_drop("background");
                yield Event::new().wait();
            });
            yield Event::new().wait();
        };
        yield race([work, co! { yield ends.wait(); }]);
        own.push("after its own race");
    }
    .shared();
    let waits = shared.clone();
    Loop::new().run((loses(co! { yield waits }, gone.clone(), over), comes_later(shared, gone))).unwrap();
    assert_eq!(log.take(), ["background", "after its own race"]);
}

#[test]
fn a_shared_that_outlives_a_race_keeps_the_shared_that_it_waits_for_in_a_timeout() {
    let (gone, over) = (Event::new(), Event::new());
    let set = over.clone();
    let needed = co! { yield set.wait(); 7 }.shared();
    let also = needed.clone();
    let shared = co! {
        yield;
        let inner = co! { yield race([co! { yield also }]) };
        (yield timeout(inner, FOREVER)).unwrap() + 1
    }
    .shared();
    let waits = shared.clone();
    let work = co! { yield (needed, waits) };
    assert_eq!(Loop::new().run((loses(work, gone.clone(), over), comes_later(shared, gone))).unwrap().1, 8);
}

#[test]
fn a_shielded_background_coroutine_of_a_loser_finishes_although_the_scope_around_the_race_is_cancelled() {
    let [begun, gate, gone, over] = [(); 4].map(|()| Event::new());
    let (begins, waits, goes) = (begun.clone(), gate.clone(), gone.clone());
    let left = Rc::new(Cell::new(None));
    let leaves = left.clone();
    let loser = co! {
        leaves.set(Some(yield spawn(co! { yield shield(waits.wait()); 7 })));
        yield;
        begins.set();
        yield forever();
    };
    // The race has a winner, but waits for the background coroutine of the loser.
    let work = race([loser, co! { yield begun.wait(); }]);
    let comes_later = co! {
        for _ in 0..10 {
            yield;
        }
        let opens = co! {
            goes.set();
            for _ in 0..10 {
                yield;
            }
            gate.set();
        };
        (yield (left.take().unwrap(), opens)).0
    };
    let work = co! { yield work };
    assert_eq!(Loop::new().run((loses(work, gone, over), comes_later)).unwrap(), ((), 7));
}

#[test]
fn a_shared_with_other_waiters_outlives_a_wait_that_is_dropped_because_another_part_of_its_gather_failed() {
    fn check<W: Wait + 'static>(waits: impl FnOnce(Shared<i32>) -> W) {
        let (gone, over) = (Event::new(), Event::new());
        let (fail, set) = (gone.clone(), over.clone());
        let fails = co! { yield fail.wait(); Err("inside")?; }.shared();
        let shared = co! { yield set.wait(); 7 }.shared();
        let (seen, wait) = (fails.clone(), waits(shared.clone()));
        let gives_up = co! {
            // The other domain waits for `fails` first.
            for _ in 0..3 {
                yield;
            }
            assert_eq!((yield catch((wait, seen))).err().unwrap().to_string(), "inside");
            over.set();
        };
        let domain = co! { (yield isolate(co! { yield fails })).unwrap_err(); };
        assert_eq!(Loop::new().run((domain, gives_up, comes_later(shared, gone))).unwrap().2, 7);
    }
    check(|shared| shared);
    check(|shared| timeout(shared, FOREVER));
    check(|shared| race([co! { yield shared }]));
    check(|shared| shield(shared));
}
