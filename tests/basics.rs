//! Running coroutines: waiting for one or many, sharing, spawning, running again.
#![feature(coroutines)]

mod common;

use std::cell::Cell;
use std::rc::Rc;

use common::{Alive, Counter, LONG, Log, ms, simulated};
use tinyield::{Coro, JoinHandle, Loop, Shared, co, coro, run_in_thread, sleep, spawn};

#[coro]
fn add_one(x: i32) -> Coro<i32> {
    yield;
    x + 1
}

#[coro]
fn add_two(x: i32) -> Coro<i32> {
    let y = yield add_one(x);
    yield add_one(y)
}

#[test]
fn a_coroutine_waits_for_others_in_turn() {
    assert_eq!(Loop::new().run(add_two(4)).unwrap(), 6);
}

#[test]
fn a_gather_keeps_its_shape() {
    let run = |coro| Loop::new().run(coro).unwrap();
    run(co! {
        let pair: (i32, i32) = yield (add_one(3), add_two(3));
        assert_eq!(pair, (4, 5));
        let array: [i32; 3] = yield [add_one(1), add_two(2), add_one(3)];
        assert_eq!(array, [2, 4, 4]);
        let vec: Vec<i32> = yield (0..10).map(add_one).collect::<Vec<_>>();
        assert_eq!(vec, (1..11).collect::<Vec<_>>());
        let some: Option<i32> = yield Some(add_one(1));
        assert_eq!(some, Some(2));
        let none: Option<i32> = yield None::<Coro<i32>>;
        assert_eq!(none, None);
        let one: (i32,) = yield (add_one(1),);
        assert_eq!(one, (2,));
        let nested: (Vec<(i32, Option<i32>)>, [(); 2]) = yield (vec![(add_one(1), Some(add_two(1))), (add_two(2), None)], [(), ()]);
        assert_eq!(nested, (vec![(2, Some(3)), (4, None)], [(), ()]));
    });
}

#[test]
fn a_gather_takes_tuples_of_twelve_types() {
    let twelve = (
        co! { 1u8 },
        co! { 2u16 },
        co! { 3u32 },
        co! { 4u64 },
        co! { 5i8 },
        co! { 6i16 },
        co! { 7i32 },
        co! { 8i64 },
        co! { "nine" },
        co! { 'x' },
        co! { 11.0f32 },
        co! { String::from("twelve") },
    );
    let (a, .., i, j, k, l) = Loop::new().run(twelve).unwrap();
    assert_eq!((a, i, j, k, l.as_str()), (1, "nine", 'x', 11.0, "twelve"));
}

#[test]
fn an_empty_gather_is_a_turn_and_gives_nothing() {
    let log = Log::new();
    let (one, two) = (log.clone(), log.clone());
    let empty = co! {
        one.push("before");
        assert_eq!((yield Vec::<Coro<i32>>::new()), []);
        one.push("after");
        let _: [i32; 0] = yield [] as [Coro<i32>; 0];
        one.push("end");
    };
    let other = co! {
        two.push("other");
        yield;
        two.push("other again");
    };
    Loop::new().run((empty, other)).unwrap();
    assert_eq!(log.take(), ["before", "other", "after", "other again", "end"]);
}

#[test]
fn the_parts_of_a_gather_run_at_the_same_time() {
    let log = Log::new();
    let part = |name: &'static str| {
        let log = log.clone();
        co! {
            log.push(format!("{name} 1"));
            yield;
            log.push(format!("{name} 2"));
        }
    };
    Loop::new().run((part("a"), vec![part("b"), part("c")])).unwrap();
    assert_eq!(log.take(), ["a 1", "b 1", "c 1", "a 2", "b 2", "c 2"]);
}

#[test]
fn a_shared_coroutine_is_yielded_twice_and_runs_once() {
    let runs = Counter::new();
    let counts = runs.clone();
    let main = co! {
        let shared = co! { yield; counts.up(); 4 }.shared();
        let x = yield &shared;
        let y = yield &shared;
        let z = yield shared;
        (x, y, z)
    };
    assert_eq!(Loop::new().run(main).unwrap(), (4, 4, 4));
    assert_eq!(runs.get(), 1);
}

