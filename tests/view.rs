//! Looking into a loop: dumps from inside and from other threads, stalls, statistics.

#![feature(coroutines)]

mod common;

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tinyield::{
    Coro, Dump, Event, Lock, Loop, Semaphore, Shared, Stall, Step, View, as_completed, co, coro, dump, finally,
    isolate, race, run_in_thread, settled, sleep, spawn, timeout,
};

/// Longer than any test takes: a test that needs it fails.
const LONG: Duration = Duration::from_secs(60);

/// What the coroutine of this name waits on.
fn words<'dump>(dump: &'dump Dump, name: &str) -> &'dump str {
    dump.tasks().iter().find(|task| task.name() == name).unwrap().waits_on()
}

fn names(dump: &Dump) -> Vec<&str> {
    dump.tasks().iter().map(|task| task.name()).collect()
}

/// The dump that `view` takes on another thread, from a coroutine of the loop that it looks into.
#[coro]
fn dump_of(view: View) -> Coro<Dump> {
    (yield run_in_thread(move || view.dump(LONG))).unwrap()
}

#[test]
fn a_dump_names_each_coroutine_its_line_and_what_it_waits_on() {
    let main = co! {
        let event = Event::new();
        let inner = { let event = event.clone(); co! { yield event.wait(); }.named("inner") };
        yield spawn(co! { yield inner; }.named("outer"));
        yield;
        yield;
        let dump = yield dump();
        event.set();
        dump
    };
    let line = line!() - 4;
    let dump = Loop::new().run(main.named("main")).unwrap();
    assert_eq!(names(&dump), ["main", "outer", "inner"]);
    let waits: Vec<_> = dump.tasks().iter().map(|task| task.waits_on()).collect();
    assert_eq!(waits, ["this dump", "`inner`", "an event"]);
    let parents: Vec<_> = dump.tasks().iter().map(|task| task.parent()).collect();
    assert_eq!(parents, [None, Some(0), Some(1)]);
    assert_eq!(dump.tasks()[0].location().line(), line);
    assert_eq!(dump.tasks()[0].location().file(), file!());
}

#[test]
fn a_dump_prints_a_tree() {
    let main = co! {
        let quit = Event::new();
        for _ in 0..100 {
            let quit = quit.clone();
            yield spawn(co! { yield quit.wait(); }.named("worker"));
        }
        yield;
        let dump = yield dump();
        quit.set();
        dump
    };
    let dump = Loop::new().run(main.named("main")).unwrap();
    let text = dump.to_string();
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0] == "coroutines: 101, timers: 0", "{text}");
    assert!(lines[1].starts_with("1. `main` waits at tests/view.rs:") && lines[1].ends_with(" on this dump"), "{text}");
    assert!(lines[2].starts_with("  2. 100 x `worker` wait at tests/view.rs:"), "{text}");
    assert!(lines[2].ends_with(" on an event"), "{text}");
    assert_eq!(lines.len(), 3, "{text}");
}

#[test]
fn a_dump_has_words_for_each_kind_of_wait() {
    let main = co! {
        let (semaphore, lock, event) = (Semaphore::new(1), Lock::new(()), Event::new());
        let holder = {
            let (semaphore, lock, event) = (semaphore.clone(), lock.clone(), event.clone());
            co! {
                let _permit = yield semaphore.acquire();
                let _guard = yield lock.acquire();
                yield event.wait();
            }
        };
        yield spawn(holder.named("holder"));
        yield;
        yield;
        yield spawn(co! { drop(yield semaphore.acquire()); }.named("at the semaphore"));
        yield spawn(co! { drop(yield timeout(lock.acquire(), LONG)); }.named("at the lock"));
        yield spawn(co! { yield sleep(Duration::from_millis(1)); }.named("at a timer"));
        yield;
        yield spawn(co! { yield; }.named("new"));
        let dump = yield dump();
        event.set();
        dump
    };
    let dump = Loop::new().run(main.named("main")).unwrap();
    let waits: Vec<_> = dump.tasks().iter().map(|task| (task.name(), task.waits_on())).collect();
    assert_eq!(
        waits,
        [
            ("main", "this dump"),
            ("holder", "an event"),
            ("at the semaphore", "a semaphore held by `holder`"),
            ("at the lock", "a lock held by `holder`"),
            ("at a timer", "a timer"),
            ("new", "its turn"),
        ]
    );
}

