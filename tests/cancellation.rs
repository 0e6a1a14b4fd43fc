//! What happens to the others when a coroutine fails: who is cancelled, in which order, what they see, and how they may answer.
#![feature(coroutines)]

mod common;

use std::cell::Cell;
use std::rc::Rc;

use common::{Alive, Counter, FOREVER, Gate, Log, forever, messages, names, to_end, to_idle};
use tinyield::{
    Cancelled, Coro, Error, Grouping, Loop, Reason, TimedOut, catch, co, coro, isolate, race, run_in_thread, shield,
    sleep, spawn, timeout,
};

/// Logs its name when it is dropped, and until then waits for ever.
#[coro]
fn waits(log: Log, name: &'static str) -> Coro<()> {
    let _ends = log.on_drop(name);
    yield forever();
}

#[coro]
fn fails() -> Coro<()> {
    yield;
    yield;
    Err("failed")?
}

#[test]
fn the_last_started_is_cancelled_first() {
    let log = Log::new();
    let logs = log.clone();
    let main = co! {
        let _ends = logs.on_drop("main");
        yield spawn(waits(logs.clone(), "1"));
        yield spawn([waits(logs.clone(), "2"), waits(logs.clone(), "3")]);
        yield (waits(logs.clone(), "4"), fails(), waits(logs.clone(), "5"));
    };
    Loop::new().run(main).unwrap_err();
    assert_eq!(log.take(), ["5", "4", "3", "2", "1", "main"]);
}

#[test]
fn children_are_cancelled_before_those_who_started_them() {
    #[coro]
    fn tree(log: Log, name: &'static str, depth: u32) -> Coro<()> {
        let _ends = log.on_drop(format!("{name}{depth}"));
        if depth == 0 {
            yield forever();
        } else {
            yield tree(log.clone(), name, depth - 1);
        }
    }
    let log = Log::new();
    let logs = log.clone();
    let late = co! {
        for _ in 0..10 {
            yield;
        }
        Err("late")?;
    };
    Loop::new().run((tree(logs.clone(), "a", 2), tree(logs, "b", 2), late)).unwrap_err();
    assert_eq!(log.take(), ["b0", "a0", "b1", "a1", "b2", "a2"]);
}

#[test]
fn cancellation_is_raised_at_the_yield_where_it_waits() {
    let log = Log::new();
    let logs = log.clone();
    let watches = co! {
        let _first = logs.on_drop("first local");
        let _second = logs.on_drop("second local");
        let line = line!() + 1;
        let error: Error = (yield catch(forever())).unwrap_err();
        assert!(error.is_cancelled());
        assert_eq!((error.location().file(), error.location().line()), (file!(), line));
        logs.push("seen");
        Err(error)?;
        logs.push("not reached");
    };
    Loop::new().run((watches, fails())).unwrap_err();
    assert_eq!(log.take(), ["seen", "second local", "first local"]);
}

#[test]
fn every_kind_of_wait_sees_it() {
    let seen = Counter::new();
    macro_rules! sees {
        ($wait:expr) => {{
            let seen = seen.clone();
            co! {
                let error = match yield catch($wait) {
                    Ok(_) => panic!("it should have been cancelled"),
                    Err(error) => error,
                };
                assert!(error.is_cancelled());
                seen.up();
                Err(error)?;
            }
        }};
    }
    let shared = co! { yield forever(); }.shared();
    let all = vec![
        sees!(forever()),
        sees!(co! { yield forever(); }),
        sees!(&shared),
        sees!((forever(), forever())),
        sees!(vec![forever(), forever()]),
        sees!([Some(forever())]),
        sees!(timeout(forever(), FOREVER)),
        sees!(isolate(co! { yield forever(); })),
        sees!(race([co! { yield forever(); }])),
        sees!(co! { Gate::new().await }),
        sees!(run_in_thread(|| while !tinyield::thread::is_cancelled() {
            std::thread::yield_now()
        })),
    ];
    let count = all.len();
    let error = Loop::new().run((all, fails())).unwrap_err();
    assert!(error.others().is_empty(), "{error:?}");
    assert_eq!(seen.get(), count);
}