#[test]
fn a_shared_coroutine_is_in_one_gather_twice() {
    let runs = Counter::new();
    let counts = runs.clone();
    let main = co! {
        let shared = co! { yield; counts.up(); 4 }.shared();
        yield (shared.clone(), &shared)
    };
    assert_eq!(Loop::new().run(main).unwrap(), (4, 4));
    assert_eq!(runs.get(), 1);
}

#[test]
fn a_shared_coroutine_below_two_others_gives_its_value_to_both() {
    #[coro]
    fn side(y: Shared<i32>, factor: i32) -> Coro<i32> {
        (yield y) * factor
    }
    #[coro]
    fn diamond(x: i32) -> Coro<i32> {
        let y = add_one(x).shared();
        let (a, b) = yield (side(y.clone(), 1), side(y, 2));
        a + b
    }
    assert_eq!(Loop::new().run(diamond(2)).unwrap(), 9);
}

#[test]
fn a_hundred_coroutines_sleep_at_the_same_time() {
    #[coro]
    fn slow_add_one(x: i32, asleep: Counter) -> Coro<i32> {
        asleep.up();
        yield sleep(ms(100));
        assert_eq!(asleep.get(), 100);
        x + 1
    }
    let asleep = Counter::new();
    let all = simulated().run((0..100).map(|_| slow_add_one(1, asleep.clone())).collect::<Vec<_>>()).unwrap();
    assert_eq!(all, [2; 100]);
}

#[test]
fn several_runs_use_the_same_shared_coroutine() {
    let foo = add_one(4).shared();
    let times_five = || {
        let foo = foo.clone();
        co! { (yield foo) * 5 }
    };
    let mut one = Loop::new();
    for _ in 0..3 {
        assert_eq!(one.run(times_five()).unwrap(), 25);
    }
    assert_eq!(Loop::new().run(times_five()).unwrap(), 25);
}

#[test]
fn a_gather_takes_finished_and_unfinished_coroutines() {
    #[coro]
    fn waits(shared: Shared<i32>) -> Coro<i32> {
        yield shared
    }
    let foo = co! { yield; 3 }.shared();
    let gathers = foo.clone();
    let main = co! {
        yield waits(gathers.clone());
        yield (co! { yield; 3 }, &gathers)
    };
    assert_eq!(Loop::new().run(main).unwrap(), (3, 3));
    let main = co! {
        yield waits(foo.clone());
        let (new, old) = yield spawn((co! { yield; 3 }, &foo));
        yield (new, old)
    };
    assert_eq!(Loop::new().run(main).unwrap(), (3, 3));
}

/// Spawns a coroutine that runs until a coroutine that was started after it sets a flag.
fn background(wait_for_it: bool) -> bool {
    let (told, done) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(false)));
    let ends = done.clone();
    let main = co! {
        let sees = told.clone();
        let f = co! {
            while !sees.get() {
                yield;
            }
            3
        };
        let handle: JoinHandle<i32> = yield spawn(f);
        yield co! { told.set(true); yield; };
        if wait_for_it {
            assert_eq!(yield handle, 3);
        }
        ends.set(true);
    };
    Loop::new().run(main).unwrap();
    done.get()
}

#[test]
fn a_spawned_coroutine_runs_beside_its_parent() {
    assert!(background(false));
}

#[test]
fn a_spawned_coroutine_can_be_awaited_later() {
    assert!(background(true));
}

#[test]
fn a_shared_coroutine_that_others_await_can_be_spawned() {
    for wait_for_it in [false, true] {
        let told = Rc::new(Cell::new(false));
        let (sees, counts) = (told.clone(), Counter::new());
        let counted = counts.clone();
        let f = co! {
            counted.up();
            while !sees.get() {
                yield;
            }
            3
        }
        .shared();
        let again = f.clone();
        let h = co! {
            let handle = yield spawn(&again);
            yield co! { told.set(true); yield; };
            if wait_for_it {
                assert_eq!(yield handle, 3);
            }
            "done"
        };
        assert_eq!(Loop::new().run((f, h)).unwrap(), (3, "done"));
        assert_eq!(counts.get(), 1);
    }
}

#[test]
fn spawning_nothing_is_allowed() {
    let main = co! {
        yield spawn(());
        let none = yield spawn(Vec::<Coro<()>>::new());
        assert!(none.is_empty());
        assert!((yield spawn(None::<Coro<()>>)).is_none());
        3
    };
    assert_eq!(Loop::new().run(main).unwrap(), 3);
}

