//! Shields: a wait that a cancellation does not interrupt, and the order of cancellation around it.

use tinyield::{Coro, Event, Loop, Reason, TimedOut, catch, co, isolate, race, shield, sleep, spawn, timeout};

use crate::common::{Gate, Log, forever, ms, simulated, to_end, to_idle, waits_forever};
use crate::fails;

#[test]
fn shield_waits_although_its_coroutine_is_cancelled() {
    let log = Log::new();
    let logs = log.clone();
    let polite = co! {
        let error = (yield catch(forever())).unwrap_err();
        logs.push("cancelled");
        let value = yield shield(co! { yield sleep(ms(2)); yield; 7 });
        logs.push(value);
        assert!((yield catch(())).is_err());
        logs.push("still cancelled");
        Err(error)?;
    };
    let error = simulated().run((polite, fails())).unwrap_err();
    assert_eq!(log.take(), ["cancelled", "7", "still cancelled"]);
    assert_eq!(error.to_string(), "failed");
    assert!(error.others().is_empty(), "{error:?}");
}

#[test]
fn shield_that_began_before_the_cancellation_is_not_interrupted() {
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
fn second_and_third_cancellation_do_not_interrupt_a_shield() {
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
        // The cancellation did not poll it again.
        assert_eq!(gate.polls(), 1);
        assert_eq!(log.len(), 0);
        let opens = std::thread::spawn(move || opener.open());
        drop(runtime);
        opens.join().unwrap();
    }
    assert_eq!(log.take(), ["cleaned up"]);
}

#[test]
fn parent_is_cancelled_after_both_shielded_children_have_ended() {
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
fn waiter_of_a_failed_and_a_shielded_coroutine_is_cancelled_after_the_shield() {
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
fn background_of_a_shielded_wait_is_cancelled_when_the_shield_ends() {
    let log = Log::new();
    let (logs, ends) = (log.clone(), log.clone());
    let polite = co! {
        let error = (yield catch(forever())).unwrap_err();
        yield shield(co! {
            yield spawn(waits_forever(logs, "left behind"));
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
fn shield_without_a_cancellation_is_a_plain_wait() {
    let main = co! {
        let (a, b) = yield (shield(co! { yield; 1 }), shield((co! { 2 }, sleep(ms(1)))));
        yield shield(spawn(co! { yield; }));
        yield shield(());
        (a, b)
    };
    assert_eq!(simulated().run(main).unwrap(), (1, (2, ())));
}

#[test]
fn timeout_inside_a_shield_fires() {
    let log = Log::new();
    let logs = log.clone();
    let polite = co! {
        let error = (yield catch(forever())).unwrap_err();
        let result = yield shield(timeout(waits_forever(logs.clone(), "inside"), ms(1)));
        assert_eq!(result, Err(TimedOut));
        logs.push("gave up cleaning");
        Err(error)?;
    };
    simulated().run((polite, fails())).unwrap_err();
    assert_eq!(log.take(), ["inside", "gave up cleaning"]);
}

#[test]
fn isolate_and_race_inside_a_shield_work() {
    let log = Log::new();
    let logs = log.clone();
    let polite = co! {
        let error = (yield catch(forever())).unwrap_err();
        let inner = yield shield(isolate(co! { yield; Err("contained")?; }));
        assert_eq!(inner.unwrap_err().to_string(), "contained");
        yield shield(race([waits_forever(logs.clone(), "loser"), co! { yield; }]));
        logs.push("won");
        Err(error)?;
    };
    let error = Loop::new().run((polite, fails())).unwrap_err();
    assert!(error.others().is_empty(), "{error:?}");
    assert_eq!(log.take(), ["loser", "won"]);
}

#[test]
fn background_of_a_shield_is_cancelled_before_the_coroutine_at_the_shield() {
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

#[test]
fn gather_of_shields_waits_although_its_coroutine_is_cancelled() {
    let log = Log::new();
    let logs = log.clone();
    let polite = co! {
        let error = (yield catch(forever())).unwrap_err();
        let says = |word: &'static str| { let log = logs.clone(); co! { yield; log.push(word); } };
        yield [shield(says("one")), shield(says("two"))];
        yield vec![shield(says("three"))];
        yield (shield(says("four")), shield(says("five")));
        yield Some(shield(says("six")));
        assert!((yield catch((shield(says("not said")), ()))).is_err());
        Err(error)?;
    };
    let error = simulated().run((polite, fails())).unwrap_err();
    assert_eq!(log.take(), ["one", "two", "three", "four", "five", "six"]);
    assert!(error.others().is_empty(), "{error:?}");
}

#[test]
fn gather_of_shields_that_began_before_the_cancellation_gives_its_outputs() {
    let (log, gate) = (Log::new(), Event::new());
    let (logs, opened) = (log.clone(), gate.clone());
    let shielded = co! {
        let one = co! { yield opened.wait(); 1 };
        let outputs = yield (shield(one), shield(co! { 2 }));
        logs.push(format!("{outputs:?}"));
        yield;
        logs.push("not reached");
    };
    let opens = co! { let _ = yield catch(forever()); gate.set(); };
    let error = simulated().run((shielded, opens, fails())).unwrap_err();
    assert_eq!(error.to_string(), "failed");
    assert_eq!(log.take(), ["(1, 2)"]);
}