#[test]
fn a_dump_says_that_a_coroutine_waits_until_nothing_else_is_ready() {
    let main = co! {
        yield spawn(co! { yield settled(); }.named("alone"));
        yield spawn(co! { yield (settled(), sleep(Duration::from_millis(1))); }.named("in a gather"));
        yield spawn(co! { let _ = yield timeout(settled(), LONG); }.named("in a timeout"));
        yield;
        let waiting = yield dump();
        yield settled();
        (waiting, yield dump())
    };
    let (waiting, gone_on) = Loop::builder().simulated(0).build().run(main.named("main")).unwrap();
    let words = |dump: &Dump| dump.tasks()[1..].iter().map(|task| task.waits_on().to_string()).collect::<Vec<_>>();
    let settled = "the moment when nothing else is ready";
    assert_eq!(words(&waiting), [settled, &format!("a timer and {settled}"), settled]);
    assert_eq!(words(&gone_on), ["a timer"]);
}

#[test]
fn a_view_takes_a_dump_from_another_thread() {
    let mut event_loop = Loop::new();
    let view = event_loop.view();
    let main = co! {
        let quit = Event::new();
        let waiting = { let quit = quit.clone(); co! { yield quit.wait(); } };
        yield spawn(co! { yield waiting.named("below"); }.named("waiter"));
        let dump = yield dump_of(view);
        quit.set();
        dump
    };
    let dump = event_loop.run(main.named("main")).unwrap();
    assert_eq!(names(&dump), ["main", "waiter", "below", "dump_of", "run_in_thread"]);
    assert_eq!(dump.tasks()[4].waits_on(), "a future");
    let parents: Vec<_> = dump.tasks().iter().map(|task| task.parent()).collect();
    assert_eq!(parents, [None, Some(0), Some(1), Some(0), Some(3)]);
}

#[test]
fn a_diamond_of_shared_coroutines_has_a_text_of_linear_length() {
    #[coro]
    fn level(below: Shared<()>) -> Coro<()> {
        yield below
    }

    let lines = |levels: usize| {
        let main = co! {
            let quit = Event::new();
            let bottom = { let quit = quit.clone(); co! { yield quit.wait(); } };
            let mut top = bottom.named("bottom").shared();
            for _ in 0..levels {
                let (left, right) = (level(top.clone()), level(top));
                top = co! { yield (left.named("left"), right.named("right")); }.shared();
            }
            yield spawn(co! { yield top; }.named("waiter"));
            for _ in 0..3 * levels + 3 {
                yield;
            }
            let dump = yield dump();
            quit.set();
            dump
        };
        let dump = Loop::new().run(main.named("main")).unwrap();
        let text = dump.to_string();
        assert_eq!(dump.tasks().len(), 3 * levels + 3);
        assert!(text.contains("`right` waits at") && text.contains(" (see "), "{text}");
        text.lines().count()
    };
    assert_eq!(lines(4), 4 * 3 + 3 + 1);
    assert_eq!(lines(40), 40 * 3 + 3 + 1);
}

#[test]
fn many_tasks_of_few_kinds_have_a_short_text() {
    let main = co! {
        let quit = Event::new();
        for _ in 0..10_000 {
            let (one, two) = (quit.clone(), quit.clone());
            let reader = co! { yield one.wait(); }.named("reader");
            yield spawn(co! { yield reader; }.named("connection"));
            yield spawn(co! { yield two.wait(); }.named("timer"));
        }
        yield;
        yield;
        let dump = yield dump();
        quit.set();
        dump
    };
    let dump = Loop::new().run(main.named("main")).unwrap();
    assert_eq!(dump.tasks().len(), 30_001);
    let text = dump.to_string();
    assert_eq!(text.lines().count(), 5, "{text}");
    assert!(text.contains("10000 x `reader` wait"), "{text}");
}

