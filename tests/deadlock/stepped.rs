//! Loops that are stepped or polled. Their host may still set an event, so only a cycle is an error.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tinyield::{
    AbortHandle, Coro, Event, JoinHandle, Loop, LoopError, Runtime, Shared, Step, TimedOut, abortable, as_completed,
    catch, co, coro, isolate, race, shield, spawn, timeout,
};

use crate::common::{Counter, Gate, Wakes, messages, poll, ran, to_end, to_idle};
use crate::{cycle_of_two, deadlock, never};

#[test]
fn stepped_loop_is_idle_where_a_run_would_be_stuck() {
    let gate = Gate::new();
    let waits = gate.clone();
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime((never(), co! { waits.await }));
    let (_, idle) = to_idle(&mut runtime);
    assert_eq!(idle.deadline(), None);
    gate.open();
    ran(&mut runtime);
    let _ = to_idle(&mut runtime);
}

#[test]
fn cycle_is_an_error_of_a_stepped_loop() {
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(co! { yield cycle_of_two(["f", "g"]); });
    let error = loop {
        match runtime.step() {
            Step::Ran => {}
            Step::Idle(_) => panic!("a cycle can never go on"),
            Step::Done(result) => break result.unwrap_err(),
        }
    };
    assert_eq!(deadlock(&error).cycle().len(), 2);
}

#[test]
fn cycle_is_an_error_of_a_polled_loop() {
    let (_, waker) = Wakes::new();
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(co! { yield cycle_of_two(["f", "g"]); });
    let Poll::Ready(Err(error)) = poll(&mut runtime, &waker) else { panic!("a cycle can never go on") };
    assert_eq!(deadlock(&error).cycle().len(), 2);
}

#[test]
fn cycle_behind_a_shield_ends_a_stepped_loop_while_other_shields_go_on() {
    let event = Event::new();
    let (set, done) = (event.clone(), Counter::new());
    let counts = done.clone();
    let own: Rc<RefCell<Option<Shared<()>>>> = Rc::default();
    let shared = {
        let own = own.clone();
        co! {
            let own = own.borrow_mut().take().unwrap();
            yield shield(co! { yield own; });
        }
        .shared()
    };
    *own.borrow_mut() = Some(shared.clone());
    let cleans_up = co! {
        yield shield(event.wait());
        counts.up();
        yield
    };
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(co! { yield (shared, cleans_up); });
    let _idle = to_idle(&mut runtime);
    assert_eq!(done.get(), 0);
    set.set();
    let (_, result) = to_end(&mut runtime);
    assert_eq!(done.get(), 1);
    let error = result.unwrap_err();
    assert!(!deadlock(&error).cycle().is_empty());
    assert!(messages(error.others()).iter().any(|other| other.contains("behind a shield")), "{error:?}");
}

#[test]
fn dropping_a_runtime_drops_the_work_that_is_stuck_behind_shields() {
    let drops = Counter::new();
    let guard = drops.guard();
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(co! { let _guard = guard; yield shield(never()); });
    let _ = to_idle(&mut runtime);
    drop(runtime);
    assert_eq!(drops.get(), 1);
}

/// A coroutine makes an `as_completed` of two others: one waits for the first coroutine, the other one for `gate`. The first coroutine
/// waits for the item with this `index`.
#[coro]
fn waits_for_item(index: usize, gate: Event) -> Coro<()> {
    let own: Rc<RefCell<Option<Shared<()>>>> = Rc::default();
    let (seen, begun) = (own.clone(), Event::new());
    let begins = begun.clone();
    let shared = co! {
        let own = seen.borrow_mut().take().unwrap();
        let in_cycle = co! { begins.set(); yield own; };
        let mut items = yield as_completed([in_cycle, co! { yield gate.wait(); }]);
        let item = items.nth(index).unwrap();
        yield item;
    }
    .named("waits for an item")
    .shared();
    *own.borrow_mut() = Some(shared.clone());
    yield (shared, begun.wait());
}

#[test]
fn cycle_through_the_last_item_of_as_completed_is_an_error_of_a_stepped_loop() {
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(waits_for_item(1, Event::new()));
    let error = to_end(&mut runtime).1.unwrap_err();
    assert!(deadlock(&error).cycle().iter().any(|name| name == "waits for an item"), "{error:?}");
}

