//! How the cost of an operation grows, counted in steps of the library and in allocations, and never in time.
//!
//! In a release build the library counts no steps, and only the allocations are compared.
#![feature(coroutines)]

mod common;

#[path = "common/allocations.rs"]
mod allocations;

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use common::{FOREVER, forever, ms, simulated, to_end, to_idle, wakes_itself};
use tinyield::by_hand::{Outcome, Resume, Suspend};
use tinyield::channel::{Receiver, Sender, unbounded};
use tinyield::{
    Coro, Emitter, Event, Grouping, Loop, LoopError, Shared, Step, Stream, as_completed, catch, co, coro, dump,
    from_future, isolate, race, run_in_thread, shield, sleep, spawn, stream, timeout,
};

#[derive(Clone, Copy, Debug)]
struct Cost {
    steps: u64,
    allocations: usize,
}

fn steps() -> u64 {
    tinyield::__private::steps().unwrap_or(0)
}

fn total_cost() -> Cost {
    Cost { steps: steps(), allocations: allocations::count() }
}

fn cost_since(before: Cost) -> Cost {
    let after = total_cost();
    Cost { steps: after.steps - before.steps, allocations: after.allocations - before.allocations }
}

fn cost_of(work: impl FnOnce()) -> Cost {
    let before = total_cost();
    work();
    cost_since(before)
}

const FEW: usize = 200;
const MANY: usize = 10 * FEW;

/// Ten times as many cost at most twenty times as much. A square would cost a hundred times as much.
#[track_caller]
fn assert_linear(work: impl Fn(usize)) {
    work(FEW);
    let (few, many) = (cost_of(|| work(FEW)), cost_of(|| work(MANY)));
    let is_linear = many.steps <= 20 * few.steps + 100 && many.allocations <= 20 * few.allocations + 100;
    assert!(is_linear, "{FEW}: {few:?}; {MANY}: {many:?}");
}

/// `act` costs the same beside ten times as many. `beside` returns its cost.
#[track_caller]
fn assert_independent(beside: impl Fn(usize) -> Cost) {
    let (few, many) = (beside(FEW), beside(MANY));
    // The lists that a map of many entries consists of are a few steps deeper.
    let is_same = many.steps <= few.steps + few.steps / 10 && many.allocations <= few.allocations + 10;
    assert!(is_same, "beside {FEW}: {few:?}; beside {MANY}: {many:?}");
}

fn run<T: 'static>(coro: Coro<T>) -> Result<T, LoopError> {
    Loop::builder().grouping(Grouping::Always).build().run(coro)
}

/// Goes through all of an error that a user may look at, but for the traces of the others.
fn look_at(error: &LoopError) -> usize {
    error.to_string().len() + error.others().len() + error.error().trace().len()
}

// What is cancelled together.

#[test]
fn cancelling_what_as_completed_has_started_is_linear() {
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

// An idle loop beside many that are parked.

/// The cost of a hundred wake-ups of a stepped loop in which `parked` runs, each by a coroutine that yields a handle.
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

/// The cost of a hundred wake-ups of a stepped loop in which `waits` wait for a shared coroutine, which does `acts` at each wake-up.
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

/// Steps until nothing is ready, sets the event, and steps to the end.
fn step_with_a_pause<T: 'static>(main: Coro<T>, event: &Event) {
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(main);
    let _idle = to_idle(&mut runtime);
    event.set();
    to_end(&mut runtime).1.unwrap();
}

#[test]
fn the_search_for_cycles_of_a_stepped_loop_is_linear_in_a_chain_of_handles() {
    assert_linear(|count| {
        let end = Event::new();
        let ends = end.clone();
        let mut chain = co! { yield end.wait(); };
        for _ in 0..count {
            let inner = chain;
            chain = co! {
                let handle = yield spawn(inner);
                yield handle;
            };
        }
        step_with_a_pause(chain, &ends);
    });
    assert_linear(|count| {
        let end = Event::new();
        let ends = end.clone();
        let mut chain = co! { yield end.wait(); };
        for _ in 0..count {
            let inner = chain;
            chain = co! {
                for next in yield as_completed([inner]) {
                    yield next;
                }
            };
        }
        step_with_a_pause(chain, &ends);
    });
}

