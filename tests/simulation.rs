//! Simulations: the same seed takes the same turns, other seeds take others, and what `check` reports about a failure.
#![feature(coroutines)]

mod common;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use common::text_of;
use tinyield::{
    Coro, Event, Loop, Simulation, Wait, channel, co, coro, now, run_in_thread, settled, shield, sleep, spawn, timeout,
};

type Trace = Rc<RefCell<Vec<(usize, usize)>>>;

/// Logs its number with each of its turns.
#[coro]
fn walker(number: usize, turns: usize, trace: Trace) -> Coro<()> {
    for turn in 0..turns {
        trace.borrow_mut().push((number, turn));
        yield;
    }
}

/// Coroutines with turns, sleeps, a channel and children.
#[coro]
fn busy_program(trace: Trace) -> Coro<()> {
    let (sender, receiver) = channel::bounded(1);
    for number in 0..4 {
        let (sender, trace) = (sender.clone(), trace.clone());
        yield spawn(co! {
            yield walker(number, 3, trace.clone());
            yield sleep(Duration::from_secs(60));
            (yield sender.send(number)).unwrap();
            (yield timeout(walker(number + 10, 2, trace), Duration::from_secs(3600)))?;
        });
    }
    drop(sender);
    while let Ok(number) = yield receiver.recv() {
        trace.borrow_mut().push((number, 100));
    }
}

fn trace_of(seed: u64) -> Vec<(usize, usize)> {
    let trace = Trace::default();
    Loop::builder().simulated(seed).build().run(busy_program(trace.clone())).unwrap();
    trace.take()
}

#[test]
fn the_same_seed_takes_the_same_turns_in_each_of_50_runs() {
    let first = trace_of(421);
    assert!((0..50).all(|_| trace_of(421) == first));
}

#[test]
fn different_seeds_take_different_turns() {
    let traces: BTreeSet<_> = (0..200).map(trace_of).collect();
    assert!(traces.len() >= 190, "{}", traces.len());
}

#[test]
fn seed_0_takes_the_turns_of_a_real_loop() {
    let trace = Trace::default();
    let walkers = |trace: &Trace| (0..5).map(|number| walker(number, number, trace.clone())).collect::<Vec<_>>();
    Loop::new().run(walkers(&trace)).unwrap();
    let real = trace.take();
    Loop::builder().simulated(0).build().run(walkers(&trace)).unwrap();
    assert_eq!(trace.take(), real);
}

#[test]
fn a_second_run_of_the_same_loop_draws_the_same_turns_again() {
    let mut event_loop = Loop::builder().simulated(7).build();
    let trace = Trace::default();
    let mut run = || {
        event_loop.run(busy_program(trace.clone())).unwrap();
        trace.take()
    };
    assert_eq!(run(), run());
}

#[test]
fn each_coroutine_has_one_turn_a_round_whatever_the_seed() {
    for seed in 0..100 {
        let trace = Trace::default();
        let walkers: Vec<_> = (0..6).map(|number| walker(number, 10, trace.clone())).collect();
        Loop::builder().simulated(seed).build().run(walkers).unwrap();
        for (round, turns) in trace.take().chunks(6).enumerate() {
            let numbers: BTreeSet<_> = turns.iter().map(|(number, _)| *number).collect();
            assert_eq!(numbers.len(), 6);
            assert!(turns.iter().all(|(_, turn)| *turn == round));
        }
    }
}

#[test]
fn each_order_of_a_round_comes_up() {
    let mut counts = BTreeMap::new();
    for seed in 1..=1_200 {
        let trace = Trace::default();
        let walkers: Vec<_> = (0..3).map(|number| walker(number, 1, trace.clone())).collect();
        Loop::builder().simulated(seed).build().run(walkers).unwrap();
        *counts.entry(trace.take()).or_insert(0) += 1;
    }
    assert_eq!(counts.len(), 6);
    assert!(counts.values().all(|count| (140..260).contains(count)), "{counts:?}");
}

// The reports of `check`.