#[test]
fn cycle_through_the_last_item_of_as_completed_is_reported_as_a_cycle_by_a_run() {
    let error = Loop::new().run(waits_for_item(1, Event::new())).unwrap_err();
    assert!(deadlock(&error).cycle().iter().any(|name| name == "waits for an item"), "{error:?}");
}

#[test]
fn an_item_of_as_completed_that_another_coroutine_can_complete_closes_no_cycle() {
    let gate = Event::new();
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(waits_for_item(0, gate.clone()));
    let _idle = to_idle(&mut runtime);
    gate.set();
    to_end(&mut runtime).1.unwrap();
}

#[test]
fn cycle_through_as_completed_is_found_when_the_coroutine_outside_of_it_has_ended() {
    let gate = Event::new();
    let mut event_loop = Loop::new();
    let main = {
        let own: Rc<RefCell<Option<Shared<()>>>> = Rc::default();
        let seen = own.clone();
        let gate = gate.clone();
        let shared = co! {
            let own = seen.borrow_mut().take().unwrap();
            for next in yield as_completed([co! { yield own; }, co! { yield gate.wait(); }]) {
                yield next;
            }
        }
        .shared();
        *own.borrow_mut() = Some(shared.clone());
        shared
    };
    let mut runtime = event_loop.runtime(main);
    let _idle = to_idle(&mut runtime);
    gate.set();
    let error = to_end(&mut runtime).1.unwrap_err();
    assert!(!deadlock(&error).cycle().is_empty(), "{error:?}");
}

/// A coroutine that waits for its abortable work, which waits for the coroutine. With `shielded`, the work waits behind a shield.
fn cycle_through_an_abortable(shielded: bool) -> (Coro<()>, AbortHandle) {
    let own: Rc<RefCell<Option<JoinHandle<&'static str>>>> = Rc::default();
    let kept = own.clone();
    let (work, handle) = abortable(co! {
        yield;
        let outer = own.borrow_mut().take().unwrap();
        if shielded {
            yield shield(co! { yield outer; });
        } else {
            yield outer;
        }
    });
    let main = co! {
        let waits = co! { if (yield work).is_err() { "aborted" } else { "ended" } }.named("waits");
        *kept.borrow_mut() = Some(yield spawn(waits));
    };
    (main, handle)
}

/// Steps until the loop is idle or done. Returns its result if it is done.
fn to_idle_or_end(runtime: &mut Runtime<'_, ()>) -> Option<Result<(), LoopError>> {
    loop {
        match runtime.step() {
            Step::Ran => {}
            Step::Idle(_) => return None,
            Step::Done(result) => return Some(result),
        }
    }
}

#[test]
fn cycle_that_the_host_can_abort_is_no_error_of_a_stepped_loop() {
    let (main, handle) = cycle_through_an_abortable(false);
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(main);
    assert!(to_idle_or_end(&mut runtime).is_none());
    handle.abort();
    to_idle_or_end(&mut runtime).unwrap().unwrap();
}

#[test]
fn cycle_that_a_coroutine_can_abort_when_the_host_sets_an_event_is_no_error_of_a_stepped_loop() {
    let stop = Event::new();
    let stops = stop.clone();
    let (cycle, handle) = cycle_through_an_abortable(false);
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(co! { yield (cycle, co! { yield stop.wait(); handle.abort(); }); });
    assert!(to_idle_or_end(&mut runtime).is_none());
    stops.set();
    to_idle_or_end(&mut runtime).unwrap().unwrap();
}

#[test]
fn cycle_is_an_error_of_a_stepped_loop_once_nothing_can_abort_it() {
    for clones in [false, true] {
        let (main, handle) = cycle_through_an_abortable(false);
        let clone = clones.then(|| handle.clone());
        let mut event_loop = Loop::new();
        let mut runtime = event_loop.runtime(main);
        assert!(to_idle_or_end(&mut runtime).is_none());
        drop(handle);
        assert_eq!(to_idle_or_end(&mut runtime).is_none(), clones);
        drop(clone);
        if clones {
            let error = to_idle_or_end(&mut runtime).unwrap().unwrap_err();
            assert!(deadlock(&error).cycle().contains(&"waits".into()), "{error:?}");
        }
    }
}