#[test]
fn each_further_yield_raises_again_at_once() {
    let log = Log::new();
    let logs = log.clone();
    let stubborn = co! {
        for attempt in 0..5 {
            let error = (yield catch(forever())).unwrap_err();
            assert!(error.is_cancelled());
            logs.push(attempt);
        }
        assert!((yield catch(())).is_err());
        assert!((yield catch(spawn(co! { unreachable!() }))).is_err());
        assert!((yield catch(co! { unreachable!() })).is_err());
        assert!((yield catch(timeout(co! { unreachable!() }, FOREVER))).is_err());
        assert!((yield catch(isolate(co! { unreachable!() }))).is_err());
        assert!((yield catch(race([co! { unreachable!() }]))).is_err());
        assert!((yield catch(Vec::<Coro<()>>::new())).is_err());
        logs.push("all");
        Gate::new().await;
        logs.push("not reached");
    };
    let other = {
        let log = log.clone();
        co! { let _ends = log.on_drop("other"); yield forever(); }
    };
    // The other was started before: it comes when the stubborn one is through.
    let error = Loop::new().run((other, stubborn, fails())).unwrap_err();
    assert_eq!(log.take(), ["0", "1", "2", "3", "4", "all", "other"]);
    assert!(error.others().is_empty(), "{error:?}");
}

#[test]
fn what_has_not_begun_never_begins() {
    let (begun, bodies) = (Counter::new(), Alive::new());
    let (counts, tokens) = (begun.clone(), bodies.clone());
    let never = move || {
        let (begun, held) = (counts.clone(), tokens.token());
        co! { begun.up(); drop(held); }
    };
    let shared = never().shared();
    let main = co! {
        yield spawn((never(), never()));
        let _ = yield (co! { Err("first")?; }, never(), vec![never()], &shared, timeout(never(), FOREVER));
    };
    // The spawned ones had their turn before the first failed; no other did.
    Loop::new().run(main).unwrap_err();
    assert_eq!(begun.get(), 2);
    assert_eq!(bodies.get(), 0);
}

#[test]
fn a_waiter_in_the_same_domain_sees_its_own_cancellation_not_the_error() {
    let line = Rc::new(Cell::new(0));
    let set_line = line.clone();
    let watches = co! {
        let child = co! {
            yield;
            set_line.set(line!() + 1);
            Err("from below")?;
        };
        let error = (yield catch(child.named("child"))).unwrap_err();
        let cancelled = error.as_cancelled().expect("a cancellation");
        match cancelled.reason() {
            Reason::Failed { name, location } => {
                assert_eq!((name.as_str(), location.file(), location.line()), ("child", file!(), line.get()));
            }
            other => panic!("{other:?}"),
        }
        Err(error)?;
    };
    let error = Loop::new().run(watches).unwrap_err();
    assert_eq!(error.to_string(), "from below");
    assert!(error.others().is_empty());
}

/// Runs until it is cancelled, and gives the reason.
fn reason_of(run: impl FnOnce(Coro<()>)) -> Reason {
    let reason = Rc::new(Cell::new(None));
    let sees = reason.clone();
    run(co! {
        let error = (yield catch(forever())).unwrap_err();
        sees.set(Some(error.as_cancelled().expect("a cancellation").reason()));
        Err(error)?;
    });
    reason.take().expect("it was cancelled")
}

#[test]
fn the_reason_tells_who_failed() {
    let reason = reason_of(|coro| drop(Loop::new().run((coro, fails()))));
    assert!(matches!(&reason, Reason::Failed { name, .. } if name == "fails"), "{reason:?}");
    let reason = reason_of(|coro| {
        common::panic_of(|| Loop::new().run((coro, co! { yield; panic!("oh") }.named("panics"))));
    });
    assert!(matches!(&reason, Reason::Failed { name, .. } if name == "panics"), "{reason:?}");
}

#[test]
fn the_reason_tells_of_timeouts_races_stops_and_drops() {
    let reason = reason_of(|coro| assert_eq!(Loop::new().run(timeout(coro, common::ms(1))).unwrap(), Err(TimedOut)));
    assert_eq!(reason, Reason::TimedOut);
    let reason = reason_of(|coro| Loop::new().run(race([coro, co! { yield; yield; }])).unwrap());
    assert_eq!(reason, Reason::Raced);
    let reason = reason_of(|coro| {
        let mut event_loop = Loop::new();
        let handle = event_loop.stop_handle();
        assert!(event_loop.run((coro, co! { yield; handle.stop(); })).unwrap_err().is_stopped());
    });
    assert_eq!(reason, Reason::Stopped);
    let reason = reason_of(|coro| {
        let mut event_loop = Loop::new();
        let mut runtime = event_loop.runtime(coro);
        common::ran(&mut runtime);
        drop(runtime);
    });
    assert_eq!(reason, Reason::Dropped);
}