#[test]
fn the_search_for_cycles_of_a_stepped_loop_is_linear_in_the_items_of_one_as_completed() {
    assert_linear(|count| {
        let event = Event::new();
        let sets = event.clone();
        let main = co! {
            let waits = || {
                let event = event.clone();
                co! { yield event.wait(); }
            };
            let items: Vec<_> = (yield as_completed((0..count).map(|_| waits()))).collect();
            yield items.into_iter().map(|item| co! { yield item; }).collect::<Vec<_>>();
        };
        step_with_a_pause(main, &sets);
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

// Remote handles beside many that wait.

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
            Cost { steps: steps() - before.steps, allocations: allocations::count() - before.allocations }
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

// Tasks that are already cancelled are not visited again.

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
fn shields_that_leave_something_behind_are_linear() {
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

/// Each member answers its cancellation with an error of its own.
#[coro]
fn chain_of_errors(depth: usize) -> Coro<()> {
    let waited = if depth == 0 { catch(co! { yield forever(); }) } else { catch(chain_of_errors(depth - 1)) };
    if (yield waited).is_err() {
        Err(format!("at {depth}"))?;
    }
}

fn cancel_chain_of_errors(count: usize) -> LoopError {
    let fails = co! {
        for _ in 0..count + 10 {
            yield;
        }
        Err("stop")?;
    };
    run(co! { yield (chain_of_errors(count), fails); }).unwrap_err()
}

#[test]
fn a_chain_whose_members_all_answer_their_cancellation_with_an_error_is_linear() {
    assert_linear(|count| {
        let error = cancel_chain_of_errors(count);
        let answers = error.others().iter().filter(|other| !other.is_cancelled()).count();
        assert!(answers > count, "{answers}");
        // Also when all traces are looked at.
        let frames: usize = error.others().iter().map(|other| other.trace().len()).sum();
        assert!(frames <= 100 * error.others().len());
    });
}

#[test]
fn the_frames_nearest_to_an_error_that_came_up_while_stopping_are_kept() {
    let error = cancel_chain_of_errors(150);
    let deepest = error.others().iter().find(|other| other.to_string() == "at 0").unwrap();
    assert_eq!(deepest.trace().len(), 100);
    assert!(deepest.trace().iter().all(|frame| frame.name() == "chain_of_errors"));
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

/// Raises the error of the domain inside again.
#[coro]
fn raises_again(depth: usize) -> Coro<()> {
    if depth == 0 {
        Err("first")?;
    }
    let error = (yield isolate(raises_again(depth - 1))).unwrap_err();
    Err(error.error().clone())?;
}

/// As `raises_again`, with the `LoopError`.
#[coro]
fn raises_loop_error(depth: usize) -> Coro<()> {
    if depth == 0 {
        Err("first")?;
    }
    (yield isolate(raises_loop_error(depth - 1)))?;
}

#[test]
fn one_error_raised_again_in_each_of_many_nested_domains_is_linear() {
    for raises in [raises_again, raises_loop_error] {
        assert_linear(|count| {
            let error = run(raises(count)).unwrap_err();
            assert_eq!(error.to_string(), "first");
            assert_eq!(error.error().trace().len(), count + 1);
        });
    }
}

#[test]
fn an_error_raised_again_in_a_hundred_thousand_nested_domains_is_dropped() {
    for raises in [raises_again, raises_loop_error] {
        let error = run(raises(100_000)).unwrap_err();
        assert_eq!(format!("{error}"), "first");
        drop(error);
    }
}

#[test]
fn one_error_raised_again_by_many_coroutines_behind_shields_is_linear() {
    assert_linear(|count| {
        let fails = co! { yield; yield; Err("first")?; }.shared();
        let again = || {
            let fails = fails.clone();
            co! {
                let error = (yield catch(shield(fails))).unwrap_err();
                yield shield(());
                Err(error)?;
            }
        };
        let all: Vec<_> = (0..count).map(|_| again()).collect();
        look_at(&run(co! { yield all; }).unwrap_err());
    });
}

// A gather resumes its coroutine once.

#[test]
fn a_gather_after_a_second_wait_that_was_refused_resumes_its_coroutine_once() {
    let resumptions = |count: usize| {
        let resumed = Rc::new(Cell::new(0));
        let counts = resumed.clone();
        let event = Event::new();
        let (first, sets) = (event.clone(), event.clone());
        let main: Coro<()> = Coro::from_coroutine(
            #[coroutine]
            static move |mut resume: Resume| {
                let mut one = resume.begin(first.wait());
                let mut refused = resume.begin(first.wait());
                assert!(refused.poll(&resume).is_ready());
                drop(refused);
                resume = yield Suspend;
                while one.poll(&resume).is_pending() {
                    resume = yield Suspend;
                }
                let parts: Vec<_> = (0..count)
                    .map(|turns| {
                        co! {
                            for _ in 0..turns % 10 {
                                yield;
                            }
                        }
                    })
                    .collect();
                let mut gather = resume.begin(parts);
                while gather.poll(&resume).is_pending() {
                    resume = yield Suspend;
                    counts.set(counts.get() + 1);
                }
                Outcome::value(())
            },
        );
        Loop::new().run((main, co! { yield; yield; sets.set(); })).unwrap();
        resumed.get()
    };
    assert_eq!([resumptions(FEW), resumptions(MANY)], [1, 1]);
}

// Walks up the tree of scopes.

/// A shared coroutine in each of nested timeouts, which gives up on it together with all others.
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
                // The first looks for the place of all.
                yield co! {}.shared();
                let before = Cost { steps: steps(), allocations: allocations::count() };
                for _ in 0..100 {
                    yield co! {}.shared();
                }
                Cost { steps: steps() - before.steps, allocations: allocations::count() - before.allocations }
            }
        };
        run(below_timeouts(count, act)).unwrap()
    });
}

