//! An operation costs the same beside ten times as many tasks, scopes or loops that have nothing to do with it.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;

use tinyield::{Coro, Event, Loop, Shared, Step, as_completed, co, coro, run_in_thread, sleep, spawn, timeout};

use crate::common::{FOREVER, ms, simulated, to_idle};
use crate::{Cost, allocations, assert_independent, cost_of, cost_since, iterations, run, total_cost};

/// The cost of a hundred wake-ups of a stepped loop in which `parked` runs. Each wake-up resumes a coroutine that yields a handle.
fn cost_of_wake_ups(parked: Coro<()>) -> Cost {
    const WAKE_UPS: usize = 100;
    let event = Event::new();
    let wakes = event.clone();
    let main = co! {
        yield spawn(parked);
        loop {
            let waits = event.clone();
            let handle = yield spawn(co! { yield waits.wait(); });
            yield handle;
            event.clear();
        }
    };
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(main);
    let _idle = to_idle(&mut runtime);
    let wake_up = |runtime: &mut tinyield::Runtime<'_, ()>| {
        wakes.set();
        loop {
            match runtime.step() {
                Step::Ran => {}
                Step::Idle(_) => break,
                Step::Done(_) => unreachable!(),
            }
        }
    };
    wake_up(&mut runtime);
    cost_of(|| (0..WAKE_UPS).for_each(|_| wake_up(&mut runtime)))
}

#[test]
fn a_wake_up_beside_parked_coroutines_costs_the_same_beside_ten_times_as_many() {
    assert_independent(|count| {
        let event = Event::new();
        cost_of_wake_ups(co! { yield (0..count).map(|_| event.wait()).collect::<Vec<_>>(); })
    });
    assert_independent(|count| {
        let event = Event::new();
        let waits = move || {
            let event = event.clone();
            co! { yield event.wait(); }
        };
        cost_of_wake_ups(co! { yield (0..count).map(|_| waits()).collect::<Vec<_>>(); })
    });
}

#[test]
fn a_wake_up_beside_as_completed_costs_the_same_beside_ten_times_as_many() {
    assert_independent(|count| {
        let event = Event::new();
        let waits = move || {
            let event = event.clone();
            co! { yield event.wait(); }
        };
        cost_of_wake_ups(co! {
            for next in yield as_completed((0..count).map(|_| waits())) {
                yield next;
            }
        })
    });
}

/// The cost of a hundred wake-ups of a stepped loop in which `count` coroutines wait for a shared one. At each wake-up, the shared
/// coroutine yields a new coroutine from `acts`.
fn cost_beside_dependents(count: usize, acts: impl Fn() -> Coro<()> + 'static) -> Cost {
    const WAKE_UPS: usize = 100;
    let event = Event::new();
    let wakes = event.clone();
    let shared: Shared<()> = co! {
        loop {
            yield event.wait();
            event.clear();
            yield acts();
        }
    }
    .shared();
    let waits = move || {
        let shared = shared.clone();
        co! { yield shared; }
    };
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime((0..count).map(|_| waits()).collect::<Vec<_>>());
    let _idle = to_idle(&mut runtime);
    let mut wake_up = || {
        wakes.set();
        let _idle = to_idle(&mut runtime);
    };
    wake_up();
    cost_of(|| (0..WAKE_UPS).for_each(|_| wake_up()))
}

#[test]
fn a_wake_up_of_a_coroutine_that_yields_a_handle_costs_the_same_beside_ten_times_as_many_that_wait_for_it() {
    assert_independent(|count| {
        cost_beside_dependents(count, || {
            co! {
                let handle = yield spawn(co! { yield; yield; });
                yield handle;
            }
        })
    });
    assert_independent(|count| {
        cost_beside_dependents(count, || {
            co! {
                for next in yield as_completed((0..3).map(|_| co! { yield; })) {
                    yield next;
                }
            }
        })
    });
}

#[test]
fn a_jump_of_a_simulated_clock_beside_sleeping_guests_costs_the_same_beside_ten_times_as_many() {
    const JUMPS: usize = 100;
    assert_independent(|count| {
        let main = co! {
            let guests = (0..count).map(|_| {
                let mut guest = Loop::new().into_runtime(co! { yield Event::new().wait(); });
                co! { poll_fn(|context| guest.poll(context)).await?; }
            });
            yield spawn(guests.collect::<Vec<_>>());
            yield sleep(ms(1));
            let before = total_cost();
            for _ in 0..JUMPS {
                yield sleep(ms(1));
            }
            cost_since(before)
        };
        let cost = Rc::new(Cell::new(None));
        let keeps = cost.clone();
        let error = simulated().run(co! { keeps.set(Some(yield main)); Err("stop")? }).unwrap_err();
        assert!(error.to_string().contains("stop"), "{error}");
        cost.take().unwrap()
    });
}

/// Calls `act` in a coroutine below nested timeouts.
#[coro]
fn below_timeouts<T: 'static>(depth: usize, act: impl FnOnce() -> Coro<T> + 'static) -> Coro<T> {
    if depth == 0 {
        yield act()
    } else {
        let act: Box<dyn FnOnce() -> Coro<T>> = Box::new(act);
        (yield timeout(below_timeouts(depth - 1, act), FOREVER)).unwrap()
    }
}

#[test]
fn starting_shared_coroutines_costs_the_same_below_ten_times_as_many_timeouts() {
    assert_independent(|count| {
        let act = || {
            co! {
                // The first one also finds the scope in which all of them run.
                yield co! {}.shared();
                let before = Cost { iterations: iterations(), allocations: allocations::count() };
                for _ in 0..100 {
                    yield co! {}.shared();
                }
                Cost { iterations: iterations() - before.iterations, allocations: allocations::count() - before.allocations }
            }
        };
        run(below_timeouts(count, act)).unwrap()
    });
}

#[test]
fn a_short_run_in_a_closure_costs_the_same_beside_ten_times_as_many_open_ones() {
    assert_independent(|count| {
        let closure = move || {
            let open: Vec<_> =
                (0..count).map(|_| Loop::new().into_runtime(co! { yield Event::new().wait(); })).collect();
            let cost = cost_of(|| (0..100).for_each(|_| Loop::new().run(co! { yield; }).unwrap()));
            drop(open);
            (cost.iterations, cost.allocations)
        };
        let (iterations, allocations) = Loop::new().run(run_in_thread(closure)).unwrap();
        Cost { iterations, allocations }
    });
}