#[test]
fn dropping_the_last_abort_handle_of_a_cycle_wakes_the_host() {
    let (main, handle) = cycle_through_an_abortable(false);
    let (wakes, waker) = Wakes::new();
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(main);
    assert!(poll(&mut runtime, &waker).is_pending());
    assert_eq!(wakes.get(), 0);
    drop(handle);
    assert_eq!(wakes.get(), 1);
    let Poll::Ready(Err(error)) = poll(&mut runtime, &waker) else { panic!("nothing can end the cycle") };
    assert!(!deadlock(&error).cycle().is_empty());
}

#[test]
fn cycle_through_a_shield_that_an_abort_cannot_end_is_an_error_of_a_stepped_loop() {
    let (main, _handle) = cycle_through_an_abortable(true);
    let outer = co! { yield shield(main); };
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(outer);
    // The abort does not reach the coroutine in the shield. So it ends neither the work that waits at the shield, nor the coroutine that
    // waits for the work.
    let error = to_idle_or_end(&mut runtime).unwrap().unwrap_err();
    assert!(deadlock(&error).cycle().contains(&"waits".into()), "{error:?}");
}

#[test]
fn cycle_that_is_left_after_an_abort_is_an_error_of_a_stepped_loop() {
    // The work gives up one wait when it is aborted, and begins another one that closes the cycle again.
    let own: Rc<RefCell<Option<Shared<()>>>> = Rc::default();
    let seen = own.clone();
    let (work, handle) = abortable(co! {
        let outer = seen.borrow_mut().take().unwrap();
        let _ = yield catch(outer.clone());
        yield shield(co! { yield outer; });
    });
    let shared = co! { let _ = yield work; }.named("waits").shared();
    *own.borrow_mut() = Some(shared.clone());
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(co! { yield shared; });
    assert!(to_idle_or_end(&mut runtime).is_none());
    handle.abort();
    let error = to_idle_or_end(&mut runtime).unwrap().unwrap_err();
    assert!(!deadlock(&error).cycle().is_empty(), "{error:?}");
}

#[test]
fn run_reports_a_cycle_although_an_abort_handle_exists() {
    let (main, _handle) = cycle_through_an_abortable(false);
    let error = Loop::new().run(main).unwrap_err();
    assert!(deadlock(&error).cycle().contains(&"waits".into()), "{error:?}");
}

#[test]
fn cycle_that_is_closed_when_a_timeout_leaves_a_coroutine_behind_is_an_error_of_a_stepped_loop() {
    for form in 0..3 {
        let gate = Event::new();
        let opens = gate.clone();
        let own: Rc<RefCell<Option<JoinHandle<()>>>> = Rc::default();
        let seen = own.clone();
        // The cycle: the coroutine that is left behind waits for another coroutine. That one waits for everything that was started inside.
        let work = co! {
            let left_behind = co! { let outer = seen.borrow_mut().take().unwrap(); yield outer; };
            yield spawn(left_behind);
            yield gate.wait();
        };
        let work: Coro<()> = co! { (yield timeout(work, Duration::MAX)).unwrap(); };
        let outer: Coro<()> = match form {
            0 => co! { let _ = yield isolate(work); },
            1 => co! { let _ = yield isolate(race([work])); },
            _ => {
                let (work, _handle) = abortable(work);
                co! { let _ = yield work; }
            }
        };
        let main = co! { *own.borrow_mut() = Some(yield spawn(outer.named("outer"))); };
        let mut event_loop = Loop::new();
        let mut runtime = event_loop.runtime(main);
        let _idle = to_idle(&mut runtime);
        opens.set();
        let error = to_idle_or_end(&mut runtime).expect("the cycle is found").unwrap_err();
        assert!(deadlock(&error).cycle().iter().any(|name| name == "outer"), "{form}: {error:?}");
    }
}

#[test]
fn cycle_that_a_timeout_will_end_is_no_error_of_a_stepped_loop() {
    let slot = Rc::new(RefCell::new(None));
    let other = slot.clone();
    let first = co! {
        for _ in 0..4 {
            yield;
        }
        let other: JoinHandle<()> = other.take().unwrap();
        assert_eq!(yield timeout(other, Duration::from_millis(1)), Err(TimedOut));
    };
    let main = co! {
        let first = yield spawn(first);
        let second = yield spawn(co! { yield first });
        *slot.borrow_mut() = Some(second);
    };
    let mut event_loop = Loop::new();
    to_end(&mut event_loop.runtime(main)).1.unwrap();
}