#[test]
fn the_messages_of_cancellations_are_sentences() {
    let text = |reason: fn(Coro<()>)| {
        let text = Rc::new(Cell::new(String::new()));
        let sees = text.clone();
        reason(co! {
            let error = (yield catch(forever())).unwrap_err();
            sees.set(error.to_string());
            Err(error)?;
        });
        text.take()
    };
    assert_eq!(text(|coro| drop(Loop::new().run(timeout(coro, common::ms(1))))), "cancelled: timed out");
    assert_eq!(
        text(|coro| drop(Loop::new().run(race([coro, co! { yield; }])))),
        "cancelled: another coroutine won the race"
    );
    let failed = text(|coro| drop(Loop::new().run((coro, fails()))));
    assert!(failed.starts_with("cancelled: `fails` failed at ") && failed.contains("cancellation.rs:"), "{failed}");
}

// Answers.

#[test]
fn raising_the_cancellation_again_is_well_behaved() {
    let ways: [fn() -> Coro<()>; 3] = [
        || co! { yield forever(); },
        || co! { if let Err(error) = yield catch(forever()) { Err(error)?; } },
        // What it raises is another cancellation than the one it has seen.
        || co! { let _ = yield catch(forever()); yield forever(); },
    ];
    for way in ways {
        let error = Loop::new().run((way(), fails())).unwrap_err();
        assert_eq!(error.to_string(), "failed");
        assert!(error.others().is_empty(), "{error:?}");
    }
}

#[test]
fn an_answer_with_a_value_is_reported_with_name_and_place() {
    let line = line!() + 1;
    let answers = co! { assert!((yield catch(forever())).is_err()); 5 }.named("polite");
    let error = Loop::new().run((answers, fails())).unwrap_err();
    assert_eq!(error.to_string(), "failed");
    let [other] = error.others() else { panic!("{error:?}") };
    assert!(other.to_string().contains("`polite`"), "{other}");
    assert!(other.to_string().contains(&format!("cancellation.rs:{line}")), "{other}");
    assert_eq!(names(other), ["polite"]);
}

#[test]
fn an_answer_with_another_error_is_reported_with_its_trace() {
    let line = line!() + 3;
    let answers = co! {
        let _ = yield catch(forever());
        Err("instead")?;
    };
    let error = Loop::new().run((answers.named("rude"), fails())).unwrap_err();
    assert_eq!(error.to_string(), "failed");
    assert_eq!(messages(error.others()), ["instead"]);
    assert_eq!(names(&error.others()[0]).last(), Some(&"rude"));
    assert_eq!(error.others()[0].location().line(), line);
}

#[test]
fn who_swallows_it_a_hundred_times_in_a_row_is_dropped_and_reported() {
    let (swallowed, bodies) = (Counter::new(), Alive::new());
    let (counts, held) = (swallowed.clone(), bodies.token());
    let line = line!() + 4;
    let swallows = co! {
        let _held = held;
        loop {
            if let Err(error) = yield catch(forever()) {
                assert!(error.is_cancelled());
                counts.up();
            }
        }
    };
    let error = Loop::new().run((swallows.named("glutton"), fails())).unwrap_err();
    assert_eq!(swallowed.get(), 100);
    assert_eq!(bodies.get(), 0);
    assert_eq!(error.to_string(), "failed");
    let [other] = error.others() else { panic!("{error:?}") };
    assert!(other.to_string().contains("`glutton`"), "{other}");
    assert!(other.to_string().contains("100 times"), "{other}");
    assert!(other.to_string().contains(&format!("cancellation.rs:{line}")), "{other}");
}

