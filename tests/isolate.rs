//! Failure domains: which errors an `isolate` stops, which it passes on, and what it waits for.
#![feature(coroutines)]

mod common;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use common::{Alive, Counter, FOREVER, Gate, LONG, Log, forever, messages, ms, names, simulated};
use tinyield::{
    Coro, Grouping, Loop, LoopError, Reason, Shared, TimedOut, catch, co, coro, isolate, race, run_in_thread, shield,
    sleep, spawn, timeout,
};

/// A queue of one element. `get` waits for it.
#[derive(Clone, Default)]
struct Queue(Rc<RefCell<Option<i32>>>);

impl Queue {
    fn put(&self, x: i32) {
        assert!(self.0.borrow_mut().replace(x).is_none(), "the queue is full");
    }

    fn get(&self) -> Coro<i32> {
        let queue = self.clone();
        co! {
            loop {
                let got = queue.0.borrow_mut().take();
                match got {
                    Some(x) => return x,
                    None => yield,
                }
            }
        }
    }
}

#[coro]
fn waits(log: Log, name: &'static str) -> Coro<()> {
    let _ends = log.on_drop(name);
    yield forever();
}

#[coro]
fn fails_with(message: &'static str) -> Coro<()> {
    yield;
    Err(message)?
}

#[test]
fn coroutines_in_different_domains_make_progress_together() {
    for (isolate_g, isolate_h) in [(false, false), (false, true), (true, false), (true, true)] {
        let (q1, q2) = (Queue::default(), Queue::default());
        let (a1, a2) = (q1.clone(), q2.clone());
        let g = co! {
            a1.put(1);
            let x = yield a2.get();
            a1.put(x + 1);
            yield a2.get()
        };
        let h = co! {
            let x = yield q1.get();
            q2.put(x + 1);
            let x = yield q1.get();
            q2.put(x + 1);
            x
        };
        #[coro]
        fn maybe(coro: Coro<i32>, isolated: bool) -> Coro<i32> {
            if isolated { (yield isolate(coro))? } else { yield coro }
        }
        assert_eq!(Loop::new().run([maybe(g, isolate_g), maybe(h, isolate_h)]).unwrap(), [4, 3]);
    }
}

#[test]
fn an_error_cancels_what_is_inside_and_nothing_outside() {
    let (q1, q2, q3) = (Queue::default(), Queue::default(), Queue::default());
    let (g_cancelled, i_cancelled) = (Rc::new(Cell::new(true)), Rc::new(Cell::new(true)));
    let (g2, g3, g_ends) = (q2.clone(), q3.clone(), g_cancelled.clone());
    let g = co! {
        g2.put(5);
        yield g3.get();
        g_ends.set(false);
        1
    };
    let (h1, i1, i_ends) = (q1.clone(), q1, i_cancelled.clone());
    let h = co! {
        let (x, y) = (yield h1.get(), yield q2.get());
        if x == 5 && y == 5 {
            Err("Kaboom")?;
        }
        x + y
    };
    let i = co! {
        i1.put(5);
        yield sleep(LONG);
        i_ends.set(false);
        2
    };
    let isolated = co! {
        let result = yield isolate(co! { yield [h, i] });
        q3.put(0);
        result.unwrap_or([-1, -1])
    };
    assert_eq!(Loop::new().run((g, isolated)).unwrap(), (1, [-1, -1]));
    assert!(!g_cancelled.get());
    assert!(i_cancelled.get());
}

#[test]
fn a_shared_from_outside_is_an_argument_of_a_domain() {
    #[coro]
    fn slow_add_one(x: i32) -> Coro<i32> {
        yield;
        x + 1
    }
    #[coro]
    fn unreliable_add_two(get_x: Shared<i32>) -> Coro<i32> {
        let x = yield get_x;
        if x == 3 {
            Err("That is too hard.")?;
        }
        let y = yield slow_add_one(x);
        yield slow_add_one(y)
    }
    #[coro]
    fn try_add_three(x: i32) -> Coro<Result<i32, LoopError>> {
        let arg = slow_add_one(x).shared();
        yield isolate(unreliable_add_two(arg))
    }
    for (x, sum) in [(0, 3), (1, 4), (3, 6), (4, 7)] {
        assert_eq!(Loop::new().run(try_add_three(x)).unwrap().unwrap(), sum);
    }
    assert_eq!(Loop::new().run(try_add_three(2)).unwrap().unwrap_err().to_string(), "That is too hard.");
}