#[test]
fn the_work_for_a_dump_is_linear() {
    let steps = |count: usize| {
        let main = co! {
            let (quit, semaphore) = (Event::new(), Semaphore::new(1));
            let permit = yield semaphore.acquire();
            for _ in 0..count {
                let (quit, semaphore) = (quit.clone(), semaphore.clone());
                let below = co! { yield quit.wait(); };
                yield spawn(co! { yield below; });
                yield spawn(co! { yield timeout(semaphore.acquire(), LONG).map(drop); });
            }
            yield;
            yield;
            yield;
            let before = tinyield::__private::iterations().unwrap();
            let dump = yield dump();
            let text = dump.to_string();
            let steps = tinyield::__private::iterations().unwrap() - before;
            quit.set();
            drop(permit);
            assert!(text.lines().count() < 10, "{text}");
            steps
        };
        Loop::new().run(main).unwrap()
    };
    let (few, many) = (steps(100), steps(1_000));
    assert!(many < 11 * few, "{few} steps for 100, {many} for 1000");
}

#[test]
fn a_deep_chain_is_dumped_without_recursion() {
    #[coro]
    fn chain(depth: u32, quit: Event) -> Coro<()> {
        if depth == 0 {
            yield quit.wait();
        } else {
            yield chain(depth - 1, quit);
        }
    }

    let main = co! {
        let quit = Event::new();
        yield spawn(chain(20_000, quit.clone()));
        for _ in 0..20_002 {
            yield;
        }
        let dump = yield dump();
        quit.set();
        dump
    };
    let dump = Loop::new().run(main).unwrap();
    assert_eq!(dump.tasks().len(), 20_002);
    assert!(dump.to_string().len() < 20_002 * 200);
}

#[test]
fn a_dump_of_a_loop_that_does_not_run_is_empty() {
    let mut event_loop = Loop::new();
    let view = event_loop.view();
    let is_empty = |view: &View| {
        let dump = view.dump(LONG).unwrap();
        dump.tasks().is_empty() && dump.to_string() == "the loop does not run"
    };
    assert!(is_empty(&view));
    event_loop.run(co! { yield; }).unwrap();
    assert!(is_empty(&view));
    drop(event_loop.runtime(co! { yield; }));
    assert!(is_empty(&view));
    drop(event_loop);
    assert!(is_empty(&view));
    let elsewhere = thread::spawn(move || is_empty(&view));
    assert!(elsewhere.join().unwrap());
}

#[test]
fn a_request_for_a_dump_names_the_coroutine_that_blocks_the_loop() {
    let mut event_loop = Loop::new();
    let view = event_loop.view();
    let (started, has_started) = mpsc::channel();
    let (stop, stopped) = mpsc::channel::<()>();
    let asker = thread::spawn(move || {
        has_started.recv().unwrap();
        let stall = view.dump(Duration::from_millis(5)).unwrap_err();
        stop.send(()).unwrap();
        stall
    });
    let blocking = co! {
        yield;
        started.send(()).unwrap();
        stopped.recv().unwrap();
    };
    let line = line!() - 4;
    event_loop.run(blocking.named("blocking")).unwrap();
    let stall = asker.join().unwrap();
    assert_eq!((stall.name(), stall.location().line()), ("blocking", line));
    assert!(stall.duration() >= Duration::from_millis(5));
    assert!(!stall.is_over());
    assert!(stall.to_string().starts_with(&format!("`blocking` holds the loop up since tests/view.rs:{line}, for ")));
}