#[test]
fn ninety_nine_are_fine_and_a_shield_in_between_begins_the_count_anew() {
    let swallowed = Counter::new();
    let counts = swallowed.clone();
    let swallows = co! {
        for _ in 0..3 {
            for _ in 0..99 {
                assert!((yield catch(forever())).is_err());
                counts.up();
            }
            yield shield(());
        }
        yield forever();
    };
    let error = Loop::new().run((swallows, fails())).unwrap_err();
    assert_eq!(swallowed.get(), 297);
    assert!(error.others().is_empty(), "{error:?}");
}

#[test]
fn waits_that_only_carry_a_catch_are_no_answers() {
    // The coroutine that the library makes for a wait of the user's answers to nobody.
    let waits: [fn() -> Coro<()>; 3] = [
        || co! { let _ = yield timeout(catch(forever()), FOREVER); },
        || co! { let _ = yield timeout((catch(forever()), forever()), FOREVER); },
        || co! { let _ = yield shield(timeout(catch(sleep(common::ms(1))), FOREVER)); yield forever(); },
    ];
    for wait in waits {
        let error = Loop::new().run((wait(), fails())).unwrap_err();
        assert!(error.others().is_empty(), "{error:?}");
    }
    let mut event_loop = Loop::new();
    event_loop.stop_handle().stop();
    let error = event_loop.run(catch(forever())).unwrap_err();
    assert!(error.is_stopped() && error.others().is_empty(), "{error:?}");
}

#[test]
fn grouping_decides_what_is_kept() {
    let run = |grouping| {
        let value = co! { let _ = yield catch(forever()); }.named("value");
        let other = co! { let _ = yield catch(forever()); Err("other")?; }.named("other");
        let well = co! { yield forever(); }.named("well");
        let never = co! { yield; }.named("never");
        let sets = co! { yield; yield (fails(), co! { yield; yield spawn(never); }); }.named("sets");
        let error = Loop::builder().grouping(grouping).build().run((value, other, well, sets)).unwrap_err();
        assert_eq!(error.to_string(), "failed");
        error
            .others()
            .iter()
            .map(|error| {
                (error.trace().last().map(|frame| frame.name().to_string()).unwrap_or_default(), error.is_cancelled())
            })
            .collect::<Vec<_>>()
    };
    let says = |list: &[(&str, bool)]| list.iter().map(|(name, is)| (name.to_string(), *is)).collect::<Vec<_>>();
    assert_eq!(run(Grouping::Never), says(&[]));
    assert_eq!(run(Grouping::Auto), says(&[("other", false), ("value", false)]));
    let always = run(Grouping::Always);
    let cancelled: Vec<_> = always.iter().filter(|(_, cancelled)| *cancelled).map(|(name, _)| name.as_str()).collect();
    assert!(cancelled.contains(&"well") && cancelled.contains(&"sets"), "{always:?}");
    assert!(
        always.contains(&("other".to_string(), false)) && always.contains(&("value".to_string(), false)),
        "{always:?}"
    );
    assert!(!always.iter().any(|(name, _)| name.is_empty()), "{always:?}");
}

#[test]
fn grouping_always_has_each_coroutine_of_the_users_once_and_none_of_the_librarys() {
    // The wait in a timeout needs a coroutine, of which nobody has heard.
    let main = co! { let _ = yield (timeout(forever(), FOREVER), (forever(), fails())); }.named("main");
    let error = Loop::builder().grouping(Grouping::Always).build().run(main).unwrap_err();
    let cancelled: Vec<_> = error.others().iter().map(|error| names(error).join("/")).collect();
    assert_eq!(cancelled, ["main"], "{error:?}");
}

// Shields.

#[test]
fn a_shield_waits_although_its_coroutine_is_cancelled() {
    let log = Log::new();
    let logs = log.clone();
    let polite = co! {
        let error = (yield catch(forever())).unwrap_err();
        logs.push("cancelled");
        let value = yield shield(co! { yield sleep(common::ms(2)); yield; 7 });
        logs.push(value);
        assert!((yield catch(())).is_err());
        logs.push("still cancelled");
        Err(error)?;
    };
    let error = Loop::new().run((polite, fails())).unwrap_err();
    assert_eq!(log.take(), ["cancelled", "7", "still cancelled"]);
    assert_eq!(error.to_string(), "failed");
    assert!(error.others().is_empty(), "{error:?}");
}