#[test]
fn a_shared_gives_the_same_value_inside_and_outside() {
    let main = co! {
        let foo = co! { yield; Rc::new(()) }.shared();
        let inside = foo.clone();
        let (inside, outside) = yield (isolate(co! { yield inside }), foo);
        Rc::ptr_eq(&inside?, &outside)
    };
    assert!(Loop::new().run(main).unwrap());
}

#[test]
fn a_domain_is_cancelled_with_what_is_around_it() {
    let cancelled = Counter::new();
    let counts = cancelled.clone();
    let foo = co! {
        loop {
            if let Err(error) = yield catch(()) {
                assert!(matches!(error.as_cancelled().unwrap().reason(), Reason::Failed { name, .. } if name == "bar"));
                counts.up();
                Err(error)?;
            }
        }
    };
    let bar = co! {
        yield spawn(co! { let _ = yield isolate(foo); });
        yield;
        yield;
        Err("Kaboom")?;
    };
    let error = Loop::new().run(bar.named("bar")).unwrap_err();
    assert_eq!(error.to_string(), "Kaboom");
    assert!(error.others().is_empty(), "{error:?}");
    assert_eq!(cancelled.get(), 1);
}

#[test]
fn an_isolate_without_errors_waits_for_its_background_coroutines() {
    let log = Log::new();
    let (logs, ends) = (log.clone(), log.clone());
    let main = co! {
        let inside = co! {
            yield spawn(co! {
                yield spawn(co! { yield sleep(ms(2)); logs.push("grandchild"); });
            });
            7
        };
        let result = yield isolate(inside);
        ends.push("isolate");
        result?
    };
    assert_eq!(simulated().run(main).unwrap(), 7);
    assert_eq!(log.take(), ["grandchild", "isolate"]);
}

#[test]
fn an_error_in_the_background_after_the_value_is_the_failure_of_the_domain() {
    let main = co! {
        let inside = co! { yield spawn(co! { yield; yield; yield; Err("late")?; }); 7 };
        (yield isolate(inside)).map_err(|error| error.to_string())
    };
    assert_eq!(Loop::new().run(main).unwrap(), Err("late".to_string()));
}

#[test]
fn everything_inside_has_ended_when_isolate_returns_the_error() {
    let log = Log::new();
    let (logs, sees) = (log.clone(), log.clone());
    let main = co! {
        let inside = co! {
            yield spawn(waits(logs.clone(), "background"));
            let polite = co! {
                let error = (yield catch(forever())).unwrap_err();
                yield shield(sleep(ms(2)));
                logs.push("polite");
                Err(error)?;
            };
            yield (fails_with("inside"), polite);
        };
        let result = yield isolate(inside);
        sees.push("back");
        assert_eq!(result.unwrap_err().to_string(), "inside");
        yield;
        8
    };
    assert_eq!(simulated().run(main).unwrap(), 8);
    assert_eq!(log.take(), ["background", "polite", "back"]);
}

#[test]
fn an_isolate_joins_the_threads_inside() {
    let (begun, begin) = std::sync::mpsc::channel();
    let (ended, end) = std::sync::mpsc::channel();
    let main = co! {
        let work = run_in_thread(move || {
            begun.send(()).unwrap();
            while !tinyield::thread::is_cancelled() {
                std::thread::yield_now();
            }
            ended.send(()).unwrap();
        });
        let fails = co! { begin.recv()?; Err("inside")?; };
        let result = yield isolate(co! { yield (work, fails); });
        assert_eq!(end.try_iter().count(), 1);
        result.unwrap_err().to_string()
    };
    assert_eq!(Loop::new().run(main).unwrap(), "inside");
}

#[test]
fn an_inner_domain_stops_its_error_before_the_outer_one() {
    let log = Log::new();
    let logs = log.clone();
    let main = co! {
        let (first, second) = (waits(logs.clone(), "innermost"), waits(logs.clone(), "middle"));
        let innermost = co! { yield (first, fails_with("1")); };
        let middle = co! {
            let one = yield (isolate(innermost), co! { yield; "beside" });
            assert_eq!(one.0.unwrap_err().to_string(), "1");
            assert_eq!(one.1, "beside");
            yield (second, fails_with("2"));
        };
        let two = yield isolate(middle);
        assert_eq!(two.unwrap_err().to_string(), "2");
        logs.push("outside");
        "well"
    };
    assert_eq!(Loop::new().run(main).unwrap(), "well");
    assert_eq!(log.take(), ["innermost", "middle", "outside"]);
}

