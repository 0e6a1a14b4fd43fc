//! Destructors that call the loop: while it cancels, and while it drops coroutines that never ran.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::Waker;

use tinyield::{
    Coro, JoinHandle, Loop, Shared, catch, channel, co, coro, isolate, race, shield, sleep, spawn, timeout,
};

use crate::common::{Alive, Gate, LONG, Log, OnDrop, Token, forever, ms, panic_of, simulated, to_idle};

#[coro]
fn fails_after_some_turns() -> Coro<()> {
    for _ in 0..3 {
        yield;
    }
    Err("failed")?
}

/// Waits for ever, and calls `f` when it is cancelled.
fn on_cancel(f: impl FnMut() + 'static) -> Coro<()> {
    co! {
        let _on_drop = OnDrop(f);
        yield forever();
    }
}

#[test]
fn destructor_runs_a_loop_of_its_own() {
    let log = Log::new();
    let logs = log.clone();
    let nested = on_cancel(move || {
        let inner = co! { yield (sleep(ms(1)), co! { yield; }); "nested" };
        logs.push(simulated().run(inner).unwrap());
        let _ = simulated().run(co! { yield; Err("failed inside")?; }).unwrap_err();
    });
    let error = simulated().run((nested, fails_after_some_turns())).unwrap_err();
    assert_eq!((error.to_string().as_str(), error.others().len()), ("failed", 0));
    assert_eq!(log.take(), ["nested"]);
}

#[test]
fn destructor_wakes_a_coroutine_that_cleans_up() {
    let gate = Gate::new();
    let (opens, waits) = (gate.clone(), gate.clone());
    let log = Log::new();
    let logs = log.clone();
    let cleans_up = co! {
        let error = (yield catch(forever())).unwrap_err();
        yield shield(co! { waits.await });
        logs.push("clean");
        Err(error)?;
    };
    // The first one started before the other, so it is cancelled while the other waits for the gate.
    let main = (on_cancel(move || opens.open()), cleans_up, fails_after_some_turns());
    let error = Loop::new().run(main).unwrap_err();
    assert!(error.others().is_empty(), "{error:?}");
    assert_eq!(log.take(), ["clean"]);
}

#[test]
fn destructor_drops_the_last_handles_of_other_coroutines() {
    let alive = Alive::new();
    let handles = Rc::new(RefCell::new(Vec::<JoinHandle<Token>>::new()));
    let shared: Rc<RefCell<Option<Shared<Token>>>> = Rc::default();
    let (fills, empties, shares) = (handles.clone(), handles.clone(), shared.clone());
    let tokens = alive.clone();
    let main = co! {
        for turns in [0, 50] {
            let token = tokens.token();
            let handle = yield spawn(co! { for _ in 0..turns { yield; } token });
            fills.borrow_mut().push(handle);
        }
        let token = tokens.token();
        let started = co! { yield forever(); token }.shared();
        yield spawn(&started);
        *shares.borrow_mut() = Some(started);
        let unstarted = co! { yield forever(); }.shared();
        let drops_all = on_cancel(move || {
            empties.take();
            shared.take();
            drop(unstarted.clone());
        });
        yield (drops_all, fails_after_some_turns());
    };
    assert_eq!(Loop::new().run(main).unwrap_err().to_string(), "failed");
    assert_eq!(alive.get(), 0);
    assert!(handles.take().is_empty());
}

#[test]
fn destructor_makes_and_drops_coroutines() {
    let alive = Alive::new();
    let tokens = alive.clone();
    let makes = on_cancel(move || {
        let mut chain = {
            let held = tokens.token();
            co! { drop(held); 0 }
        };
        for _ in 0..1_000 {
            let (inner, held) = (chain, tokens.token());
            chain = co! { let _held = held; yield inner };
        }
        drop(chain);
        drop((timeout(forever(), LONG), race([co! { 1 }]), isolate(co! { 1 }), shield(forever()), spawn(co! { 1 })));
    });
    Loop::new().run((makes, fails_after_some_turns())).unwrap_err();
    assert_eq!(alive.get(), 0);
}

#[test]
fn destructor_stops_the_loop_that_is_stopping_and_wakes_a_coroutine_that_has_ended() {
    let mut event_loop = Loop::new();
    let handle = event_loop.stop_handle();
    let gate = Gate::new();
    let waits = gate.clone();
    let waker = Rc::<RefCell<Option<Waker>>>::default();
    let wakes = waker.clone();
    let stops = on_cancel(move || {
        handle.stop();
        if let Some(waker) = wakes.take() {
            waker.wake();
        }
    });
    let mut runtime = event_loop.runtime((stops, co! { waits.await }));
    let _ = to_idle(&mut runtime);
    *waker.borrow_mut() = gate.waker();
    drop(runtime);
    assert_eq!(event_loop.run(co! { yield; 1 }).unwrap(), 1);
}

#[test]
fn destructor_of_a_value_runs_a_loop_that_drops_the_next_such_value() {
    struct Value(u32, Log);
    impl Drop for Value {
        fn drop(&mut self) {
            let (n, log) = (self.0, self.1.clone());
            let next = (n > 0).then(|| co! { yield; Value(n - 1, log) });
            drop(Loop::new().run(next).unwrap());
            self.1.push(n);
        }
    }
    let log = Log::new();
    let first = Value(5, log.clone());
    Loop::new().run(co! { drop(yield spawn(co! { yield; first })); }).unwrap();
    assert_eq!(log.take(), ["0", "1", "2", "3", "4", "5"]);
}

#[test]
fn coroutines_dropped_in_a_nested_loop_are_dropped_at_once_although_that_loop_runs_in_a_destructor() {
    let out = Log::new();
    let log = out.clone();
    let runs = OnDrop(move || {
        let main = co! {
            let (sender, receiver) = channel::unbounded::<()>();
            drop(co! { drop(sender); });
            (yield receiver.recv()).is_err()
        };
        log.push(Loop::new().run(main).unwrap());
    });
    drop(co! { drop(runs); });
    assert_eq!(out.take(), ["true"]);
}

#[test]
fn second_panic_in_a_destructor_is_forgotten_although_its_payload_panics_when_dropped() {
    struct Payload;
    impl Drop for Payload {
        fn drop(&mut self) {
            panic!("the payload");
        }
    }
    let bomb = OnDrop(|| std::panic::panic_any(Payload));
    let coro = co! { drop(bomb); };
    let message = panic_of(move || {
        let _dropped_while_panicking = coro;
        panic!("the first")
    });
    assert_eq!(message, "the first");
}