#[test]
fn a_coroutine_that_is_spawned_twice_starts_once_and_can_be_yielded_many_times() {
    let runs = Counter::new();
    let counts = runs.clone();
    let main = co! {
        let shared = co! { counts.up(); yield; 3 }.shared();
        yield spawn(&shared);
        yield spawn(shared.clone());
        let [again, twice] = yield spawn([&shared, &shared]);
        assert_eq!(yield &shared, 3);
        assert_eq!(yield (again, twice, shared), (3, 3, 3));
    };
    Loop::new().run(main).unwrap();
    assert_eq!(runs.get(), 1);
}

#[test]
fn spawn_keeps_its_shape() {
    let main = co! {
        let one: JoinHandle<i32> = yield spawn(add_one(0));
        let array: [JoinHandle<i32>; 2] = yield spawn([add_one(1), add_one(2)]);
        let vec: Vec<JoinHandle<i32>> = yield spawn(vec![add_one(3)]);
        let (a, b): (JoinHandle<i32>, Shared<&str>) = yield spawn((add_one(4), co! { "b" }.shared()));
        let nested: (Option<JoinHandle<i32>>, [(JoinHandle<i32>,); 1]) = yield spawn((Some(add_one(5)), [(add_one(6),)]));
        let all = yield (one, array, vec, a, b, nested);
        assert_eq!(all, (1, [2, 3], vec![4], 5, "b", (Some(6), [(7,)])));
    };
    Loop::new().run(main).unwrap();
}

#[test]
fn a_run_ends_when_all_spawned_coroutines_have_ended() {
    let log = Log::new();
    let (inner, outer) = (log.clone(), log.clone());
    let main = co! {
        yield spawn(co! {
            for _ in 0..10 {
                yield;
            }
            yield spawn(co! { yield sleep(ms(2)); inner.push("grandchild"); });
        });
        outer.push("main");
        7
    };
    assert_eq!(simulated().run(main).unwrap(), 7);
    assert_eq!(log.take(), ["main", "grandchild"]);
}

#[test]
fn a_dropped_handle_lets_the_coroutine_run_on() {
    let log = Log::new();
    let ends = log.clone();
    let main = co! {
        drop(yield spawn(co! { yield; yield; ends.push("ended"); }));
    };
    Loop::new().run(main).unwrap();
    assert_eq!(log.take(), ["ended"]);
}

#[test]
fn is_finished_of_a_handle_is_true_when_its_coroutine_has_ended() {
    let main = co! {
        let handle = yield spawn(co! { yield; yield; 1 });
        let mut turns = 0;
        while !handle.is_finished() {
            turns += 1;
            yield;
        }
        // Its first turn comes during the `yield` that spawned it.
        assert_eq!(turns, 2);
        yield handle
    };
    assert_eq!(Loop::new().run(main).unwrap(), 1);
}

#[test]
fn a_coroutine_without_a_yield_runs() {
    assert_eq!(Loop::new().run(co! { 3 }).unwrap(), 3);
    #[coro]
    fn three() -> Coro<i32> {
        3
    }
    assert_eq!(Loop::new().run(three()).unwrap(), 3);
    assert_eq!(Loop::new().run(co! { yield three() }).unwrap(), 3);
}

#[test]
fn a_finished_coroutine_keeps_only_its_value_until_the_last_handle_is_dropped() {
    let (body, value) = (Alive::new(), Alive::new());
    let (bodies, values) = (body.clone(), value.clone());
    let foo = move |in_thread: bool| {
        let (held, values) = (bodies.token(), values.clone());
        co! {
            if in_thread {
                assert_eq!(yield run_in_thread(|| 4 + 1), 5);
            } else {
                yield;
            }
            drop(held);
            values.token()
        }
    };
    let sees = value.clone();
    let shared = foo(false).shared();
    let keeps = shared.clone();
    let main = co! {
        let (one, two, three) = yield (foo(true), foo(false), &shared);
        assert_eq!(sees.get(), 4);
        drop((one, two, three, shared));
        assert_eq!(sees.get(), 1);
    };
    Loop::new().run(main).unwrap();
    assert_eq!((body.get(), value.get()), (0, 1));
    drop(keeps);
    assert_eq!(value.get(), 0);
}