/// As `chain_of_errors`, with a timeout around each member.
#[coro]
fn errors_below_timeouts(depth: usize) -> Coro<()> {
    let is_err = if depth == 0 {
        (yield catch(co! { yield Event::new().wait(); })).is_err()
    } else {
        (yield catch(timeout(errors_below_timeouts(depth - 1), FOREVER))).is_err()
    };
    if is_err {
        Err(format!("at {depth}"))?;
    }
}

#[test]
fn failures_behind_many_scopes_are_linear() {
    assert_linear(|count| {
        let fails = co! {
            for _ in 0..2 * count + 10 {
                yield;
            }
            Err("stop")?;
        };
        look_at(&run(co! { yield (errors_below_timeouts(count), fails); }).unwrap_err());
    });
}

/// Each level leaves a coroutine behind in its scope, which is open then.
#[coro]
fn open_scopes(depth: usize) -> Coro<()> {
    yield spawn(co! { yield Event::new().wait(); });
    if depth > 0 {
        let _ = yield timeout(open_scopes(depth - 1), FOREVER);
    }
}

#[test]
fn a_dump_and_the_report_of_a_deadlock_with_many_open_scopes_are_linear() {
    assert_linear(|count| {
        let main = co! {
            yield open_scopes(count);
            let dump = yield dump();
            assert!(dump.tasks().len() > count);
        };
        look_at(&run(main).unwrap_err());
    });
}

// In a closure on a thread.

#[test]
fn a_short_run_in_a_closure_costs_the_same_beside_ten_times_as_many_open_ones() {
    assert_independent(|count| {
        let closure = move || {
            let open: Vec<_> =
                (0..count).map(|_| Loop::new().into_runtime(co! { yield Event::new().wait(); })).collect();
            let cost = cost_of(|| (0..100).for_each(|_| Loop::new().run(co! { yield; }).unwrap()));
            drop(open);
            (cost.steps, cost.allocations)
        };
        let (steps, allocations) = Loop::new().run(run_in_thread(closure)).unwrap();
        Cost { steps, allocations }
    });
}

