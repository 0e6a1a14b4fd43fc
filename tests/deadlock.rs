//! Deadlocks: found exactly, and told so that a person can act on it.
#![feature(coroutines)]

mod common;

use std::cell::RefCell;
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Waker};

use common::{Counter, FOREVER, Gate, Log, forever, messages, ms, ran, to_end, to_idle};
use tinyield::{
    Coro, Deadlock, Event, Loop, LoopError, Reason, Shared, Step, catch, co, coro, isolate, race, run_in_thread,
    shield, sleep, spawn, timeout,
};

/// The line at which `never` waits.
const NEVER: u32 = line!() + 5;

#[coro]
fn never() -> Coro<()> {
    yield;
    pending::<()>().await
}

fn deadlock(error: &LoopError) -> &Deadlock {
    error.error().downcast_ref().unwrap_or_else(|| panic!("no deadlock: {error:?}"))
}

/// Name, line, and what it waits on, of each that is stuck.
fn stuck(error: &LoopError) -> Vec<(&str, u32, &str)> {
    let here = |stuck: &'_ tinyield::Stuck| assert!(stuck.frame().location().file().ends_with("deadlock.rs"));
    deadlock(error)
        .stuck()
        .iter()
        .inspect(|stuck| here(stuck))
        .map(|stuck| (stuck.frame().name(), stuck.frame().location().line(), stuck.waits_on()))
        .collect()
}

#[test]
fn each_stuck_coroutine_is_told_with_its_place_and_what_it_waits_on() {
    let base = line!();
    let shared = co! { pending::<()>().await }.named("shared").shared();
    let again = shared.clone();
    let main = co! {
        yield spawn(co! { yield shared; }.named("background"));
        yield (
            co! { yield again; }.named("child"),
            never(),
        );
    };
    let error = Loop::new().run(main.named("main")).unwrap_err();
    assert_eq!(
        stuck(&error),
        [
            ("main", base + 5, "`child` and `never`"),
            ("background", base + 4, "`shared`"),
            ("shared", base + 1, "a future"),
            ("child", base + 6, "`shared`"),
            ("never", NEVER, "a future"),
        ]
    );
    assert!(deadlock(&error).cycle().is_empty());
    let text = error.to_string();
    assert!(
        text.starts_with("deadlock: nothing is ready, no timer runs, and nothing outside can wake the loop\n"),
        "{text}"
    );
    assert!(text.contains(&format!("\n  `child` waits at {}:{} on `shared`", file!(), base + 6)), "{text}");
    assert!(error.others().is_empty());
}

#[test]
fn the_stuck_are_cancelled_and_told_of_the_deadlock() {
    let log = Log::new();
    let logs = log.clone();
    let main = co! {
        let error = (yield catch(never())).unwrap_err();
        logs.push(matches!(error.as_cancelled().unwrap().reason(), Reason::Failed { name, .. } if name == "never"));
        Err(error)?;
    };
    let error = Loop::new().run(main).unwrap_err();
    assert_eq!(deadlock(&error).stuck().len(), 2);
    assert_eq!(log.take(), ["true"]);
}

#[test]
fn a_wait_that_is_run_without_a_coroutine_is_told_too() {
    let shared = co! { pending::<()>().await }.named("shared").shared();
    let error = Loop::new().run((&shared, ())).unwrap_err();
    assert!(stuck(&error).iter().any(|(name, _, on)| (*name, *on) == ("shared", "a future")), "{error:?}");
}

#[test]
fn who_waits_in_a_timeout_or_a_shield_waits_on_what_is_in_it() {
    let base = line!();
    let main = co! {
        yield shield((never(), shield((co! { pending::<()>().await }.named("other"), ()))));
    };
    let error = Loop::new().run(main.named("main")).unwrap_err();
    assert_eq!(
        stuck(&error),
        [("main", base + 2, "`never` and `other`"), ("never", NEVER, "a future"), ("other", base + 2, "a future"),]
    );
}