#[test]
fn the_stall_of_a_destructor_names_the_coroutine_whose_cancellation_runs_it() {
    struct Blocks(mpsc::Sender<()>, mpsc::Receiver<()>);
    impl Drop for Blocks {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
            self.1.recv().unwrap();
        }
    }

    let mut event_loop = Loop::new();
    let view = event_loop.view();
    let (started, has_started) = mpsc::channel();
    let (stop, stopped) = mpsc::channel::<()>();
    let asker = thread::spawn(move || {
        has_started.recv().unwrap();
        let stall = view.dump(Duration::from_millis(5)).unwrap_err();
        stop.send(()).unwrap();
        stall
    });
    let blocks = Blocks(started, stopped);
    let owner = co! {
        let _blocks = blocks;
        yield sleep(LONG);
    };
    let fails = co! { yield; Err("no more")?; };
    event_loop.run((owner.named("owner"), fails)).unwrap_err();
    assert_eq!(asker.join().unwrap().name(), "owner");
}

#[test]
fn a_coroutine_that_requests_a_dump_of_its_own_loop_gets_its_own_stall_at_once() {
    let mut event_loop = Loop::new();
    let view = event_loop.view();
    let own = co! { view.dump(Duration::MAX).unwrap_err() };
    assert_eq!(event_loop.run(own.named("own")).unwrap().name(), "own");
}

#[test]
fn a_loop_inside_of_a_coroutine_is_a_loop_of_its_own() {
    let mut outer_loop = Loop::new();
    let outer_view = outer_loop.view();
    let outer = co! {
        let mut inner_loop = Loop::new();
        let inner_view = inner_loop.view();
        let inner = co! {
            let inside = yield dump();
            let (viewed, stall) =
                yield run_in_thread(move || (inner_view.dump(LONG).unwrap(), outer_view.dump(Duration::ZERO).unwrap_err()));
            (inside, viewed, stall)
        };
        inner_loop.run(inner.named("inner")).unwrap()
    };
    let (inside, viewed, stall): (Dump, Dump, Stall) = outer_loop.run(outer.named("outer")).unwrap();
    assert_eq!(names(&inside), ["inner"]);
    assert_eq!(names(&viewed), ["inner", "run_in_thread"]);
    assert_eq!(stall.name(), "outer");
}

#[test]
fn many_threads_may_request_dumps_at_once() {
    let mut event_loop = Loop::new();
    let view = event_loop.view();
    let main = co! {
        let asks = (0..8).map(|_| {
            let view = view.clone();
            run_in_thread(move || (0..50).all(|_| view.dump(LONG).unwrap().tasks()[0].name() == "main"))
        });
        let asks: Vec<_> = asks.collect();
        yield asks
    };
    let answers = event_loop.run(main.named("main")).unwrap();
    assert_eq!(answers, [true; 8]);
}

#[test]
fn a_busy_loop_answers_between_two_rounds() {
    let mut event_loop = Loop::new();
    let view = event_loop.view();
    let main = co! {
        let ask = yield spawn(dump_of(view));
        while !ask.is_finished() {
            yield;
        }
        yield ask
    };
    let dump = event_loop.run(main.named("main")).unwrap();
    assert_eq!(dump.tasks()[0].waits_on(), "its turn");
}

#[test]
fn a_host_that_polls_is_woken_for_a_dump() {
    let mut event_loop = Loop::new();
    let view = event_loop.view();
    let quit = Event::new();
    let mut runtime = event_loop.runtime(quit.wait());
    let (wakes, waker) = common::Wakes::new();
    assert!(common::poll(&mut runtime, &waker).is_pending());
    let before = wakes.get();
    let asker = thread::spawn(move || view.dump(LONG).unwrap().tasks().len());
    while wakes.get() == before {
        thread::yield_now();
    }
    assert!(common::poll(&mut runtime, &waker).is_pending());
    assert_eq!(asker.join().unwrap(), 0); // the only coroutine is that of the library
}