fn report_of<W: Wait>(simulation: Simulation, program: impl Fn() -> W) -> String {
    let checked = catch_unwind(AssertUnwindSafe(|| simulation.check(program)));
    text_of(checked.expect_err("the program fails"))
}

#[test]
fn a_program_that_never_fails_is_run_once_with_each_seed() {
    let runs = Rc::new(Cell::new(0));
    let checked = Simulation::new().seeds(5..25).check(|| {
        runs.set(runs.get() + 1);
        co! { yield; }
    });
    assert_eq!((checked.runs(), runs.get()), (20, 20));
    assert!(!checked.came_from_outside());
}

#[test]
fn a_simulation_has_100_seeds_if_none_are_given() {
    assert_eq!(Simulation::new().check(|| co! {}).runs(), 100);
}

#[test]
fn a_simulation_without_seeds_is_refused() {
    assert!(report_of(Simulation::new().seeds([]), || co! {}).contains("without seeds checks nothing"));
}

#[test]
fn the_result_says_that_something_came_from_outside() {
    let checked = Simulation::new().seeds(0..3).check(|| run_in_thread(|| 1));
    assert!(checked.came_from_outside());
}

#[coro]
fn raise_if_first(is_first: Rc<Cell<bool>>) -> Coro<()> {
    yield;
    if is_first.replace(true) {
        Err("the second one")?;
    }
}

#[test]
fn a_report_has_the_error_with_its_trace_and_the_seed() {
    let report = report_of(Simulation::new().seeds([77]), || {
        let is_first = Rc::new(Cell::new(false));
        co! { yield (raise_if_first(is_first.clone()), raise_if_first(is_first)) }.named("outer")
    });
    assert!(report.contains("fails with seed 77"), "{report}");
    assert!(report.contains("the second one\n  coroutines, outermost first:\n    outer at "), "{report}");
    assert!(report.contains("raise_if_first at "), "{report}");
    assert!(report.contains("fails without any reordering: also with seed 0"), "{report}");
    assert!(report.ends_with("to run this seed alone: TINYIELD_SEED=77"), "{report}");
}

#[test]
fn a_report_has_the_message_of_a_panic_its_place_and_its_coroutine() {
    let line = line!() + 4;
    let report = report_of(Simulation::new(), || {
        co! {
            yield;
            assert_eq!(1 + 1, 3, "sums are wrong");
        }
        .named("adder")
    });
    assert!(report.contains("`adder` panicked: assertion `left == right` failed: sums are wrong"), "{report}");
    assert!(report.contains(&format!("panicked at {}:{line}:", file!())), "{report}");
}

#[test]
fn panics_of_the_closure_itself_and_of_a_value_count_as_failures() {
    let report = report_of(Simulation::new(), || -> Coro<()> { panic!("no program") });
    assert!(report.contains("panicked: no program"), "{report}");
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("the value is dropped");
        }
    }
    let report = report_of(Simulation::new(), || co! { Bomb });
    assert!(report.contains("the value is dropped"), "{report}");
}

#[test]
fn a_deadlock_is_a_failure() {
    let report = report_of(Simulation::new(), || co! { yield tinyield::Event::new().wait(); }.named("listener"));
    assert!(report.contains("deadlock: "), "{report}");
    assert!(report.contains("`listener` waits at "), "{report}");
}

#[test]
fn two_runs_that_differ_are_reported_with_the_turn() {
    let count = Rc::new(Cell::new(0));
    let report = report_of(Simulation::new(), || {
        let turns = count.get();
        count.set(turns + 1);
        co! {
            for _ in 0..turns {
                yield;
            }
            Err("always")?;
        }
        .named("counts")
    });
    let expected = "two runs with this seed are not the same: they differ from turn 2 on: the first was over, the second ran counts (";
    assert!(report.contains(expected), "{report}");
    assert!(report.contains("depends on something besides the seed"), "{report}");
    assert!(!report.contains("goes before"), "{report}");
}