/// Two that wait on each other.
fn circle(names: [&'static str; 2]) -> [Shared<()>; 2] {
    let other = Rc::<RefCell<Option<Shared<()>>>>::default();
    let theirs = other.clone();
    let one = co! {
        let other = theirs.take().expect("it was put there");
        yield other
    };
    let one = one.named(names[0]).shared();
    let again = one.clone();
    let two = co! { yield again }.named(names[1]).shared();
    *other.borrow_mut() = Some(two.clone());
    [one, two]
}

#[test]
fn a_cycle_is_called_a_cycle() {
    let error = Loop::new().run(co! { yield circle(["f", "g"]); }).unwrap_err();
    let cycle = deadlock(&error).cycle();
    assert!(cycle == ["f", "g"] || cycle == ["g", "f"], "{cycle:?}");
    let text = error.to_string();
    assert!(text.contains("cycle"), "{text}");
    assert!(text.contains("`f` -> `g` -> `f`") || text.contains("`g` -> `f` -> `g`"), "{text}");
    assert_eq!(deadlock(&error).stuck().len(), 3);
    assert!(error.others().is_empty());
}

#[test]
fn a_coroutine_of_the_librarys_own_is_not_to_blame() {
    let told = Rc::<RefCell<String>>::default();
    let theirs = told.clone();
    let watches = co! {
        let error = (yield catch(Event::new().wait())).unwrap_err();
        *theirs.borrow_mut() = error.to_string();
        Err(error)?;
    };
    // That of the timeout was started last.
    let stuck = timeout(Event::new().wait(), FOREVER);
    Loop::new().run((watches, stuck)).unwrap_err();
    assert!(told.borrow().starts_with("cancelled: `co!` failed"), "{}", told.borrow());
}

#[test]
fn a_cycle_of_one() {
    let own = Rc::<RefCell<Option<Shared<()>>>>::default();
    let theirs = own.clone();
    let narcissus = co! { yield; let own = theirs.take().unwrap(); yield own }.named("narcissus").shared();
    *own.borrow_mut() = Some(narcissus.clone());
    let error = Loop::new().run(narcissus).unwrap_err();
    assert_eq!(deadlock(&error).cycle(), ["narcissus"]);
}

#[test]
fn a_cycle_through_timeouts_races_and_shields_names_coroutines_only() {
    for way in 0..4 {
        let other = Rc::<RefCell<Option<Shared<()>>>>::default();
        let theirs = other.clone();
        let one = co! {
            let other = theirs.take().unwrap();
            match way {
                0 => yield shield(other),
                1 => yield race([co! { yield other }.named("racer")]),
                2 => drop(yield isolate(co! { yield other }.named("inside"))),
                _ => drop(yield shield((other, ()))),
            }
        };
        let one = one.named("one").shared();
        let again = one.clone();
        let two = co! { yield again }.named("two").shared();
        *other.borrow_mut() = Some(two.clone());
        let error = Loop::new().run((one, two)).unwrap_err();
        let cycle = deadlock(&error).cycle();
        assert!(cycle.contains(&"one".to_string()) && cycle.contains(&"two".to_string()), "{way}: {cycle:?}");
        assert!(cycle.iter().all(|name| !name.is_empty()), "{way}: {cycle:?}");
    }
}

#[test]
fn answers_to_a_cycle_are_reported_as_to_any_failure() {
    type Way = fn() -> Coro<()>;
    let ways: [(Way, &str); 3] = [
        (|| co! { loop { let _ = yield catch(co! { yield circle(["f", "g"]); }); } }.named("wrapper"), "100 times"),
        (|| co! { let _ = yield catch(co! { yield circle(["f", "g"]); }); }.named("wrapper"), "with a value"),
        (|| co! { let _ = yield catch(co! { yield circle(["f", "g"]); }); Err("kaboom")?; }.named("wrapper"), "kaboom"),
    ];
    for (way, answer) in ways {
        let error = Loop::new().run(way()).unwrap_err();
        assert!(!deadlock(&error).cycle().is_empty());
        let [other] = error.others() else { panic!("{error:?}") };
        assert!(other.to_string().contains(answer), "{other}");
        assert_eq!(common::names(other), ["wrapper"]);
    }
}

#[test]
fn a_deadlock_in_a_domain_is_one_of_the_loop() {
    let error = Loop::new().run(co! { drop(yield isolate(never())); }).unwrap_err();
    assert_eq!(deadlock(&error).stuck().len(), 2);
}

#[test]
fn a_timeout_without_a_limit_is_no_timer() {
    let mut event_loop = Loop::new();
    let handle = event_loop.stop_handle();
    // If it hangs after all.
    let (ended, end) = mpsc::channel::<()>();
    let watchdog = std::thread::spawn(move || {
        if end.recv_timeout(common::LONG / 4).is_err() {
            handle.stop()
        }
    });
    let error = event_loop.run(co! { _ = yield timeout(never(), FOREVER); }).unwrap_err();
    let _ = ended.send(());
    watchdog.join().unwrap();
    assert_eq!(deadlock(&error).stuck().len(), 2);
}

#[test]
fn a_deadlock_while_stopping_is_among_the_others_and_the_shields_are_dropped() {
    let bodies = common::Alive::new();
    let held = bodies.token();
    let polite = co! {
        let _held = held;
        let error = (yield catch(forever())).unwrap_err();
        yield shield(never());
        Err(error)?;
    };
    let error = Loop::new().run((polite, co! { yield; Err("first")?; })).unwrap_err();
    assert_eq!(error.to_string(), "first");
    assert!(
        error.others().iter().any(|other| other.downcast_ref::<Deadlock>().is_some()),
        "{:?}",
        messages(error.others())
    );
    assert_eq!(bodies.get(), 0);
}

#[test]
fn what_is_stuck_behind_shields_is_dropped_last_started_first() {
    let log = Log::new();
    let stuck = |name: &'static str| {
        let log = log.clone();
        co! {
            let _outer = log.on_drop(name);
            yield shield(co! {
                let _inner = log.on_drop(format!("in {name}"));
                yield never();
            });
        }
    };
    let error = Loop::new().run((stuck("1"), stuck("2"), co! { yield; Err("first")?; })).unwrap_err();
    assert_eq!(error.to_string(), "first");
    assert_eq!(log.take(), ["in 2", "in 1", "2", "1"]);
}