#[test]
fn a_host_that_does_not_step_is_a_stall_without_a_coroutine() {
    let mut event_loop = Loop::new();
    let view = event_loop.view();
    let quit = Event::new();
    let mut runtime = event_loop.runtime(co! { yield quit.wait(); }.named("guest"));
    let line = line!() - 1;
    while let Step::Ran = runtime.step() {}
    let stall = view.dump(Duration::MAX).unwrap_err();
    let elsewhere = thread::scope(|scope| scope.spawn(|| view.dump(Duration::ZERO).unwrap_err()).join().unwrap());
    for stall in [stall, elsewhere] {
        assert_eq!((stall.name(), stall.location().line()), ("run", line));
        assert!(stall.to_string().starts_with("no coroutine runs"), "{stall}");
    }
    assert_eq!(names(&runtime.dump()), ["guest"]);
}

#[test]
fn a_forgotten_run_does_not_answer_for_the_next_one() {
    let mut event_loop = Loop::new();
    let view = event_loop.view();
    std::mem::forget(event_loop.runtime(co! { yield; }.named("forgotten")));
    let dump = event_loop.run(dump_of(view).named("next")).unwrap();
    assert_eq!(dump.tasks()[0].name(), "next");
}

#[test]
fn a_dump_that_is_given_up_leaves_nothing_behind() {
    let main = co! {
        for _ in 0..100 {
            yield tinyield::race((dump().map(|_| ()), sleep(Duration::ZERO)));
        }
        drop(dump());
        std::mem::forget(dump());
        (yield (dump(), dump())).0
    };
    let dump = Loop::new().run(main.named("main")).unwrap();
    assert_eq!(names(&dump), ["main"]);
}

#[test]
fn a_dump_shows_no_coroutine_that_has_ended() {
    let main = co! {
        let ended = yield spawn(co! { 5 }.named("ended"));
        yield;
        yield;
        let dump = yield dump();
        assert!(ended.is_finished());
        dump
    };
    assert_eq!(names(&Loop::new().run(main.named("main")).unwrap()), ["main"]);
}

#[test]
fn a_view_does_not_hide_a_deadlock() {
    let mut event_loop = Loop::new();
    let _view = event_loop.view();
    let error = event_loop.run(Event::new().wait()).unwrap_err();
    assert!(error.downcast_ref::<tinyield::Deadlock>().is_some());
}

#[test]
fn a_dump_does_not_change_what_a_simulated_loop_does() {
    let mut event_loop = Loop::builder().simulated(3).build();
    let main = co! {
        for _ in 0..10 {
            yield dump();
            yield sleep(LONG);
        }
    };
    event_loop.run(main).unwrap();
    assert!(!event_loop.came_from_outside());
}

#[test]
fn statistics_count_turns_rounds_tasks_and_timers() {
    let mut event_loop = Loop::new();
    assert_eq!(event_loop.statistics(), tinyield::inside::Statistics::default());
    let main = || {
        co! {
            for _ in 0..4 {
                yield (co! {}, co! {});
            }
        }
    };
    event_loop.run(main()).unwrap();
    let statistics = event_loop.statistics();
    assert_eq!((statistics.turns(), statistics.rounds()), (5 + 8, 5 + 4));
    assert_eq!((statistics.tasks(), statistics.timers(), statistics.longest_turn()), (0, 0, None));

    let mut runtime = event_loop.runtime(main());
    assert!(matches!(runtime.step(), Step::Ran));
    let statistics = runtime.statistics();
    assert_eq!((statistics.turns(), statistics.tasks()), (1, 3));
    while let Step::Ran = runtime.step() {}
    assert_eq!(runtime.statistics().turns(), 13);
    drop(runtime);
    assert_eq!(event_loop.statistics().turns(), 13);

    let _view = event_loop.view();
    event_loop.run(main()).unwrap();
    let statistics = event_loop.statistics();
    assert_eq!((statistics.turns(), statistics.rounds()), (13, 9));
    assert!(statistics.longest_turn().is_some_and(|longest| !longest.is_zero()));
}

#[test]
fn statistics_of_a_run_that_panics_are_kept() {
    let mut event_loop = Loop::builder().panic_trace(false).build();
    let panics = co! { yield; if true { panic!("on purpose") } };
    assert_eq!(common::panic_of(|| event_loop.run(panics)), "on purpose");
    assert_eq!(event_loop.statistics().turns(), 2);
}

