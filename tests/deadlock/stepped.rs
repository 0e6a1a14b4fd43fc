//! Loops that are stepped or polled. Their host may still set an event, so only a cycle is an error.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::Poll;

use tinyield::{Coro, Event, Loop, Shared, Step, as_completed, co, coro, shield};

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
fn dropping_a_runtime_drops_what_is_stuck_behind_shields() {
    let drops = Counter::new();
    let guard = drops.guard();
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(co! { let _guard = guard; yield shield(never()); });
    let _ = to_idle(&mut runtime);
    drop(runtime);
    assert_eq!(drops.get(), 1);
}

/// Waits for the item of `index` of an `as_completed` of one coroutine that waits for this one, and of one that waits for `gate`.
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
fn cycle_through_the_last_item_of_as_completed_is_called_one_by_a_run() {
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