#[test]
fn an_error_behind_a_shield_is_caught_as_ones_own_cancellation() {
    let log = Log::new();
    let logs = log.clone();
    let main = co! {
        let error = (yield catch(shield(fails()))).unwrap_err();
        logs.push(error.is_cancelled());
        Err(error)?;
    };
    let error = Loop::new().run(main).unwrap_err();
    assert_eq!(log.take(), ["true"]);
    assert_eq!(error.to_string(), "failed");
    assert!(error.others().is_empty(), "{error:?}");
}

#[test]
fn a_shield_that_was_up_before_holds() {
    let (gate, log) = (Gate::new(), Log::new());
    let (waits, logs, inside) = (gate.clone(), log.clone(), log.clone());
    let shielded = co! {
        yield shield(co! { waits.await; inside.push("inside"); yield; inside.push("still inside"); });
        logs.push("after");
        yield;
        logs.push("not reached");
    };
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime((shielded, fails()));
    let _opens = gate.open_on_drop();
    let _ = to_idle(&mut runtime);
    assert_eq!(log.len(), 0);
    gate.open();
    let (_, result) = to_end(&mut runtime);
    assert_eq!(result.unwrap_err().to_string(), "failed");
    assert_eq!(log.take(), ["inside", "still inside", "after"]);
}

#[test]
fn a_second_and_third_cancellation_do_not_break_a_shield() {
    let (gate, log) = (Gate::new(), Log::new());
    let (waits, logs) = (gate.clone(), log.clone());
    let polite = co! {
        let error = (yield catch(forever())).unwrap_err();
        assert_eq!(error.as_cancelled().unwrap().reason(), Reason::Raced);
        yield shield(co! { waits.await });
        logs.push("cleaned up");
        Err(error)?;
    };
    let mut event_loop = Loop::new();
    let handle = event_loop.stop_handle();
    let opener = gate.clone();
    {
        let _opens = gate.open_on_drop();
        let mut runtime = event_loop
            .runtime((race([polite, co! { yield; }]), co! { yield; yield; yield; yield; Err("then this")?; }));
        let _ = to_idle(&mut runtime);
        assert_eq!(gate.polls(), 1);
        handle.stop();
        let _ = to_idle(&mut runtime);
        // It was polled for nothing but its own wake-up.
        assert_eq!(gate.polls(), 1);
        assert_eq!(log.len(), 0);
        let opens = std::thread::spawn(move || opener.open());
        drop(runtime);
        opens.join().unwrap();
    }
    assert_eq!(log.take(), ["cleaned up"]);
}

#[test]
fn siblings_shield_at_the_same_time_and_their_parent_is_cancelled_after_both() {
    let log = Log::new();
    let gates = [Gate::new(), Gate::new(), Gate::new()];
    let child = |index: usize| {
        let (gate, log) = (gates[index].clone(), log.clone());
        co! {
            let error = (yield catch(forever())).unwrap_err();
            log.push(format!("child {index} cancelled"));
            yield shield(co! { gate.await });
            log.push(format!("child {index} ended"));
            Err(error)?;
        }
    };
    let watching = |name: &'static str, coro: Coro<()>| {
        let log = log.clone();
        co! {
            let error = (yield catch(coro)).unwrap_err();
            log.push(format!("{name} cancelled"));
            Err(error)?;
        }
    };
    let both = (child(0), child(1));
    let parent = watching("parent", co! { yield both; });
    let grandparent = watching("grandparent", parent);
    let uncle = watching("uncle", child(2));
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime((grandparent, uncle, co! { for _ in 0..10 { yield; } Err("now")?; }));
    let _opens = gates.each_ref().map(Gate::open_on_drop);
    let _ = to_idle(&mut runtime);
    let mut cancelled = log.take();
    cancelled.sort();
    assert_eq!(cancelled, ["child 0 cancelled", "child 1 cancelled", "child 2 cancelled"]);
    assert!(gates.iter().all(|gate| gate.polls() == 1));
    gates[1].open();
    let _ = to_idle(&mut runtime);
    assert_eq!(log.take(), ["child 1 ended"]);
    gates[2].open();
    let _ = to_idle(&mut runtime);
    assert_eq!(log.take(), ["child 2 ended", "uncle cancelled"]);
    gates[0].open();
    let (_, result) = to_end(&mut runtime);
    assert_eq!(log.take(), ["child 0 ended", "parent cancelled", "grandparent cancelled"]);
    let error = result.unwrap_err();
    assert_eq!(error.to_string(), "now");
    assert!(error.others().is_empty(), "{error:?}");
}