#[test]
fn dumps_and_views_are_for_any_thread() {
    fn is_send_and_sync<T: Send + Sync + Clone>() {}
    is_send_and_sync::<View>();
    is_send_and_sync::<Dump>();
    is_send_and_sync::<Stall>();
}

#[test]
fn a_dump_shows_a_waiter_of_an_isolate_waiting_only_on_coroutines_that_nothing_inside_waits_for() {
    #[coro]
    fn leaf(event: Event) -> Coro<()> {
        yield event.wait();
    }
    #[coro]
    fn middle(event: Event) -> Coro<()> {
        yield spawn(leaf(event.clone()).named("background"));
        yield leaf(event);
    }
    #[coro]
    fn top(event: Event) -> Coro<()> {
        yield middle(event);
    }
    let main = co! {
        let event = Event::new();
        let isolated = { let event = event.clone(); co! { yield isolate(top(event)) } };
        let isolated = yield spawn(isolated.named("isolated"));
        yield settled();
        let dump = yield dump();
        event.set();
        drop(yield isolated);
        dump
    };
    let dump = Loop::new().run(main).unwrap();
    let words = |name| words(&dump, name);
    assert_eq!(words("isolated"), "`top` and `background`");
    assert_eq!(words("top"), "`middle`");
}

#[test]
fn a_dump_names_the_holders_of_locks_and_permits() {
    let main = co! {
        let (lock, semaphore, quit) = (Lock::new(()), Semaphore::new(1), Event::new());
        let holds_lock = { let (lock, quit) = (lock.clone(), quit.clone()); co! { let _held = yield lock.acquire(); yield quit.wait(); } };
        let holds_permit = { let (semaphore, quit) = (semaphore.clone(), quit.clone()); co! { let _held = yield semaphore.acquire(); yield quit.wait(); } };
        yield spawn((holds_lock.named("lock holder"), holds_permit.named("permit holder")));
        yield settled();
        yield spawn(co! { let _both = yield (lock.acquire(), semaphore.acquire()); }.named("both"));
        yield settled();
        let dump = yield dump();
        quit.set();
        dump
    };
    let dump = Loop::new().run(main).unwrap();
    let words = |name| words(&dump, name);
    assert_eq!(words("both"), "a semaphore held by `permit holder` and a lock held by `lock holder`");
}

/// A gather with a race in it is an exception: all words of a list are joined in the same way.
#[test]
fn a_dump_says_or_for_a_race() {
    let main = co! {
        let quit = Event::new();
        let waits = |name: &'static str| { let quit = quit.clone(); co! { yield quit.wait(); }.named(name) };
        let racers = (waits("a"), waits("b"));
        yield spawn(co! { yield race(racers); }.named("race"));
        let racers = (waits("c"), quit.wait());
        yield spawn(co! { yield race(racers); }.named("race with an event"));
        let racers = race((waits("d"), timeout(quit.wait(), LONG).map(|_| ())));
        yield spawn(co! { drop(yield timeout(isolate(racers), LONG)); }.named("race in a timeout"));
        let racers = race((quit.wait(), sleep(LONG)));
        yield spawn(co! { drop(yield isolate(racers)); }.named("race of leaves in a domain"));
        let racers = race(((waits("e"), quit.wait()), (waits("f"), quit.wait())));
        yield spawn(co! { yield racers; }.named("race with a gather"));
        let racers = race((waits("i"), race((waits("j"), waits("k")))));
        yield spawn(co! { yield racers; }.named("race in a race"));
        let racers = race((waits("l"), race((quit.wait(), sleep(LONG)))));
        yield spawn(co! { yield racers; }.named("race of leaves in a race"));
        let parent = |name, child| { let wait = waits(child); co! { let child = yield spawn(wait); yield child; }.named(name) };
        let racers = race((isolate(parent("m", "child")), isolate(waits("n"))));
        yield spawn(co! { drop(yield racers); }.named("race of domains"));
        let gather = (race((waits("g"), waits("h"))), quit.wait());
        yield spawn(co! { yield gather; }.named("race in a gather"));
        yield settled();
        let dump = yield dump();
        quit.set();
        dump
    };
    let dump = Loop::new().run(main).unwrap();
    let words = |name| words(&dump, name);
    assert_eq!(words("race"), "`a` or `b`");
    assert_eq!(words("race with an event"), "`c` or an event");
    assert_eq!(words("race in a timeout"), "`d` or an event");
    assert_eq!(words("race of leaves in a domain"), "an event or a timer");
    assert_eq!(words("race with a gather"), "`f` and `e` and an event");
    assert_eq!(words("race in a race"), "`i` or `j` or `k`");
    assert_eq!(words("race of leaves in a race"), "`l` or an event or a timer");
    assert_eq!(words("race of domains"), "`n` or `m`");
    assert_eq!(words("race in a gather"), "`g` and `h` and an event");
}

