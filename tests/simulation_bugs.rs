//! Programs with one bug each that shows only in some orders of turns: a simulation finds it, and its report names the two turns.
#![feature(coroutines)]

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use tinyield::channel::{self, Receiver, Sender};
use tinyield::{Coro, Event, Lock, Semaphore, Simulation, Wait, co, coro, race, sleep, spawn};

/// The report of a program that fails with some seed below 1,000, but not with seed 0.
fn report_of<W: Wait>(program: impl Fn() -> W) -> String {
    Simulation::new().seeds([0]).check(&program);
    let checked = catch_unwind(AssertUnwindSafe(|| Simulation::new().seeds(0..1_000).check(&program)));
    let report = *checked.expect_err("the program fails").downcast::<String>().expect("a report is text");
    println!("{report}");
    report
}

/// The line of this file that ends with the comment `marker`.
fn line(marker: &str) -> usize {
    let marker = format!("// {marker}");
    let lines = include_str!("simulation_bugs.rs").lines();
    let found: Vec<usize> =
        lines.enumerate().filter(|(_, line)| line.ends_with(&marker)).map(|(at, _)| at + 1).collect();
    assert_eq!(found.len(), 1, "{marker}: {found:?}");
    found[0]
}

/// Checks that the report names one exchange: the first place, by name and marker, goes before the second.
#[track_caller]
fn assert_exchange(report: &str, first: (&str, &str), second: (&str, &str)) {
    let place = |(name, marker): (&str, &str)| format!("{name} ({}:{})", file!(), line(marker));
    let expected = format!("fails when {} goes before {}\n", place(first), place(second));
    assert!(report.contains(&expected), "{expected}\nis not in\n{report}");
    assert!(!report.contains("       and "), "{report}");
}

// A lost update.

#[coro]
fn add_one(count: Rc<Cell<u32>>) -> Coro<()> {
    let before = count.get();
    yield; // lost update: store
    count.set(before + 1);
}

#[coro]
fn add_two(count: Rc<Cell<u32>>) -> Coro<()> {
    yield; // lost update: load
    let before = count.get();
    yield;
    count.set(before + 2);
}

#[test]
fn a_lost_update_is_found() {
    let report = report_of(|| {
        let count = Rc::new(Cell::new(0));
        co! {
            yield (add_one(count.clone()), add_two(count.clone()));
            assert_eq!(count.get(), 3);
        }
    });
    assert!(report.contains("left: 2"), "{report}");
    assert_exchange(&report, ("add_two", "lost update: load"), ("add_one", "lost update: store"));
}

// A check that is stale after a yield.

#[coro]
fn pay(balance: Rc<Cell<i32>>) -> Coro<()> {
    if balance.get() >= 70 {
        yield; // stale check: act
        balance.set(balance.get() - 70);
    }
}

#[coro]
fn charge(balance: Rc<Cell<i32>>) -> Coro<()> {
    yield; // stale check: check
    if balance.get() >= 70 {
        yield;
        balance.set(balance.get() - 70);
    }
}

#[test]
fn a_check_that_is_stale_after_a_yield_is_found() {
    let report = report_of(|| {
        let balance = Rc::new(Cell::new(100));
        co! {
            yield (pay(balance.clone()), charge(balance.clone()));
            if balance.get() < 0 {
                Err(format!("the balance is {}", balance.get()))?;
            }
        }
    });
    assert!(report.contains("the balance is -40"), "{report}");
    assert_exchange(&report, ("charge", "stale check: check"), ("pay", "stale check: act"));
}

// A channel that is closed while something is being sent.

#[coro]
fn produce(sender: Sender<u32>) -> Coro<()> {
    yield; // close: send
    sender.try_send(1).map_err(|error| error.to_string())?;
}

#[coro]
fn consume_one(receiver: Receiver<u32>) -> Coro<()> {
    yield; // close: close
    drop(receiver);
}