#[test]
fn who_waits_for_one_that_failed_and_one_that_shields_is_cancelled_after_the_latter() {
    let (gate, log) = (Gate::new(), Log::new());
    let (waits, logs, ends) = (gate.clone(), log.clone(), log.clone());
    let polite = co! {
        let error = (yield catch(forever())).unwrap_err();
        yield shield(co! { waits.await });
        logs.push("child ended");
        Err(error)?;
    };
    let parent = co! {
        let error = (yield catch((fails(), polite))).unwrap_err();
        ends.push("parent cancelled");
        Err(error)?;
    };
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(parent);
    let _opens = gate.open_on_drop();
    let _ = to_idle(&mut runtime);
    assert_eq!(log.len(), 0, "{:?}", log.take());
    gate.open();
    assert!(to_end(&mut runtime).1.unwrap_err().others().is_empty());
    assert_eq!(log.take(), ["child ended", "parent cancelled"]);
}

#[test]
fn what_a_shielded_wait_left_in_the_background_is_cancelled_when_it_is_over() {
    let log = Log::new();
    let (logs, ends) = (log.clone(), log.clone());
    let polite = co! {
        let error = (yield catch(forever())).unwrap_err();
        yield shield(co! {
            yield spawn(waits(logs, "left behind"));
            yield;
            yield;
        });
        ends.push("shield over");
        Err(error)?;
    };
    Loop::new().run((polite, fails())).unwrap_err();
    let log = log.take();
    assert_eq!(log.len(), 2);
    assert!(log.contains(&"left behind".to_string()) && log.contains(&"shield over".to_string()), "{log:?}");
}

#[test]
fn a_shield_without_a_cancellation_is_only_a_wait() {
    let main = co! {
        let (a, b) = yield (shield(co! { yield; 1 }), shield((co! { 2 }, sleep(common::ms(1)))));
        yield shield(spawn(co! { yield; }));
        yield shield(());
        (a, b)
    };
    assert_eq!(Loop::new().run(main).unwrap(), (1, (2, ())));
}

#[test]
fn a_timeout_inside_a_shield_works() {
    let log = Log::new();
    let logs = log.clone();
    let polite = co! {
        let error = (yield catch(forever())).unwrap_err();
        let result = yield shield(timeout(waits(logs.clone(), "inside"), common::ms(1)));
        assert_eq!(result, Err(TimedOut));
        logs.push("gave up cleaning");
        Err(error)?;
    };
    Loop::new().run((polite, fails())).unwrap_err();
    assert_eq!(log.take(), ["inside", "gave up cleaning"]);
}

#[test]
fn a_failure_while_cleaning_up_behind_a_shield_is_among_the_others() {
    let polite = co! {
        let _ = yield catch(forever());
        yield shield(co! { yield; Err("while cleaning")?; }.named("cleaner"));
    };
    let error = Loop::new().run((polite.named("polite"), fails())).unwrap_err();
    assert_eq!(error.to_string(), "failed");
    assert_eq!(messages(error.others()), ["while cleaning"], "{error:?}");
    assert_eq!(names(&error.others()[0]).last(), Some(&"cleaner"));
}

#[test]
fn a_failure_behind_a_shield_stops_a_loop_that_ran_well() {
    let log = Log::new();
    let main = (waits(log.clone(), "other"), co! { yield shield(co! { yield; Err("inside")?; }); });
    let error = Loop::new().run(main).unwrap_err();
    assert_eq!(error.to_string(), "inside");
    assert!(error.others().is_empty(), "{error:?}");
    assert_eq!(log.take(), ["other"]);
}

#[test]
fn a_failure_behind_a_shield_cancels_what_else_is_behind_it() {
    let log = Log::new();
    let (one, two, three) = (waits(log.clone(), "beside"), waits(log.clone(), "around"), waits(log.clone(), "outside"));
    let inner = co! { yield shield(co! { yield (one, co! { yield; yield; Err("inside")?; }); }); };
    let error = Loop::new().run((three, shield((two, inner)))).unwrap_err();
    assert_eq!(error.to_string(), "inside");
    assert!(error.others().is_empty(), "{error:?}");
    let mut log = log.take();
    log.sort();
    assert_eq!(log, ["around", "beside", "outside"]);
}

