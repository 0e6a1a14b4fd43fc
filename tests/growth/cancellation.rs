//! How the cost of a cancellation grows: a task that is already cancelled is never visited again.

use std::time::Duration;

use tinyield::{
    Coro, Event, Grouping, Loop, Shared, as_completed, catch, co, coro, isolate, race, shield, spawn, timeout,
};

use crate::common::{FOREVER, forever};
use crate::{assert_linear, look_at, run};

#[test]
fn cancelling_the_coroutines_of_as_completed_is_linear() {
    assert_linear(|count| {
        let main = co! {
            let items: Vec<_> = (yield as_completed((0..count).map(|_| co! { yield forever(); }))).collect();
            yield spawn(co! { yield items; });
            yield;
            yield;
            Err("stop")?;
        };
        look_at(&run(main).unwrap_err());
    });
}

#[test]
fn cancelling_a_gather_a_race_and_spawned_coroutines_is_linear() {
    assert_linear(|count| {
        let waits = move || (0..count).map(|_| co! { yield forever(); }).collect::<Vec<_>>();
        let main = co! {
            yield spawn(waits());
            yield spawn(co! { yield waits(); });
            yield spawn(co! { yield race(waits()); });
            yield;
            yield;
            Err("stop")?;
        };
        look_at(&run(main).unwrap_err());
    });
}

#[coro]
fn nested_timeouts(depth: usize, limit: Duration) -> Coro<()> {
    if depth == 0 {
        yield forever();
    } else {
        let _ = yield timeout(nested_timeouts(depth - 1, limit), limit);
    }
}

#[test]
fn nested_timeouts_that_are_due_at_once_are_linear() {
    assert_linear(|count| run(nested_timeouts(count, Duration::ZERO)).unwrap());
    assert_linear(|count| {
        let all: Vec<_> = (0..count).map(|_| nested_timeouts(1, Duration::ZERO)).collect();
        run(co! { yield all; }).unwrap();
    });
}

#[test]
fn a_timeout_around_nested_timeouts_is_linear() {
    assert_linear(|count| {
        assert!(run(co! { yield timeout(nested_timeouts(count, FOREVER), Duration::ZERO) }).unwrap().is_err());
    });
}

/// A shield in a shield, and so on; each leaves a coroutine in the background.
#[coro]
fn nested_shields(depth: usize, end: Event) -> Coro<()> {
    yield spawn(co! { yield forever(); });
    if depth == 0 {
        yield end.wait();
    } else {
        yield shield(nested_shields(depth - 1, end));
    }
}

#[test]
fn nested_shields_with_coroutines_in_the_background_are_linear() {
    assert_linear(|count| {
        let end = Event::new();
        let ends = end.clone();
        let main = co! {
            yield spawn(nested_shields(count, end));
            for _ in 0..2 * count + 10 {
                yield;
            }
            yield spawn(co! { yield shield(co! { yield; yield; yield; ends.set(); }); });
            yield;
            Err("stop")?;
        };
        look_at(&run(main).unwrap_err());
    });
    // One after the other, in a scope that is cancelled.
    assert_linear(|count| {
        let main = co! {
            if (yield catch(forever())).is_err() {
                for _ in 0..count {
                    yield shield(co! { yield spawn(co! { yield forever(); }); });
                }
            }
        };
        look_at(&run(co! { yield (main, co! { yield; Err("stop")?; }); }).unwrap_err());
    });
}

/// Each domain has a coroutine that cleans up behind a shield.
#[coro]
fn nested_isolates(depth: usize, end: Event) -> Coro<()> {
    let cleans_up = end.clone();
    yield spawn(co! {
        if let Err(cancelled) = yield catch(forever()) {
            yield shield(cleans_up.wait());
            Err(cancelled)?;
        }
    });
    if depth == 0 {
        yield forever();
    } else {
        let _ = yield isolate(nested_isolates(depth - 1, end)).grouping(Grouping::Always);
    }
}

#[test]
fn nested_isolates_with_a_cleaner_each_are_linear() {
    assert_linear(|count| {
        let end = Event::new();
        let ends = end.clone();
        let main = co! {
            yield spawn(nested_isolates(count, end));
            for _ in 0..2 * count + 10 {
                yield;
            }
            yield spawn(co! { yield shield(co! { yield; yield; yield; ends.set(); }); });
            yield;
            Err("stop")?;
        };
        look_at(&run(main).unwrap_err());
    });
}

#[test]
fn a_race_whose_losers_have_waiters_outside_is_linear() {
    assert_linear(|count| {
        let shared: Vec<Shared<()>> = (0..count).map(|_| co! { yield forever(); }.shared()).collect();
        let waited = shared.clone();
        let main = co! {
            let runners = waited.into_iter().map(|shared| co! { yield shared; });
            let wins = co! { yield; yield; yield; };
            yield spawn(co! { yield shared; });
            yield race(runners.chain([wins]));
            Err("stop")?;
        };
        look_at(&run(main).unwrap_err());
    });
}

/// Nested timeouts, each with a shared coroutine. All of them give up on their shared coroutines at the same time.
#[coro]
fn nested_shared(depth: usize) -> Coro<()> {
    let shared = co! { let _ = yield timeout(forever(), FOREVER); }.shared();
    if depth == 0 {
        yield shared;
    } else {
        let _ = yield (timeout(nested_shared(depth - 1), FOREVER), shared);
    }
}

/// Each shared coroutine waits for the next one.
fn chain_of_shared(depth: usize) -> Coro<()> {
    let mut chain = co! { yield forever(); };
    for _ in 0..depth {
        let next = chain.shared();
        chain = co! { yield next; };
    }
    chain
}

#[test]
fn giving_up_on_nested_shared_coroutines_is_linear() {
    let give_up = |coro: Coro<()>| {
        let main = co! { yield timeout(coro, Duration::from_secs(1)) };
        assert!(Loop::builder().simulated(0).build().run(main).unwrap().is_err());
    };
    assert_linear(|count| give_up(nested_shared(count)));
    assert_linear(|count| give_up(chain_of_shared(count)));
}