#[test]
fn a_shared_that_finished_inside_another_run_is_run_again() {
    let mut one = Loop::new();
    let g = co! { yield; 4 }.shared();
    let waits = g.clone();
    assert_eq!(one.run(co! { yield waits }).unwrap(), 4);
    assert_eq!(one.run(&g).unwrap(), 4);
}

#[test]
fn a_shared_that_has_run_gives_its_value_again_on_any_loop() {
    let f = co! { yield; 4 }.shared();
    let mut one = Loop::new();
    assert_eq!(one.run(&f).unwrap(), 4);
    assert_eq!(one.run(&f).unwrap(), 4);
    assert_eq!(Loop::new().run(f).unwrap(), 4);
}

#[test]
fn a_handle_gives_its_value_on_another_loop_after_its_run_is_over() {
    let handle = Loop::new().run(co! { yield spawn(co! { yield; String::from("late") }) }).unwrap();
    assert!(handle.is_finished());
    assert_eq!(Loop::new().run(handle).unwrap(), "late");
}

#[test]
fn a_shared_that_failed_raises_again_on_any_loop() {
    let failing: Shared<i32> = co! { yield; Err("only once")?; 1 }.named("failing").shared();
    let error = Loop::new().run(&failing).unwrap_err();
    assert_eq!(common::names(error.error()), ["failing"]);
    let again = Loop::new().run(co! { yield failing }.named("late")).unwrap_err();
    assert_eq!(again.to_string(), "only once");
    assert_eq!(common::names(again.error()), ["late", "failing"]);
}

#[test]
fn anything_that_can_be_yielded_can_be_run() {
    let mut event_loop = simulated();
    event_loop.run(()).unwrap();
    event_loop.run(sleep(ms(1))).unwrap();
    assert_eq!(event_loop.run(Some([add_one(1)])).unwrap(), Some([2]));
    assert!(event_loop.run(spawn(add_one(1))).unwrap().is_finished());
    assert_eq!(event_loop.run(tinyield::timeout(add_one(1), LONG)).unwrap(), Ok(2));
    assert_eq!(event_loop.run(tinyield::isolate(add_one(1))).unwrap().unwrap(), 2);
    assert_eq!(event_loop.run(tinyield::race([add_one(1)])).unwrap(), 2);
    assert_eq!(event_loop.run(tinyield::shield(add_one(1))).unwrap(), 2);
    assert_eq!(event_loop.run(tinyield::catch(add_one(1))).unwrap().unwrap(), 2);
}

#[test]
fn a_loop_runs_inside_a_coroutine_of_another() {
    #[coro]
    fn nested(depth: u32) -> Coro<u32> {
        yield;
        if depth == 0 { 0 } else { 1 + Loop::new().run(nested(depth - 1))? }
    }
    assert_eq!(Loop::new().run((nested(10), nested(3))).unwrap(), (10, 3));
}

#[test]
fn a_loop_runs_again_after_it_failed() {
    let mut event_loop = Loop::new();
    for round in 0..3 {
        let error = event_loop.run(co! { yield; Err(format!("round {round}"))?; }).unwrap_err();
        assert_eq!(error.to_string(), format!("round {round}"));
        assert_eq!(event_loop.run(add_two(round)).unwrap(), round + 2);
    }
}

#[test]
fn arguments_live_as_long_as_the_coroutine_even_if_unused() {
    #[coro]
    fn unused(_: common::Guard, _named: common::Guard) -> Coro<()> {
        yield;
        yield;
    }
    let drops = Counter::new();
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(unused(drops.guard(), drops.guard()));
    common::ran(&mut runtime);
    common::ran(&mut runtime);
    assert_eq!(drops.get(), 0);
    common::ran(&mut runtime);
    assert_eq!(drops.get(), 2);
}

#[test]
fn raise_turns_an_error_value_into_an_error() {
    let fine: Coro<Result<i32, String>> = co! { yield; Ok(1) };
    assert_eq!(Loop::new().run(fine.raise()).unwrap(), 1);
    let bad: Coro<Result<i32, String>> = co! { yield; Err("as a value".to_string()) }.named("bad");
    let line = line!() + 1;
    let raised = bad.raise();
    let error = Loop::new().run(raised).unwrap_err();
    assert_eq!(error.to_string(), "as a value");
    assert_eq!(error.error().location().line(), line);
    assert_eq!(common::names(error.error()), ["bad"]);
}
