//! A remote handle of an event or a channel costs the same beside ten times as many coroutines that wait there.

use std::time::Duration;

use tinyield::channel::unbounded;
use tinyield::{Coro, Event, Loop, co, spawn};

use crate::{Cost, allocations, assert_independent, assert_linear, cost_of, iterations, total_cost};

const HANDLES: usize = 100;

fn beside_waits(
    wait: impl Fn() -> Coro<()>,
    count: usize,
    act: impl FnOnce() + 'static,
    end: impl FnOnce() + 'static,
) -> Cost {
    let waits: Vec<_> = (0..count).map(|_| wait()).collect();
    let main = co! {
        yield spawn(waits);
        yield;
        let cost = cost_of(act);
        end();
        cost
    };
    Loop::new().run(main).unwrap()
}

#[test]
fn a_further_remote_handle_of_an_event_costs_the_same_beside_ten_times_as_many_waits() {
    for keeps in [true, false] {
        assert_independent(|count| {
            let event = Event::new();
            let (waits, acts, ends) = (event.clone(), event.clone(), event);
            let wait = || {
                let event = waits.clone();
                co! { yield event.wait(); }
            };
            // The first handle goes through the queue.
            let first = acts.remote();
            let act = move || {
                let mut kept = Vec::with_capacity(HANDLES);
                for _ in 0..HANDLES {
                    let remote = acts.remote();
                    kept.extend(keeps.then_some(remote));
                }
                drop((kept, first));
            };
            beside_waits(wait, count, act, move || ends.set())
        });
    }
}

#[test]
fn a_remote_handle_that_is_made_and_dropped_again_and_again_goes_through_the_queue_once() {
    assert_linear(|count| {
        let event = Event::new();
        let (waits, acts, ends) = (event.clone(), event.clone(), event);
        let wait = || {
            let event = waits.clone();
            co! { yield event.wait(); }
        };
        let act = move || (0..count).for_each(|_| drop(acts.remote()));
        beside_waits(wait, count, act, move || ends.set());
    });
}

#[test]
fn a_wait_that_begins_between_remote_handles_costs_the_same_beside_ten_times_as_many_waits() {
    assert_independent(|count| {
        let event = Event::new();
        let waits: Vec<_> = (0..count).map(|_| event.wait()).map(|wait| co! { yield wait; }).collect();
        let main = co! {
            yield spawn(waits);
            yield;
            drop(event.remote());
            let before = total_cost();
            for _ in 0..HANDLES {
                drop(event.remote());
                yield event.wait_timeout(Duration::ZERO);
            }
            event.set();
            Cost { iterations: iterations() - before.iterations, allocations: allocations::count() - before.allocations }
        };
        Loop::new().run(main).unwrap()
    });
}

#[test]
fn a_further_remote_end_of_a_channel_costs_the_same_beside_ten_times_as_many_waits() {
    assert_independent(|count| {
        let (sender, receiver) = unbounded::<()>();
        let wait = || {
            let receiver = receiver.clone();
            co! { let _closed = yield receiver.recv(); }
        };
        let first = sender.remote();
        let acts = sender.clone();
        let act = move || {
            drop((0..HANDLES).map(|_| acts.remote()).collect::<Vec<_>>());
            (0..HANDLES).for_each(|_| drop(acts.remote()));
        };
        beside_waits(wait, count, act, move || drop((sender, first)))
    });
}