#[test]
fn a_panic_behind_a_shield_cancels_what_else_is_behind_it() {
    let log = Log::new();
    let (one, two) = (waits(log.clone(), "beside"), waits(log.clone(), "outside"));
    let inner = co! { yield shield((one, co! { yield; yield; panic!("inside"); })); };
    assert_eq!(common::panic_of(|| Loop::new().run((two, inner))), "inside");
    assert_eq!(log.take(), ["beside", "outside"]);
}

#[test]
fn an_error_that_somebody_behind_another_shield_waited_for_is_told_once() {
    let failing = co! { yield; yield; Err("told once")?; }.shared();
    let waits = failing.clone();
    let main = (shield(&failing), co! { yield shield(co! { yield waits }); });
    let error = Loop::new().run(main).unwrap_err();
    assert_eq!(error.to_string(), "told once");
    assert!(error.others().is_empty(), "{error:?}");
}

#[test]
fn who_waits_behind_a_shield_for_one_that_is_stopped_adds_nothing_to_the_error() {
    let stopped = co! { yield forever(); }.shared();
    let waits = stopped.clone();
    let mut event_loop = Loop::new();
    let handle = event_loop.stop_handle();
    let behind = co! { yield shield(co! { yield waits }); };
    let error = event_loop.run((stopped, behind, co! { yield; yield; handle.stop(); yield; })).unwrap_err();
    assert!(error.is_stopped() && error.others().is_empty(), "{error:?}");
    assert!(error.error().trace().is_empty(), "{error:?}");
}

#[test]
fn another_shield_is_not_broken_by_a_failure_behind_one() {
    let log = Log::new();
    let logs = log.clone();
    let whole = co! { yield shield(co! { for _ in 0..20 { yield; } logs.push("whole"); }); };
    let error = Loop::new().run((whole, co! { yield shield(fails()); })).unwrap_err();
    assert_eq!(error.to_string(), "failed");
    assert_eq!(log.take(), ["whole"]);
}

#[test]
fn isolates_and_races_inside_a_shield_work() {
    let log = Log::new();
    let logs = log.clone();
    let polite = co! {
        let error = (yield catch(forever())).unwrap_err();
        let inner = yield shield(isolate(co! { yield; Err("contained")?; }));
        assert_eq!(inner.unwrap_err().to_string(), "contained");
        yield shield(race([waits(logs.clone(), "loser"), co! { yield; }]));
        logs.push("won");
        Err(error)?;
    };
    let error = Loop::new().run((polite, fails())).unwrap_err();
    assert!(error.others().is_empty(), "{error:?}");
    assert_eq!(log.take(), ["loser", "won"]);
}

// Catch.

#[test]
fn catch_gives_the_value_when_all_is_well() {
    let main = co! { (yield catch((co! { 1 }, co! { "two" }))).map_err(|error| error.to_string()) };
    assert_eq!(Loop::new().run(main).unwrap(), Ok((1, "two")));
}

#[test]
fn catch_gets_what_a_wait_raises_that_failed_elsewhere() {
    let failed = co! { yield; Err("elsewhere")?; }.shared();
    let outside = failed.clone();
    let main = co! {
        let domain = isolate(co! { yield &failed });
        let (inside, caught) = yield (domain, catch(co! { yield; yield; yield; "late" }));
        assert_eq!(inside.unwrap_err().to_string(), "elsewhere");
        assert_eq!(caught.unwrap(), "late");
        // It is no cancellation, so the coroutine goes on as if nothing had been.
        let error = (yield catch(&outside)).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.is_cancelled()), ("elsewhere", false));
        yield;
        "went on"
    };
    assert_eq!(Loop::new().run(main).unwrap(), "went on");
}

#[test]
fn a_try_operator_keeps_a_cancellation_a_cancellation() {
    let main = co! {
        let cancelled: Result<(), Error> = yield catch(forever());
        // Through a box, as a function of the user's might.
        let boxed: Box<dyn std::error::Error + Send + Sync> = cancelled.unwrap_err().into();
        Err(boxed)?;
    };
    let error = Loop::new().run((main, fails())).unwrap_err();
    assert!(error.others().is_empty(), "{error:?}");
    let main = co! {
        let error = (yield catch(forever())).unwrap_err();
        let cancelled: Cancelled = error.as_cancelled().unwrap().clone();
        Err(cancelled)?;
    };
    let error = Loop::new().run((main, fails())).unwrap_err();
    assert!(error.others().is_empty(), "{error:?}");
}