// What is kept of the memory of a burst.

/// The bytes that `burst` and a hundred ordinary acts after it leave allocated, beside a coroutine that goes on.
fn kept_after(burst: impl FnOnce() -> Coro<()> + 'static) -> isize {
    let main = co! {
        let end = Event::new();
        let ends = end.clone();
        yield spawn(co! { let _ = yield timeout(end.wait(), FOREVER); });
        yield;
        yield;
        let before = allocations::live();
        yield burst();
        for _ in 0..100 {
            yield co! { yield; };
            let _ = yield timeout(co! {}, FOREVER);
            yield from_future(async {});
        }
        let kept = allocations::live() - before;
        ends.set();
        kept
    };
    Loop::new().run(main).unwrap()
}

const BURST: usize = 100_000;

#[test]
fn a_loop_keeps_little_of_the_memory_of_a_burst() {
    type Burst = fn() -> Coro<()>;
    let bursts: [(&str, Burst); 5] = [
        ("coroutines", || co! { yield (0..BURST).map(|_| co! { yield; yield; }).collect::<Vec<_>>(); }),
        ("scopes", || {
            co! { yield (0..BURST).map(|_| race([co! { yield; yield; }, co! { yield Event::new().wait(); }])).collect::<Vec<_>>(); }
        }),
        ("foreign futures", || {
            co! { yield (0..BURST).map(|_| from_future(wakes_itself(2))).collect::<Vec<_>>(); }
        }),
        ("cancellations", || {
            co! {
                let waits: Vec<_> = (0..BURST).map(|_| co! { yield Event::new().wait(); }).collect();
                let _ = yield timeout(waits, Duration::ZERO);
            }
        }),
        ("messages", || {
            let (sender, receiver) = unbounded::<usize>();
            CHANNEL.set(Some((sender.clone(), receiver.clone())));
            co! {
                (0..BURST).for_each(|number| sender.try_send(number).unwrap());
                while receiver.try_recv().is_ok() {}
            }
        }),
    ];
    for (what, burst) in bursts {
        let kept = kept_after(burst);
        assert!(kept < 100_000, "{kept} bytes after a burst of {what}");
    }
}

thread_local! {
    /// A channel that outlives the burst of its messages.
    static CHANNEL: Cell<Option<(Sender<usize>, Receiver<usize>)>> = const { Cell::new(None) };
}

// Streams.

/// A stream whose emitter is outside of its coroutine.
fn emitter_and_stream() -> (Emitter<usize>, Rc<Stream<usize>>) {
    let mailbox = Rc::new(Cell::new(None));
    let own = mailbox.clone();
    let values = stream(move |out| {
        own.set(Some(out));
        co! { yield forever(); }
    });
    (mailbox.take().unwrap(), Rc::new(values))
}

/// What `main` leaves in memory when it has done its work `count` times. It measures that before it ends.
fn kept_by(main: impl Fn(usize, Rc<Cell<isize>>) -> Coro<()>, count: usize) -> isize {
    let before = allocations::live();
    let kept = Rc::new(Cell::new(0));
    drop(Loop::new().run(main(count, kept.clone())));
    assert_ne!(kept.get(), 0);
    kept.get() - before
}

/// A program that does its work ten times as often keeps no more memory.
#[track_caller]
fn assert_keeps_the_same(main: impl Fn(usize, Rc<Cell<isize>>) -> Coro<()>) {
    let warm_up = kept_by(&main, FEW);
    let (few, many) = (kept_by(&main, FEW), kept_by(&main, MANY));
    assert!(many <= few + 1_000, "{FEW}: {few} bytes (at first {warm_up}); {MANY}: {many} bytes");
}