#[test]
fn a_domain_has_its_own_grouping() {
    let inside = |grouping| {
        let main = co! {
            let other = co! { let _ = yield catch(forever()); Err("other")?; };
            let well = co! { yield forever(); }.named("well");
            (yield isolate(co! { yield (other, well, fails_with("first")); }.named("main")).grouping(grouping)).unwrap_err()
        };
        // The grouping of the loop does not matter.
        let error = Loop::builder().grouping(Grouping::Always).build().run(main).unwrap();
        assert_eq!(error.to_string(), "first");
        error.others().iter().map(|error| names(error).last().unwrap().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(inside(Grouping::Never), [] as [&str; 0]);
    assert_eq!(inside(Grouping::Auto), ["co!"]);
    assert_eq!(inside(Grouping::Always), ["well", "co!", "main"]);
}

#[test]
fn a_report_of_a_swallowed_cancellation_stays_in_the_domain() {
    let main = co! {
        let answers = co! { let _ = yield catch(forever()); 1 }.named("answers");
        let error = (yield isolate(co! { yield (answers, fails_with("inside")); })).unwrap_err();
        assert_eq!(error.others().len(), 1);
        assert!(messages(error.others())[0].contains("`answers`"));
    };
    Loop::new().run(main).unwrap();
}

#[test]
fn an_error_after_a_cancellation_from_outside_goes_outside() {
    let answers = co! { let _ = yield catch(forever()); Err("rude")?; };
    let error = Loop::new().run((co! { let _ = yield isolate(answers); }, fails_with("outside"))).unwrap_err();
    assert_eq!(error.to_string(), "outside");
    assert_eq!(messages(error.others()), ["rude"]);
}

#[test]
fn a_domain_can_be_cancelled_from_outside_while_it_stops() {
    let log = Log::new();
    let logs = log.clone();
    let polite = co! {
        let error = (yield catch(forever())).unwrap_err();
        let Reason::Failed { name, .. } = error.as_cancelled().unwrap().reason() else { panic!("{error:?}") };
        logs.push(name);
        yield shield(co! { for _ in 0..20 { yield; } });
        logs.push("cleaned");
        Err(error)?;
    };
    let domain = co! {
        let result = yield isolate(co! { yield (polite, fails_with("inside")); });
        drop(result);
        unreachable!("it is cancelled by then");
    };
    let late = co! { for _ in 0..8 { yield; } Err("outside")?; };
    let error = Loop::new().run((domain, late)).unwrap_err();
    assert_eq!(error.to_string(), "outside");
    assert!(error.others().is_empty(), "{error:?}");
    assert_eq!(log.take(), ["fails_with", "cleaned"]);
}

#[test]
fn waiters_outside_get_the_error_of_the_domain_of_a_shared() {
    // The coroutine is started inside, so it belongs to the inner domain.
    let shared: Shared<i32> = co! { yield forever(); 1 }.named("shared").shared();
    let (outside, later) = (shared.clone(), shared.clone());
    let main = co! {
        let inside = co! { yield spawn(&shared); for _ in 0..5 { yield; } Err("inside")?; };
        let waits = co! {
            yield;
            yield;
            let error = (yield catch(&outside)).unwrap_err();
            // The error is not a cancellation, because nothing cancelled this coroutine.
            assert!(!error.is_cancelled());
            yield;
            error.to_string()
        };
        let (failed, seen) = yield (isolate(inside), waits);
        assert_eq!(failed.unwrap_err().to_string(), "inside");
        // A later waiter gets the same error.
        let late = (yield catch(&later)).unwrap_err().to_string();
        (seen, late)
    };
    assert_eq!(Loop::new().run(main).unwrap(), ("inside".to_string(), "inside".to_string()));
}

#[test]
fn a_shared_from_outside_survives_the_domain_that_waits_for_it() {
    let (gate, runs) = (Gate::new(), Counter::new());
    let (waits, counts) = (gate.clone(), runs.clone());
    let main = co! {
        let shared = co! { counts.up(); waits.await; 5 }.shared();
        yield spawn(&shared);
        let inside = shared.clone();
        let result = yield isolate(co! { yield (co! { yield inside }, fails_with("inside")); });
        assert_eq!(result.unwrap_err().to_string(), "inside");
        gate.open();
        yield shared
    };
    assert_eq!(Loop::new().run(main).unwrap(), 5);
    assert_eq!(runs.get(), 1);
}

#[test]
fn the_failure_of_a_shared_from_outside_stops_the_domain_that_waits_for_it() {
    let failing: Shared<()> = co! { yield; yield; Err("outside")?; }.shared();
    let inside = failing.clone();
    let seen = Log::new();
    let logs = seen.clone();
    let main = co! {
        yield spawn(&failing);
        let inner = co! {
            let error = (yield catch(inside)).unwrap_err();
            logs.push(error.is_cancelled());
            Err(error)?;
        };
        drop(yield isolate(inner));
        unreachable!("it is cancelled");
    };
    let error = Loop::new().run(main).unwrap_err();
    assert_eq!(error.to_string(), "outside");
    assert!(error.others().is_empty(), "{error:?}");
    assert_eq!(seen.take(), ["true"]);
}

#[test]
fn a_panic_inside_stops_the_whole_loop() {
    let log = Log::new();
    let logs = log.clone();
    let main = co! {
        yield (waits(logs.clone(), "outside"), co! { drop(yield isolate(co! { yield; panic!("not an error") })); });
    };
    assert_eq!(common::panic_of(|| Loop::new().run(main)), "not an error");
    assert_eq!(log.take(), ["outside"]);
}

#[test]
fn a_timeout_cancels_a_domain_inside_it() {
    let log = Log::new();
    let logs = log.clone();
    let main = co! {
        let both = (waits(logs.clone(), "1"), waits(logs.clone(), "2"));
        let inside = co! { yield both; };
        assert!(matches!(yield timeout(isolate(inside), ms(1)), Err(TimedOut)));
        logs.push("back");
    };
    simulated().run(main).unwrap();
    assert_eq!(log.take(), ["2", "1", "back"]);
}

#[test]
fn a_hundred_thousand_domains_can_nest() {
    #[coro]
    fn deep(n: u32, alive: Alive) -> Coro<u32> {
        let _held = alive.token();
        if n == 0 { 0 } else { 1 + (yield isolate(deep(n - 1, alive.clone()))).unwrap() }
    }
    let alive = Alive::new();
    assert_eq!(Loop::new().run(deep(100_000, alive.clone())).unwrap(), 100_000);
    assert_eq!(alive.get(), 0);
}

#[test]
fn ended_domains_leave_nothing_behind() {
    let alive = Alive::new();
    let counts = alive.clone();
    let main = co! {
        for round in 0..1_000 {
            let held = (counts.token(), counts.token());
            let background = co! { let _held = held.0; yield forever(); };
            let inside = co! { let _held = held.1; yield spawn(background); yield; if round % 2 == 0 { Err("even")?; } };
            let result = yield timeout(isolate(inside), if round % 2 == 0 { FOREVER } else { ms(0) });
            assert_eq!(result.is_ok(), round % 2 == 0);
            assert_eq!(counts.get(), 0);
        }
    };
    Loop::new().run(main).unwrap();
    drop(race([co! { 1 }]));
}

#[test]
fn every_wait_can_be_isolated() {
    let log = Log::new();
    let logs = log.clone();
    let main = co! {
        let gathered = isolate((waits(logs.clone(), "1"), [waits(logs.clone(), "2")], fails_with("three")));
        let error = (yield gathered).unwrap_err();
        logs.push("back");
        let handle = yield spawn(co! { yield; 4 });
        let value = (yield isolate(handle))?;
        let late = (yield isolate(timeout(waits(logs.clone(), "5"), ms(1))))?;
        (yield isolate(sleep(ms(0))))?;
        (error, value, late)
    };
    let (error, value, late) = simulated().run(main).unwrap();
    assert_eq!(error.to_string(), "three");
    assert_eq!(names(error.error()), ["fails_with"]);
    assert_eq!((value, late), (4, Err(TimedOut)));
    assert_eq!(log.take(), ["2", "1", "back", "5"]);
}

#[test]
fn a_handle_yielded_in_a_domain_belongs_to_the_domain_where_it_was_spawned() {
    let log = Log::new();
    let logs = log.clone();
    let main = co! {
        let handle = yield spawn(co! { yield; yield; yield; Err("outside")?; });
        logs.push(if (yield isolate((handle, waits(logs.clone(), "inside")))).is_ok() { "survived" } else { "failed" });
    };
    assert_eq!(Loop::new().run(main).unwrap_err().to_string(), "outside");
    assert_eq!(log.take(), ["inside"]);
}