#[test]
fn two_runs_that_differ_because_of_a_thread_are_reported_with_the_reason() {
    let count = Cell::new(0);
    let report = report_of(Simulation::new(), || {
        count.set(count.get() + 1);
        let order = if count.get() == 1 { [1, 2] } else { [2, 1] };
        co! {
            // The runs have different orders, as if threads had ended in different orders. The loop waits until the thread acts, so the turns
            // before that are the same.
            let (event, (go, gone)) = (Event::new(), mpsc::channel());
            let remote = event.remote();
            thread::spawn(move || gone.recv().map(|()| remote.set()));
            yield (event.wait(), co! { yield settled(); go.send(())?; });
            for which in order {
                match which {
                    1 => yield co! { yield; }.named("left"),
                    _ => yield co! { yield; }.named("right"),
                }
            }
            Err("always")?;
        }
        .named("outer")
    });
    let line = line!() - 7;
    let (left, right) = (format!("left ({}:{})", file!(), line - 1), format!("right ({}:{line})", file!()));
    assert!(report.contains(&format!(": the first ran {left}, the second ran {right}\n")), "{report}");
    assert!(report.contains("this is because something came from outside of the loop"), "{report}");
    assert!(!report.contains("another run with this seed need not fail"), "{report}");
}

#[test]
fn a_failure_that_does_not_repeat_is_reported() {
    let is_first = Cell::new(true);
    let report = report_of(Simulation::new(), || {
        let fails = is_first.replace(false);
        co! {
            if fails {
                Err("once")?;
            }
        }
    });
    assert!(report.contains("once\n"), "{report}");
    assert!(report.contains("the second took the same turns and did not fail"), "{report}");
}

#[test]
fn a_report_says_that_something_came_from_outside() {
    let report = report_of(Simulation::new(), || {
        co! {
            yield run_in_thread(|| ());
            Err("after the thread")?;
        }
    });
    assert!(report.contains("something came from outside"), "{report}");
}

#[test]
fn a_program_that_fails_first_in_first_out_is_reported_with_the_exchange_that_makes_it_pass() {
    let line = line!() + 4;
    let program = || {
        let value = Rc::new(Cell::new(None));
        let (written, read) = (value.clone(), value);
        let reads = co! { yield; read.get().ok_or("read too early")?; };
        let writes = co! { yield; written.set(Some(1)); };
        (reads.named("reads"), writes.named("writes"))
    };
    let report = report_of(Simulation::new(), program);
    let (reads, writes) = (format!("reads ({}:{line})", file!()), format!("writes ({}:{})", file!(), line + 1));
    let expected = format!("fails when {reads} goes before {writes}, and passes the other way round\n");
    assert!(report.contains(&expected), "{report}");
}

#[coro]
/// It has a comment between `#[coro]` and `fn`.
fn write(value: Rc<Cell<i32>>, new: i32) -> Coro<()> {
    value.set(new);
}

#[test]
fn a_first_turn_has_the_line_of_the_function_or_of_the_block() {
    let function = line!() - 6;
    let block = line!() + 6;
    let report = report_of(Simulation::new(), || {
        let value = Rc::new(Cell::new(0));
        let read = value.clone();
        co! {
            let writes =
                co! {
                    read.set(1);
                };
            yield (writes, write(value.clone(), 2));
            assert_eq!(value.get(), 2);
        }
    });
    let (function, block) = (format!("write ({}:{function})", file!()), format!("co! ({}:{block})", file!()));
    assert!(report.contains(&format!("fails when {function} goes before {block}\n")), "{report}");
}