#[test]
fn who_waits_for_what_is_stuck_behind_a_shield_is_cancelled_after_that_and_cleans_up() {
    let log = Log::new();
    let (inner, outer) = (log.clone(), log.clone());
    let stuck = co! {
        let _ends = inner.on_drop("stuck");
        yield shield(never());
    };
    let waits = co! {
        let error = (yield catch(stuck)).unwrap_err();
        outer.push(format_args!("waits sees {}", error.is_cancelled()));
        yield shield(());
        outer.push("waits cleaned up");
        Err(error)?;
    }
    .named("waits");
    let error = Loop::new().run((waits, co! { yield; Err("first")?; })).unwrap_err();
    assert_eq!(log.take(), ["stuck", "waits sees true", "waits cleaned up"]);
    assert!(!messages(error.others()).iter().any(|other| other.contains("`waits` waited behind")), "{error:?}");
}

#[test]
fn a_stop_handle_alone_does_not_count() {
    let mut event_loop = Loop::new();
    let handle = event_loop.stop_handle();
    let error = event_loop.run(never()).unwrap_err();
    assert_eq!(deadlock(&error).stuck().len(), 1);
    drop(handle);
}

#[test]
fn a_nested_loop_has_its_own() {
    let main = co! {
        let error = Loop::new().run(never()).unwrap_err();
        assert_eq!(deadlock(&error).stuck().len(), 1);
        yield;
        1
    };
    assert_eq!(Loop::new().run(main).unwrap(), 1);
}

// Never a false alarm.

#[test]
fn a_timer_may_wake_it() {
    let gate = Gate::new();
    let waits = gate.clone();
    let main = (co! { waits.await }, co! { yield sleep(ms(5)); gate.open(); });
    Loop::new().run(main).unwrap();
}

#[test]
fn a_thread_with_a_waker_may_wake_it() {
    for _ in 0..100 {
        let gate = Gate::new();
        let waits = gate.clone();
        let thread = std::thread::spawn(move || {
            while gate.polls() == 0 {
                std::thread::yield_now();
            }
            std::thread::yield_now();
            gate.open();
        });
        Loop::new().run(co! { waits.await }).unwrap();
        thread.join().unwrap();
    }
}

#[test]
fn a_thread_of_its_own_may_wake_it() {
    let gate = Gate::new();
    let waits = gate.clone();
    Loop::new().run((co! { waits.await }, run_in_thread(move || gate.open()))).unwrap();
}