#[test]
fn a_channel_that_is_closed_too_early_is_found() {
    let report = report_of(|| {
        let (sender, receiver) = channel::unbounded();
        (produce(sender), consume_one(receiver))
    });
    assert_exchange(&report, ("consume_one", "close: close"), ("produce", "close: send"));
}

// An event that is set and cleared before anyone waits for it.

#[coro]
fn listen(event: Event) -> Coro<()> {
    yield; // missed event: wait
    yield event.wait();
}

#[coro]
fn pulse(event: Event) -> Coro<()> {
    yield; // missed event: set
    event.set();
    event.clear();
}

#[test]
fn a_missed_event_is_found() {
    let report = report_of(|| {
        let event = Event::new();
        (listen(event.clone()), pulse(event))
    });
    assert!(report.contains("deadlock"), "{report}");
    assert_exchange(&report, ("pulse", "missed event: set"), ("listen", "missed event: wait"));
}

// A slot that is released twice.

#[coro]
fn release_on_error(is_held: Rc<Cell<bool>>, free: Rc<Cell<u32>>) -> Coro<()> {
    yield; // double release: error
    if is_held.replace(false) {
        free.set(free.get() + 1);
    }
}

#[coro]
fn release_at_end(is_held: Rc<Cell<bool>>, free: Rc<Cell<u32>>) -> Coro<()> {
    let was_held = is_held.get();
    yield; // double release: end
    if was_held {
        is_held.set(false);
        free.set(free.get() + 1);
    }
}

#[test]
fn a_double_release_is_found() {
    let report = report_of(|| {
        let (is_held, free) = (Rc::new(Cell::new(true)), Rc::new(Cell::new(0)));
        co! {
            let on_error = release_on_error(is_held.clone(), free.clone());
            yield (release_at_end(is_held, free.clone()), on_error);
            assert!(free.get() <= 1, "{} slots are free, and there is one", free.get());
        }
    });
    assert!(report.contains("2 slots are free, and there is one"), "{report}");
    assert_exchange(&report, ("release_on_error", "double release: error"), ("release_at_end", "double release: end"));
}

// Two locks that are taken in two orders.

#[coro]
fn there(first: Lock<()>, second: Lock<()>) -> Coro<()> {
    let _first = yield first.acquire(); // locks: first
    let _second = yield second.acquire();
}

#[coro]
fn back(first: Lock<()>, second: Lock<()>) -> Coro<()> {
    yield; // locks: second
    let _second = yield second.acquire();
    let _first = yield first.acquire();
}

#[test]
fn locks_that_are_taken_in_two_orders_are_found() {
    let report = report_of(|| {
        let (first, second) = (Lock::new(()), Lock::new(()));
        (there(first.clone(), second.clone()), back(first, second))
    });
    assert!(report.contains("deadlock"), "{report}");
    assert_exchange(&report, ("back", "locks: second"), ("there", "locks: first"));
}

// A value that is used before it is set.

#[coro]
fn initialize(settings: Rc<RefCell<Option<u32>>>) -> Coro<()> {
    yield; // initialize: write
    *settings.borrow_mut() = Some(1);
}

#[coro]
fn use_settings(settings: Rc<RefCell<Option<u32>>>) -> Coro<u32> {
    yield; // initialize: read
    let settings = *settings.borrow();
    settings.expect("the settings are there")
}

#[test]
fn a_use_before_the_initialization_is_found() {
    let report = report_of(|| {
        let settings = Rc::<RefCell<Option<u32>>>::default();
        (initialize(settings.clone()), use_settings(settings))
    });
    assert!(report.contains("the settings are there"), "{report}");
    assert_exchange(&report, ("use_settings", "initialize: read"), ("initialize", "initialize: write"));
}

// A worker that stops although there is work left.

#[coro]
fn submit(sender: Sender<u32>, is_stopped: Rc<Cell<bool>>) -> Coro<()> {
    sender.try_send(1).map_err(|error| error.to_string())?;
    yield sleep(Duration::from_secs(60)); // stop: submit
    sender.try_send(2).map_err(|error| error.to_string())?;
    is_stopped.set(true);
}

