//! Deadlocks: they are found exactly and at once, without false alarms, and the report names the places where the coroutines wait.
#![feature(coroutines)]

mod common;

#[path = "deadlock/outside_help.rs"]
mod outside_help;
#[path = "deadlock/parts_that_are_over.rs"]
mod parts_that_are_over;
#[path = "deadlock/stepped.rs"]
mod stepped;

use std::cell::RefCell;
use std::future::pending;
use std::rc::Rc;
use std::sync::mpsc;

use common::{Alive, FOREVER, LONG, Log, forever, messages, names};
use tinyield::{
    Coro, Deadlock, Event, Loop, LoopError, Reason, Shared, catch, co, coro, isolate, race, shield, spawn, timeout,
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

/// The name and line of each stuck coroutine, and what it waits on.
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
fn error_lists_each_stuck_coroutine_with_its_line_and_what_it_waits_on() {
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
fn stuck_coroutines_are_cancelled_with_a_reason_that_names_one_of_them() {
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
fn error_lists_what_a_run_of_a_bare_wait_is_stuck_on() {
    let shared = co! { pending::<()>().await }.named("shared").shared();
    let error = Loop::new().run((&shared, ())).unwrap_err();
    assert!(stuck(&error).iter().any(|(name, _, on)| (*name, *on) == ("shared", "a future")), "{error:?}");
}

#[test]
fn waiter_at_a_shield_is_listed_with_the_coroutines_inside_of_it() {
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

/// Two coroutines that wait for each other.
fn cycle_of_two(names: [&'static str; 2]) -> [Shared<()>; 2] {
    let other = Rc::<RefCell<Option<Shared<()>>>>::default();
    let theirs = other.clone();
    let one = co! {
        let other = theirs.take().expect("both were made");
        yield other
    };
    let one = one.named(names[0]).shared();
    let again = one.clone();
    let two = co! { yield again }.named(names[1]).shared();
    *other.borrow_mut() = Some(two.clone());
    [one, two]
}

#[test]
fn cycle_is_reported_as_a_cycle() {
    let error = Loop::new().run(co! { yield cycle_of_two(["f", "g"]); }).unwrap_err();
    let cycle = deadlock(&error).cycle();
    assert!(cycle == ["f", "g"] || cycle == ["g", "f"], "{cycle:?}");
    let text = error.to_string();
    assert!(text.contains("cycle"), "{text}");
    assert!(text.contains("`f` -> `g` -> `f`") || text.contains("`g` -> `f` -> `g`"), "{text}");
    assert_eq!(deadlock(&error).stuck().len(), 3);
    assert!(error.others().is_empty());
}

#[test]
fn reason_names_no_internal_task() {
    let message = Rc::<RefCell<String>>::default();
    let theirs = message.clone();
    let watches = co! {
        let error = (yield catch(Event::new().wait())).unwrap_err();
        *theirs.borrow_mut() = error.to_string();
        Err(error)?;
    };
    // The internal task of the timeout started last.
    let stuck = timeout(Event::new().wait(), FOREVER);
    Loop::new().run((watches, stuck)).unwrap_err();
    assert!(message.borrow().starts_with("cancelled: `co!` failed"), "{}", message.borrow());
}

#[test]
fn coroutine_that_waits_for_itself_is_a_cycle() {
    let own = Rc::<RefCell<Option<Shared<()>>>>::default();
    let theirs = own.clone();
    let own_waiter = co! { yield; let own = theirs.take().unwrap(); yield own }.named("own_waiter").shared();
    *own.borrow_mut() = Some(own_waiter.clone());
    let error = Loop::new().run(own_waiter).unwrap_err();
    assert_eq!(deadlock(&error).cycle(), ["own_waiter"]);
}

#[test]
fn cycle_through_shields_races_and_domains_names_no_internal_task() {
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
fn answers_to_the_cancellation_of_a_cycle_are_reported() {
    type Way = fn() -> Coro<()>;
    let ways: [(Way, &str); 3] = [
        (
            || co! { loop { let _ = yield catch(co! { yield cycle_of_two(["f", "g"]); }); } }.named("wrapper"),
            "100 times",
        ),
        (|| co! { let _ = yield catch(co! { yield cycle_of_two(["f", "g"]); }); }.named("wrapper"), "with a value"),
        (
            || co! { let _ = yield catch(co! { yield cycle_of_two(["f", "g"]); }); Err("kaboom")?; }.named("wrapper"),
            "kaboom",
        ),
    ];
    for (way, answer) in ways {
        let error = Loop::new().run(way()).unwrap_err();
        assert!(!deadlock(&error).cycle().is_empty());
        let [other] = error.others() else { panic!("{error:?}") };
        assert!(other.to_string().contains(answer), "{other}");
        assert_eq!(names(other), ["wrapper"]);
    }
}

#[test]
fn deadlock_in_a_domain_stops_the_whole_loop() {
    let error = Loop::new().run(co! { drop(yield isolate(never())); }).unwrap_err();
    assert_eq!(deadlock(&error).stuck().len(), 2);
}

#[test]
fn timeout_of_unlimited_duration_does_not_count_as_a_timer() {
    let mut event_loop = Loop::new();
    let handle = event_loop.stop_handle();
    // So that a failure does not hang.
    let (ended, end) = mpsc::channel::<()>();
    let watchdog = std::thread::spawn(move || {
        if end.recv_timeout(LONG / 4).is_err() {
            handle.stop()
        }
    });
    let error = event_loop.run(co! { _ = yield timeout(never(), FOREVER); }).unwrap_err();
    let _ = ended.send(());
    watchdog.join().unwrap();
    assert_eq!(deadlock(&error).stuck().len(), 2);
}

#[test]
fn deadlock_while_stopping_is_reported_and_the_work_behind_shields_is_dropped() {
    let bodies = Alive::new();
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
fn coroutines_stuck_behind_shields_are_dropped_last_started_first() {
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
fn waiter_of_a_coroutine_stuck_behind_a_shield_is_cancelled_after_it_and_cleans_up() {
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
fn stop_handle_alone_does_not_prevent_a_deadlock() {
    let mut event_loop = Loop::new();
    let handle = event_loop.stop_handle();
    let error = event_loop.run(never()).unwrap_err();
    assert_eq!(deadlock(&error).stuck().len(), 1);
    drop(handle);
}

#[test]
fn nested_loop_reports_its_own_deadlock() {
    let main = co! {
        let error = Loop::new().run(never()).unwrap_err();
        assert_eq!(deadlock(&error).stuck().len(), 1);
        yield;
        1
    };
    assert_eq!(Loop::new().run(main).unwrap(), 1);
}