#[test]
fn two_tasks_that_both_have_to_be_out_of_place_are_found() {
    // The program fails if `a` sees a change that `b` makes in the same round, and if, in a later round, `c` sees a change that `d` makes
    // in that same later round. One moved turn is not enough.
    let report = report_of(Simulation::new().seeds(0..1_000), || {
        let flags = Rc::new(Cell::new([false; 3]));
        let set = |flag: usize, turns: usize, flags: &Rc<Cell<[bool; 3]>>| {
            let flags = flags.clone();
            co! {
                for _ in 0..turns {
                    yield;
                }
                let mut all = flags.get();
                all[flag] = true;
                flags.set(all);
            }
        };
        let see = |flag: usize, turns: usize, flags: &Rc<Cell<[bool; 3]>>| {
            let flags = flags.clone();
            co! {
                for _ in 0..turns {
                    yield;
                }
                let seen = flags.get()[flag];
                // The order of a round carries over to the next one. The sleep lets the other coroutines pass again.
                yield sleep(Duration::from_secs(1));
                seen
            }
        };
        co! {
            let a = see(0, 2, &flags).named("a");
            let b = set(0, 2, &flags).named("b");
            let (seen, ()) = yield (a, b);
            let (seen_later, ()) = yield (see(1, 2, &flags).named("c"), set(1, 2, &flags).named("d"));
            assert!(!(seen && seen_later), "both were late");
        }
    });
    assert!(report.contains("fails when b ("), "{report}");
    assert!(report.contains("       and d ("), "{report}");
    assert_eq!(report.matches("goes before").count(), 2, "{report}");
}

#[test]
fn a_simulation_inside_of_another_one_is_reported_by_both() {
    let report = report_of(Simulation::new(), || {
        co! {
            Simulation::new().check(|| co! { Err("inside")?; });
        }
        .named("tester")
    });
    assert!(report.contains("`tester` panicked: the simulation fails with seed 0"), "{report}");
    assert!(report.contains("inside"), "{report}");
}

// Livelocks.

#[test]
fn a_wait_by_yield_is_reported_as_a_livelock() {
    let line = line!() + 8;
    let report = report_of(Simulation::new().seeds([9]).livelock_after(10_000), || {
        let is_done = Rc::new(Cell::new(false));
        let waits = {
            let is_done = is_done.clone();
            co! {
                while !is_done.get() {
                    // It should wait for an event.
                    yield;
                }
            }
        };
        let sets = co! {
            yield sleep(Duration::from_secs(1));
            is_done.set(true);
        };
        (waits.named("waits"), sets.named("sets"))
    });
    assert!(report.starts_with("the simulation fails with seed 9 ("), "{report}");
    assert!(report.contains("livelock: the clock has not moved for 10000 rounds"), "{report}");
    assert!(report.contains(&format!("again and again:\n  `waits` at {}:{line}\n", file!())), "{report}");
    assert!(report.contains("fails without any reordering"), "{report}");
}

#[test]
fn a_simulation_finds_a_livelock_with_the_default_number_of_rounds() {
    let report = report_of(Simulation::new().seeds([0]), || {
        co! {
            let end = (yield now()) + Duration::from_secs(60);
            while (yield now()) < end {}
        }
        .named("waits")
    });
    assert!(report.contains("livelock: ") && report.contains("  `waits` at "), "{report}");
}

#[coro]
fn take_or_wait(flag: Rc<Cell<bool>>) -> Coro<()> {
    yield;
    while !flag.replace(false) {
        yield settled();
    }
}

#[coro]
fn hand_out(flag: Rc<Cell<bool>>) -> Coro<()> {
    for _ in 0..2 {
        yield;
        flag.set(true);
    }
}

#[test]
fn a_livelock_in_some_orders_is_reported_with_the_order() {
    let program = || {
        let flag = Rc::new(Cell::new(false));
        (hand_out(flag.clone()), take_or_wait(flag.clone()), take_or_wait(flag))
    };
    Simulation::new().seeds([0]).check(program);
    let report = report_of(Simulation::new().livelock_after(10_000), program);
    assert!(report.contains("livelock: ") && report.contains("  `take_or_wait` at "), "{report}");
    assert!(report.contains("fails when ") && report.contains(" goes before "), "{report}");
}

#[test]
fn a_livelock_behind_a_shield_ends_as_well() {
    let report = report_of(Simulation::new().livelock_after(10_000), || {
        co! { yield shield(co! { loop { yield; } }.named("spins")); }
    });
    assert!(report.contains("livelock: ") && report.contains("  `spins` at "), "{report}");
}