#[test]
fn it_is_found_when_the_last_waker_is_dropped_on_another_thread() {
    for count in [1, 2, 5] {
        let (sender, receiver) = mpsc::channel::<Waker>();
        let dropped = Arc::new(Mutex::new(0));
        let theirs = dropped.clone();
        let thread = std::thread::spawn(move || {
            let wakers: Vec<Waker> = receiver.iter().take(count).collect();
            for waker in wakers {
                std::thread::yield_now();
                *theirs.lock().unwrap() += 1;
                drop(waker);
            }
        });
        let main = co! {
            poll_fn::<(), _>(|context| {
                for _ in 0..count {
                    let _ = sender.send(context.waker().clone());
                }
                Poll::Pending
            })
            .await;
        };
        let error = Loop::new().run(main).unwrap_err();
        assert_eq!(*dropped.lock().unwrap(), count);
        assert_eq!(deadlock(&error).stuck().len(), 1);
        thread.join().unwrap();
    }
}

#[test]
fn a_waker_that_was_used_and_dropped_has_woken() {
    for _ in 0..200 {
        let (sender, receiver) = mpsc::channel::<Waker>();
        let thread = std::thread::spawn(move || receiver.recv().unwrap().wake());
        let mut polls = 0;
        let main = co! {
            poll_fn(|context| {
                polls += 1;
                if polls == 2 {
                    return Poll::Ready(());
                }
                sender.send(context.waker().clone()).unwrap();
                Poll::Pending
            })
            .await;
            polls
        };
        assert_eq!(Loop::new().run(main).unwrap(), 2);
        thread.join().unwrap();
    }
}

#[test]
fn a_waker_of_one_that_has_ended_does_not_count() {
    let kept = Rc::<RefCell<Option<Waker>>>::default();
    let keeps = kept.clone();
    let main = co! {
        yield co! {
            let mut first = true;
            poll_fn(move |context| {
                if !std::mem::take(&mut first) {
                    return Poll::Ready(());
                }
                *keeps.borrow_mut() = Some(context.waker().clone());
                context.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
        };
        yield never();
    };
    let error = Loop::new().run(main).unwrap_err();
    assert_eq!(deadlock(&error).stuck().len(), 2);
    // And may still be called.
    kept.take().unwrap().wake();
}

#[test]
fn a_waker_held_by_nobody_but_a_stuck_coroutine_counts_until_that_lets_go() {
    // Somebody might wake it: the loop cannot know who holds a waker, so it waits; here until a thread, which got it last,
    // drops it.
    let gate = Gate::new();
    let (waits, forsakes) = (gate.clone(), gate.clone());
    let thread = std::thread::spawn(move || {
        while forsakes.polls() == 0 {
            std::thread::yield_now();
        }
        forsakes.drop_waker();
    });
    let error = Loop::new().run(co! { waits.await }).unwrap_err();
    assert_eq!(deadlock(&error).stuck().len(), 1);
    thread.join().unwrap();
    drop(gate);
}

// Stepped and hosted.

#[test]
fn a_stepped_loop_is_idle_where_a_run_would_be_stuck() {
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
fn a_cycle_is_an_error_of_a_stepped_loop_too() {
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(co! { yield circle(["f", "g"]); });
    let error = loop {
        match runtime.step() {
            Step::Ran => {}
            Step::Idle(_) => panic!("it can never go on"),
            Step::Done(result) => break result.unwrap_err(),
        }
    };
    assert_eq!(deadlock(&error).cycle().len(), 2);
}

#[test]
fn a_cycle_is_an_error_of_a_polled_loop_too() {
    let (_, waker) = common::Wakes::new();
    let mut context = std::task::Context::from_waker(&waker);
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(co! { yield circle(["f", "g"]); });
    let Poll::Ready(Err(error)) = runtime.poll(&mut context) else { panic!("it can never go on") };
    assert_eq!(deadlock(&error).cycle().len(), 2);
}

#[test]
fn a_cycle_behind_a_shield_ends_a_stepped_loop_and_those_behind_other_shields_go_on() {
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
fn a_runtime_whose_coroutines_are_stuck_behind_shields_is_dropped_all_the_same() {
    let drops = Counter::new();
    let guard = drops.guard();
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(co! { let _guard = guard; yield shield(never()); });
    let _ = to_idle(&mut runtime);
    drop(runtime);
    assert_eq!(drops.get(), 1);
}