#[coro]
fn work(receiver: Receiver<u32>, is_stopped: Rc<Cell<bool>>) -> Coro<u32> {
    let mut sum = 0;
    loop {
        while let Ok(job) = receiver.try_recv() {
            sum += job;
            yield sleep(Duration::from_secs(60)); // stop: work
        }
        if is_stopped.get() {
            return sum;
        }
        yield sleep(Duration::from_secs(60));
        if is_stopped.get() {
            return sum;
        }
    }
}

#[test]
fn work_that_is_left_at_the_stop_is_found() {
    let report = report_of(|| {
        let (sender, receiver) = channel::unbounded();
        let is_stopped = Rc::new(Cell::new(false));
        co! {
            let (sum, ()) = yield (work(receiver, is_stopped.clone()).named("worker"), {
                co! { yield submit(sender, is_stopped); }
            });
            assert_eq!(sum, 3, "jobs were lost");
        }
    });
    assert!(report.contains("jobs were lost"), "{report}");
}

// A deadline in the same round as the answer.

#[coro]
fn answer(event: Event) -> Coro<()> {
    yield sleep(Duration::from_secs(3_600)); // deadline: answer
    event.set();
}

#[coro]
fn give_up(event: Event) -> Coro<()> {
    yield sleep(Duration::from_secs(3_600)); // deadline: limit
    if !event.is_set() {
        Err("no answer in an hour")?;
    }
}

#[test]
fn a_timeout_in_the_round_of_the_answer_is_found() {
    let report = report_of(|| {
        let event = Event::new();
        (answer(event.clone()), give_up(event))
    });
    assert!(report.contains("no answer in an hour"), "{report}");
    assert_exchange(&report, ("give_up", "deadline: limit"), ("answer", "deadline: answer"));
}

// A permit that goes to a coroutine that came later.

#[coro]
fn first_come(permits: Semaphore, log: Rc<RefCell<Vec<&'static str>>>) -> Coro<()> {
    yield; // permits: first
    let _permit = yield permits.acquire();
    log.borrow_mut().push("first");
}

#[coro]
fn come_later(permits: Semaphore, log: Rc<RefCell<Vec<&'static str>>>) -> Coro<()> {
    yield; // permits: later
    let _permit = yield permits.acquire();
    log.borrow_mut().push("later");
}

#[test]
fn an_order_that_is_not_guaranteed_is_found() {
    let report = report_of(|| {
        let (permits, log) = (Semaphore::new(1), Rc::<RefCell<Vec<&'static str>>>::default());
        co! {
            yield (first_come(permits.clone(), log.clone()), come_later(permits, log.clone()));
            assert_eq!(*log.borrow(), ["first", "later"]);
        }
    });
    assert_exchange(&report, ("come_later", "permits: later"), ("first_come", "permits: first"));
}

// The result of a race of two coroutines that are ready in the same round.

#[coro]
fn mirror(name: &'static str) -> Coro<&'static str> {
    yield sleep(Duration::from_secs(1)); // race: mirror
    name
}

#[test]
fn a_race_without_a_certain_winner_is_found() {
    let report = report_of(|| {
        co! {
            let first = yield race([mirror("near").named("near"), mirror("far").named("far")]);
            assert_eq!(first, "near");
        }
    });
    assert_exchange(&report, ("far", "race: mirror"), ("near", "race: mirror"));
}

// One exchange of turns matters, among those of many coroutines that do not.

#[coro]
fn bystander(turns: usize) -> Coro<()> {
    for _ in 0..turns {
        yield;
    }
}

#[test]
fn the_two_turns_are_found_among_many_others() {
    let report = report_of(|| {
        let settings = Rc::<RefCell<Option<u32>>>::default();
        co! {
            for turns in 0..20 {
                yield spawn(bystander(turns));
            }
            yield (initialize(settings.clone()), use_settings(settings));
        }
    });
    assert_exchange(&report, ("use_settings", "initialize: read"), ("initialize", "initialize: write"));
}