#[test]
fn a_dump_of_an_observed_loop_counts_the_turns_up_to_its_moment() {
    let mut event_loop = Loop::new();
    let _view = event_loop.view();
    let dump = event_loop.run(co! { for _ in 0..500 { yield; } yield dump() }).unwrap();
    assert_eq!(dump.statistics().turns(), 501);
}

#[test]
fn a_semaphore_used_in_two_loops_in_turn_is_noted_once() {
    let steps_of_dump = |rounds: usize| {
        let main = co! {
            let semaphore = Semaphore::new(1);
            for _ in 0..rounds {
                let permit = yield semaphore.acquire();
                let waits = { let semaphore = semaphore.clone(); co! { drop(yield semaphore.acquire()); } };
                let waits = yield spawn(waits);
                yield settled();
                drop(permit);
                yield waits;
                let (a, b) = (semaphore.clone(), semaphore.clone());
                Loop::new().run((co! { let _held = yield a.acquire(); yield; yield; }, co! { drop(yield b.acquire()); }))?;
            }
            let before = tinyield::__private::iterations();
            yield dump();
            tinyield::__private::iterations().zip(before).map(|(after, before)| after - before)
        };
        Loop::new().run(main).unwrap()
    };
    assert_eq!(steps_of_dump(10), steps_of_dump(100));
}

#[test]
fn a_turn_costs_the_same_below_ten_times_as_many_internal_tasks() {
    let steps = |depth: usize| {
        let mut event_loop = Loop::new();
        let _view = event_loop.view();
        let main = (0..depth).fold(co! {}, |inner, _| finally(inner, || ()));
        let before = tinyield::__private::iterations();
        event_loop.run(main).unwrap();
        tinyield::__private::iterations().zip(before).map_or(0, |(after, before)| after - before)
    };
    let (few, many) = (steps(1000), steps(10_000));
    assert!(many <= 15 * few, "{few} steps at a depth of 1000, and {many} at 10,000");
}

#[test]
fn children_of_an_internal_task_are_below_the_coroutine_that_started_the_internal_task() {
    let mut event_loop = Loop::new();
    let _view = event_loop.view();
    let main = co! {
        let crawler = co! {
            let pages = (0..4).map(|number| co! { yield; yield; }.named(format!("page {number}")));
            let pages = yield as_completed(pages).limit(1);
            for page in pages { yield page; }
        };
        let crawler = yield spawn(crawler.named("crawler"));
        let mut parents = Vec::new();
        while !crawler.is_finished() {
            let dump = yield dump();
            let tasks = dump.tasks();
            let pages = tasks.iter().filter(|task| task.name().starts_with("page"));
            parents.extend(pages.map(|page| (page.name().to_string(), page.parent().map(|parent| tasks[parent].name().to_string()))));
        }
        yield crawler;
        parents
    };
    let parents = event_loop.run(main).unwrap();
    assert!(parents.iter().any(|(page, _)| page == "page 3"), "{parents:?}");
    assert!(parents.iter().all(|(_, parent)| parent.as_deref() == Some("crawler")), "{parents:?}");
}