#[test]
fn a_livelock_of_coroutines_that_start_others_is_found() {
    let report = report_of(Simulation::new().livelock_after(10_000), || {
        co! { while !(yield co! { yield sleep(Duration::ZERO); false }) {} }.named("asks")
    });
    assert!(report.contains("livelock: ") && report.contains("  `asks` at "), "{report}");
}

#[test]
fn many_turns_are_no_livelock_if_the_clock_moves_in_between() {
    let program = || {
        co! {
            for _ in 0..20 {
                for _ in 0..900 {
                    yield;
                }
                yield sleep(Duration::from_nanos(1));
            }
        }
    };
    Simulation::new().seeds([0, 1]).livelock_after(1_000).check(program);
    assert!(report_of(Simulation::new().livelock_after(800), program).contains("livelock: "));
}

#[test]
fn a_wait_for_a_thread_by_yield_is_no_livelock() {
    let program = || {
        let count = Arc::new(AtomicU32::new(0));
        let counted = count.clone();
        // It ends when there were more rounds than the limit.
        let thread = run_in_thread(move || {
            while counted.load(Relaxed) < 20_000 {
                std::thread::yield_now();
            }
        });
        co! {
            let thread = yield spawn(thread);
            while count.fetch_add(1, Relaxed) < 20_000 {
                yield;
            }
            yield thread;
        }
    };
    Simulation::new().seeds(0..2).livelock_after(10_000).check(program);
}

#[test]
fn a_livelock_after_no_rounds_is_refused() {
    let refused = catch_unwind(|| drop(Simulation::new().livelock_after(0)));
    assert!(text_of(refused.unwrap_err()).contains("a program needs a round to run"));
}

// The environment variable. It belongs to the whole process, so these tests run this test binary again.

/// Runs one of the tests below with the variable, and returns its output.
fn run_with_seed(test: &str, value: &str) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env("TINYIELD_SEED", value)
        .env_remove("RUST_BACKTRACE")
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn body_of_the_tests_of_the_variable() {
    let checked = Simulation::new().check(|| co! { yield; });
    println!("{} runs", checked.runs());
    let is_alone = std::env::var_os("TINYIELD_SEED").is_some();
    assert_eq!(checked.runs(), if is_alone { 1 } else { 100 });
    let _ = report_of(Simulation::new(), || co! { panic!("printed as always"); });
}

#[test]
fn the_variable_runs_one_seed_alone_and_prints_its_panic() {
    let output = run_with_seed("body_of_the_tests_of_the_variable", "421");
    assert!(output.contains("1 runs"), "{output}");
    assert!(output.contains("fails with seed 421"), "{output}");
    // The hook prints the panic in the first run, and the report has it too.
    assert!(output.contains("printed as always\n"), "{output}");
    assert!(output.contains("test result: ok. 1 passed"), "{output}");
}

#[test]
fn a_value_of_the_variable_that_is_no_seed_is_refused() {
    for value in ["abc", "-1", "", "18446744073709551616"] {
        let output = run_with_seed("body_of_the_tests_of_the_variable", value);
        let expected =
            format!("TINYIELD_SEED is {value:?}; it has to be one seed, a whole number from 0 to 18446744073709551615");
        assert!(output.contains(&expected), "{output}");
    }
}

#[test]
fn a_program_that_keeps_state_between_runs_is_distinguished_from_one_that_always_fails() {
    let runs = Cell::new(0);
    let report = report_of(Simulation::new(), || {
        runs.set(runs.get() + 1);
        let is_full = runs.get() > 4;
        co! {
            yield;
            if is_full {
                Err("full")?;
            }
        }
    });
    assert!(report.contains("an earlier run has left something behind"), "{report}");
}

#[test]
fn a_report_of_a_panic_has_the_coroutines_that_waited() {
    let report = report_of(Simulation::new(), || {
        let inner = co! { yield; panic!("inside"); }.named("inner");
        co! { yield inner; }.named("outer")
    });
    assert!(report.contains("  coroutines, outermost first:\n    outer at "), "{report}");
    assert!(report.contains("\n    inner at "), "{report}");
}