#[test]
fn values_that_go_by_a_reader_that_holds_one_leave_nothing_behind() {
    assert_keeps_the_same(|count, kept| {
        let (out, values) = emitter_and_stream();
        let holds = values.next();
        co! {
            yield spawn(co! { yield (holds, forever()); });
            yield;
            let first = out.emit(0);
            yield spawn(co! { yield first; });
            yield spawn(co! { for n in 0..count { yield out.emit(n); } });
            yield;
            for _ in 0..count { yield values.next(); }
            kept.set(allocations::live());
            Err("what waits for ever is cancelled")?;
        }
    });
}

#[test]
fn values_that_are_withdrawn_behind_one_that_waits_leave_nothing_behind() {
    assert_keeps_the_same(|count, kept| {
        let (out, values) = emitter_and_stream();
        let first = out.emit(0);
        co! {
            yield race((values.next().map(drop), sleep(Duration::ZERO)));
            yield spawn(co! { yield first; });
            yield;
            for n in 0..count { yield race((out.emit(n), sleep(Duration::ZERO))); }
            kept.set(allocations::live());
            assert_eq!(yield values.next(), Some(0));
        }
    });
}

#[test]
fn many_emitters_and_readers_of_a_stream_cost_is_linear() {
    assert_linear(|count| {
        let (out, values) = emitter_and_stream();
        let main = co! {
            let emits: Vec<_> = (0..count).map(|n| out.emit(n)).collect();
            let readers: Vec<_> = (0..count).map(|_| values.next()).collect();
            let (read, _) = yield (co! { yield readers }, co! { yield; yield emits; });
            assert!(read.into_iter().flatten().eq(0..count));
        };
        drop(run(main));
    });
}

#[test]
fn readers_that_give_their_values_back_cost_is_linear() {
    assert_linear(|count| {
        let (out, values) = emitter_and_stream();
        let main = co! {
            let emits: Vec<_> = (0..count).map(|n| out.emit(n)).collect();
            let readers: Vec<_> = (0..count).map(|_| values.next()).collect();
            let give_up = Event::new();
            let gives_up = give_up.clone();
            let holds = co! { yield race((co! { yield (readers, forever()); }, co! { yield gives_up.wait(); })); };
            let holds = yield spawn(holds);
            yield;
            yield spawn(co! { yield emits; });
            yield;
            give_up.set();
            yield holds;
            for n in 0..count { assert_eq!(yield values.next(), Some(n)); }
        };
        drop(run(main));
    });
}

#[test]
fn dropping_a_stream_while_many_emit_is_linear() {
    assert_linear(|count| {
        let (out, values) = emitter_and_stream();
        let main = co! {
            yield race((values.next().map(drop), sleep(Duration::ZERO)));
            let emits: Vec<_> = (0..count).map(|n| { let emit = out.emit(n); co! { yield catch(emit) } }).collect();
            let emits = yield spawn(emits);
            yield;
            yield;
            drop(values);
            assert!((yield emits).into_iter().all(|emitted| emitted.is_err()));
        };
        run(main).unwrap();
    });
}

// As_completed.

#[test]
fn items_that_go_by_one_that_is_kept_leave_nothing_behind() {
    assert_keeps_the_same(|count, kept| {
        co! {
            let mut items = yield as_completed((0..count).map(|_| co! {})).limit(2);
            let first = items.next();
            for next in items { yield next; }
            kept.set(allocations::live());
            drop(first);
        }
    });
}

#[test]
fn items_with_a_limit_that_fail_together_is_linear() {
    assert_linear(|count| {
        let kept: Rc<Cell<Option<Vec<_>>>> = Rc::default();
        let keeps = kept.clone();
        let main = co! {
            let failed = yield isolate(co! {
                let mut items = yield as_completed((0..count).map(|_| co! { yield; yield; Err("inside")?; })).limit(3);
                let all: Vec<_> = (0..count).map(|_| items.next().unwrap()).collect();
                keeps.set(Some(all));
                yield forever();
            });
            assert!(failed.is_err());
            let all = kept.take().unwrap().into_iter().map(|next| co! { yield catch(next) }).collect::<Vec<_>>();
            assert!((yield all).iter().all(Result::is_err));
        };
        run(main).unwrap();
    });
}