// Others.

#[test]
fn a_cancelled_foreign_future_is_dropped_and_not_polled_again() {
    struct Future(Counter, Counter);
    impl std::future::Future for Future {
        type Output = ();
        fn poll(self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<()> {
            self.0.up();
            std::task::Poll::Pending
        }
    }
    impl Drop for Future {
        fn drop(&mut self) {
            self.1.up();
        }
    }
    let (polls, drops) = (Counter::new(), Counter::new());
    let future = Future(polls.clone(), drops.clone());
    Loop::new().run((co! { future.await }, fails())).unwrap_err();
    assert_eq!((polls.get(), drops.get()), (1, 1));
}

#[test]
fn what_was_ready_when_the_other_failed_is_cancelled_all_the_same() {
    let log = Log::new();
    let logs = log.clone();
    let ready = co! {
        let _ends = logs.on_drop("dropped");
        loop {
            yield;
            logs.push("turn");
        }
    };
    Loop::new().run((ready, fails())).unwrap_err();
    // Two turns of the one that fails: one between its first and its second.
    assert_eq!(log.take(), ["turn", "turn", "dropped"]);
}

#[test]
fn a_failure_while_another_is_being_handled_is_among_the_others_and_cancels_nobody_twice() {
    let seen = Counter::new();
    let bystander = |seen: Counter| {
        co! {
            let error = (yield catch(forever())).unwrap_err();
            seen.up();
            let reason = error.as_cancelled().unwrap().reason();
            assert!(matches!(reason, Reason::Failed { name, .. } if name == "fails"));
            Err(error)?;
        }
    };
    let second = co! { let _ = yield catch(forever()); Err("second")?; };
    let third = co! { let _ = yield catch(forever()); Err("third")?; };
    let main = (bystander(seen.clone()), second, bystander(seen.clone()), third, fails());
    let error = Loop::new().run(main).unwrap_err();
    assert_eq!(error.to_string(), "failed");
    assert_eq!(messages(error.others()), ["third", "second"]);
    assert_eq!(seen.get(), 2);
}

#[test]
fn errors_of_one_round_after_the_first_are_not_raised_at_all() {
    // The second would have failed in the same round, but is cancelled before its turn.
    let late = Counter::new();
    let counts = late.clone();
    let error = Loop::new().run((fails(), co! { yield; yield; counts.up(); Err("too late")?; })).unwrap_err();
    assert_eq!(error.to_string(), "failed");
    assert!(error.others().is_empty());
    assert_eq!(late.get(), 0);
}

#[test]
fn an_error_may_carry_whatever_its_destructor_does() {
    #[derive(Debug)]
    struct Tells(std::sync::mpsc::Sender<()>);
    impl std::fmt::Display for Tells {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("tells")
        }
    }
    impl std::error::Error for Tells {}
    impl Drop for Tells {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
        }
    }
    let (sender, receiver) = std::sync::mpsc::channel();
    let error = Loop::new().run((co! { yield forever(); }, co! { yield; Err(Tells(sender))?; })).unwrap_err();
    assert!(error.error().downcast_ref::<Tells>().is_some());
    assert!(receiver.try_recv().is_err());
    drop(error);
    assert_eq!(receiver.try_iter().count(), 1);
}

#[test]
fn what_a_shielded_coroutine_left_in_the_background_is_cancelled_before_who_waited_at_the_shield() {
    let log = Log::new();
    let (outer, inner) = (log.clone(), log.clone());
    let background = co! {
        let _ends = inner.on_drop("background");
        yield forever();
    };
    let mut event_loop = Loop::new();
    let stop = event_loop.stop_handle();
    let waits = co! {
        let _ends = outer.on_drop("waits");
        let shielded = co! {
            stop.stop();
            yield;
            yield spawn(background);
        };
        yield (shield(shielded),);
    };
    assert!(event_loop.run(waits).unwrap_err().is_stopped());
    assert_eq!(log.take(), ["background", "waits"]);
}
