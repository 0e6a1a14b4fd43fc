//! Sleeping, deadlines and timeouts.
#![feature(coroutines)]

mod common;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use common::{Alive, Counter, FOREVER, LONG, Log, forever, messages, ms, ran, simulated, to_end, to_idle};
use tinyield::{
    Coro, Event, Loop, Reason, Step, TimedOut, catch, co, coro, isolate, now, race, run_in_thread, shield, sleep,
    sleep_until, spawn, timeout,
};

/// An upper bound that a loaded machine meets, and that is far below `LONG`.
const SOON: Duration = Duration::from_secs(10);

#[coro]
fn waits(log: Log, name: &'static str) -> Coro<()> {
    let _ends = log.on_drop(name);
    yield forever();
}

/// Blocks the thread, and so the loop, until `at`.
fn spin_until(at: Instant) {
    while Instant::now() <= at {
        std::hint::spin_loop();
    }
}

#[test]
fn a_gather_of_sleeps_takes_as_long_as_the_longest() {
    let main = co! {
        for _ in 0..5 {
            let start = yield now();
            yield (sleep(ms(5)), sleep(ms(10)));
            assert_eq!((yield now()) - start, ms(10));
        }
    };
    simulated().run(main).unwrap();
}

#[test]
fn a_sleep_is_never_too_short() {
    let main = co! {
        for micros in (0..2_000).step_by(97) {
            let start = Instant::now();
            let nap = Duration::from_micros(micros);
            yield sleep(nap);
            assert!(start.elapsed() >= nap, "{:?} for {nap:?}", start.elapsed());
            let at = Instant::now() + nap;
            yield sleep_until(at);
            assert!(Instant::now() >= at);
        }
    };
    Loop::new().run(main).unwrap();
}

#[test]
fn a_sleep_counts_from_the_yield() {
    let main = co! {
        let nap = sleep(ms(3));
        let start = Instant::now();
        spin_until(start + ms(3));
        let start = Instant::now();
        yield nap;
        assert!(start.elapsed() >= ms(3));
        let limited = timeout(forever(), ms(3));
        spin_until(Instant::now() + ms(3));
        let start = Instant::now();
        assert_eq!(yield limited, Err(TimedOut));
        assert!(start.elapsed() >= ms(3));
    };
    Loop::new().run(main).unwrap();
}

#[test]
fn sleeping_coroutines_wake_by_deadline_and_then_by_arrival() {
    let log = Log::new();
    let start = Instant::now();
    let sleepers: Vec<_> = [5, 3, 4, 3, 0, 5]
        .into_iter()
        .enumerate()
        .map(|(index, after)| {
            let log = log.clone();
            co! {
                yield sleep_until(start + ms(after));
                log.push(format!("{after} {index}"));
            }
        })
        .collect();
    Loop::new().run(sleepers).unwrap();
    assert_eq!(log.take(), ["0 4", "3 1", "3 3", "4 2", "5 0", "5 5"]);
}

#[test]
fn a_sleep_that_is_over_lets_the_others_run_once() {
    let log = Log::new();
    let napper = |name: &'static str, past: Instant| {
        let log = log.clone();
        co! {
            for turn in 0..2 {
                log.push(format!("{name}{turn}"));
                if turn == 0 { yield sleep(Duration::ZERO) } else { yield sleep_until(past) }
            }
        }
    };
    let past = Instant::now();
    Loop::new().run((napper("a", past), napper("b", past))).unwrap();
    assert_eq!(log.take(), ["a0", "b0", "a1", "b1"]);
}

#[test]
fn a_due_timer_fires_in_a_busy_loop() {
    let turns = Counter::new();
    let counts = turns.clone();
    let main = co! {
        let busy = co! { loop { counts.up(); yield; } };
        yield race([co! { yield sleep(ms(1)); }, busy]);
    };
    let start = Instant::now();
    Loop::new().run(main).unwrap();
    assert!(start.elapsed() < SOON);
    assert!(turns.get() > 0);
}

#[test]
fn a_distant_timer_fires_in_time_in_a_busy_loop() {
    let main = co! {
        let busy = co! { loop { yield; } };
        let start = Instant::now();
        yield race([co! { yield sleep(ms(150)); }, busy]);
        start.elapsed()
    };
    let took = Loop::new().run(main).unwrap();
    assert!(took >= ms(150) && took < SOON, "{took:?}");
}

#[test]
fn a_timer_fires_within_one_round_of_its_deadline() {
    let order = Log::new();
    let log = order.clone();
    let at = Instant::now() + ms(2);
    let sleeper = {
        let log = order.clone();
        co! { yield sleep_until(at); log.push("timer"); }
    };
    let busy = co! {
        yield;
        spin_until(at);
        log.push("due");
        yield;
        log.push("next turn");
        yield;
        log.push("turn after that");
    };
    Loop::new().run((sleeper, busy)).unwrap();
    let log = order.take();
    let place = |what: &str| log.iter().position(|entry| entry == what).unwrap();
    assert!(place("due") < place("timer") && place("timer") < place("turn after that"), "{log:?}");
}

#[test]
fn a_timer_fires_within_one_round_although_another_timer_was_set_in_that_round() {
    let order = Log::new();
    let at = Instant::now() + ms(2);
    let sleeper = {
        let log = order.clone();
        co! { yield sleep_until(at); log.push("timer"); }
    };
    let begins_to_sleep = co! { yield; assert!((yield timeout(forever(), ms(5))).is_err()); };
    let busy = {
        let log = order.clone();
        co! {
            yield;
            spin_until(at);
            for turn in ["due", "next turn", "turn after that"] {
                log.push(turn);
                yield;
            }
        }
    };
    let main = co! { let _ = yield (sleeper, begins_to_sleep, busy); };
    Loop::new().run(main).unwrap();
    let log = order.take();
    let place = |what: &str| log.iter().position(|entry| entry == what).unwrap();
    assert!(place("due") < place("timer") && place("timer") < place("turn after that"), "{log:?}");
}

/// More timers than one heap holds, and more than the loop takes out at once.
const MANY: u32 = 5000;

#[test]
fn many_timers_fire_by_deadline_and_then_in_the_order_in_which_they_were_set() {
    let first = Instant::now() + LONG;
    let deadline = move |number: u32| first + Duration::from_micros(10) * (number * 7919 % 500);
    let woken = Rc::new(RefCell::new(Vec::new()));
    let sleepers: Vec<_> = (0..MANY)
        .map(|number| {
            let woken = woken.clone();
            co! {
                yield sleep_until(deadline(number));
                woken.borrow_mut().push(number);
            }
        })
        .collect();
    let given_up: Vec<_> = (0..MANY).map(|number| timeout((), Duration::from_secs(3600) - ms(number.into()))).collect();
    simulated().run((sleepers, given_up)).unwrap();
    let mut in_order: Vec<_> = (0..MANY).collect();
    in_order.sort_by_key(|number| deadline(*number));
    assert!(*woken.borrow() == in_order);
}

#[test]
fn all_timers_that_are_due_fire_in_one_round() {
    let at = Instant::now() + ms(50);
    let woken = Rc::new(Cell::new(0));
    let sleepers: Vec<_> = (0..MANY)
        .map(|_| {
            let woken = woken.clone();
            co! {
                yield sleep_until(at);
                woken.update(|woken| woken + 1);
            }
        })
        .collect();
    let turns = co! {
        yield;
        spin_until(at);
        let mut turns = 0;
        while woken.get() < MANY {
            yield;
            turns += 1;
        }
        turns
    };
    let (_, turns) = Loop::new().run((sleepers, turns)).unwrap();
    assert!(turns <= 2, "the other coroutine had {turns} turns before all timers had fired");
}

#[test]
fn a_timeout_gives_the_value_or_timed_out() {
    #[coro]
    fn nap(duration: Duration) -> Coro<i32> {
        yield sleep(duration);
        3
    }
    let main = co! {
        let start = yield now();
        assert_eq!(yield timeout(nap(ms(2)), LONG), Ok(3));
        assert_eq!((yield now()) - start, ms(2));
        assert_eq!(yield timeout(nap(LONG), ms(2)), Err(TimedOut));
        start
    };
    let start = co! {
        let start = yield main;
        (yield now()) - start
    };
    // The loop does not wait for the sleep that it cancelled.
    assert_eq!(simulated().run(start).unwrap(), ms(4));
}

#[test]
fn a_timeout_takes_anything_that_can_be_yielded() {
    let main = co! {
        let shared = co! { yield; 1 }.shared();
        assert_eq!(yield timeout((&shared, [sleep(ms(0))], Some(co! { "x" })), LONG), Ok((1, [()], Some("x"))));
        assert_eq!(yield timeout((), LONG), Ok(()));
        assert_eq!(yield timeout(Vec::<Coro<()>>::new(), LONG), Ok(vec![]));
        assert_eq!(yield timeout(timeout(forever(), ms(1)), LONG), Ok(Err(TimedOut)));
        assert_eq!(yield timeout(timeout(forever(), LONG), ms(1)), Err(TimedOut));
        assert_eq!(yield timeout(co! { yield run_in_thread(|| 5) }, FOREVER), Ok(5));
        let handle = (yield timeout(spawn(co! { yield; 6 }), LONG)).unwrap();
        assert_eq!(yield timeout(handle, LONG), Ok(6));
        (yield timeout(isolate(co! { 7 }), LONG)).unwrap().unwrap()
    };
    assert_eq!(simulated().run(main).unwrap(), 7);
}

#[test]
fn a_timeout_cancels_its_whole_subtree_and_returns_after_all_of_it_has_ended() {
    let log = Log::new();
    let logs = log.clone();
    let main = co! {
        let tree = {
            let all: Vec<_> = ["1", "2", "3", "4", "5"].into_iter().map(|name| waits(logs.clone(), name)).collect();
            co! {
                let mut all = all.into_iter();
                let mut next = || all.next().unwrap();
                let (background, gathered, raced, domain, shared) = (next(), next(), next(), next(), next().shared());
                yield spawn(background);
                let _ = yield (gathered, race([raced]), isolate(domain), &shared);
            }
        };
        assert_eq!(yield timeout(tree, ms(2)), Err(TimedOut));
        logs.push("returned");
        yield;
    };
    simulated().run(main).unwrap();
    // The shared coroutine is cancelled when its last waiter has given up.
    assert_eq!(log.take(), ["4", "3", "2", "1", "5", "returned"]);
}

#[test]
fn nothing_outside_of_a_timeout_is_cancelled() {
    let log = Log::new();
    let logs = log.clone();
    let shared = co! { for _ in 0..50 { yield sleep(ms(0)); } 9 }.shared();
    let main = co! {
        yield spawn(&shared);
        let inside = shared.clone();
        assert_eq!(yield timeout(co! { (yield (inside, forever())).0 }, ms(0)), Err(TimedOut));
        logs.push("timed out");
        assert_eq!(yield shared, 9);
    };
    Loop::new().run(main).unwrap();
    assert_eq!(log.take(), ["timed out"]);
}

#[test]
fn a_shared_with_other_waiters_outlives_the_timeout_that_started_it() {
    let event = Event::new();
    let late = event.wait();
    let shared = co! {
        yield late;
        "late"
    }
    .shared();
    let outside = shared.clone();
    let main = co! {
        let waits = co! { yield; yield; yield outside };
        let times_out = co! {
            let timed_out = yield timeout(shared, ms(100));
            event.set();
            timed_out
        };
        yield (times_out, waits)
    };
    assert_eq!(simulated().run(main).unwrap(), (Err(TimedOut), "late"));
}

#[test]
fn a_shared_that_outlives_its_timeout_keeps_its_children() {
    let (event, alive) = (Event::new(), Alive::new());
    let late = event.clone();
    let (inside, behind) = (alive.token(), alive.token());
    let shared = co! {
        yield spawn(co! { yield forever(); drop(behind); });
        let domain = isolate(co! { yield late.wait(); drop(inside); "late" });
        (yield domain)?
    }
    .shared();
    let (outside, counted, after) = (shared.clone(), alive.clone(), alive.clone());
    let main = co! {
        let waits = co! { yield; yield; yield outside };
        let times_out = co! {
            assert!((yield timeout(shared, ms(20))).is_err());
            assert_eq!(counted.get(), 2);
            event.set();
        };
        let ((), value) = yield (times_out, waits);
        assert_eq!((value, after.get()), ("late", 1));
        Err("enough")?;
    };
    // Its background coroutine is cancelled with the rest of the run.
    assert_eq!(simulated().run(main).unwrap_err().to_string(), "enough");
    assert_eq!(alive.get(), 0);
}

#[test]
fn a_domain_in_a_shared_that_outlives_its_timeout_is_cancelled_with_the_run() {
    let log = Log::new();
    let (logs, tells) = (log.clone(), log.clone());
    let shared = co! {
        let domain = isolate(co! {
            let error = (yield catch(forever())).unwrap_err();
            logs.push("in the domain");
            Err(error)?;
        });
        (yield domain)?;
    }
    .shared();
    let outside = shared.clone();
    let main = co! {
        let times_out = co! {
            assert!((yield timeout(shared, ms(20))).is_err());
            tells.push("timed out");
            Err("oh no")?;
        };
        yield (times_out, co! { yield; yield; yield outside; });
    };
    assert_eq!(simulated().run(main).unwrap_err().to_string(), "oh no");
    assert_eq!(log.take(), ["timed out", "in the domain"]);
}

#[test]
fn a_shared_without_other_waiters_is_cancelled_with_the_timeout_that_started_it() {
    let shared = co! { yield forever() }.shared();
    let later = shared.clone();
    let main = co! {
        assert_eq!(yield timeout(shared, ms(1)), Err(TimedOut));
        let error = (yield catch(later)).unwrap_err();
        assert_eq!(error.as_cancelled().unwrap().reason(), Reason::TimedOut);
    };
    simulated().run(main).unwrap();
}

#[test]
fn work_that_finishes_in_the_round_of_its_deadline_is_in_time() {
    let main = co! {
        for _ in 0..20 {
            let at = Instant::now() + ms(1);
            yield spawn(co! { yield; spin_until(at + ms(1)); });
            let limit = at.saturating_duration_since(Instant::now());
            assert_eq!(yield timeout(sleep_until(at), limit), Ok(()));
        }
    };
    Loop::new().run(main).unwrap();
}

#[test]
fn work_without_a_wait_is_in_time_for_a_zero_timeout() {
    let main = co! {
        assert_eq!(yield timeout(co! { 1 }, Duration::ZERO), Ok(1));
        assert_eq!(yield timeout(forever(), Duration::ZERO), Err(TimedOut));
    };
    Loop::new().run(main).unwrap();
}

#[test]
fn work_that_is_always_ready_is_cancelled_at_its_deadline() {
    let start = Instant::now();
    let main = co! { yield timeout(co! { loop { yield; } }, ms(2)) };
    assert_eq!(Loop::new().run(main).unwrap(), Err::<(), _>(TimedOut));
    assert!(start.elapsed() >= ms(2) && start.elapsed() < SOON);
}

#[test]
fn background_coroutines_of_work_in_time_continue_outside() {
    let log = Log::new();
    let (logs, ends) = (log.clone(), log.clone());
    let main = co! {
        let inside = co! {
            yield spawn(co! { yield sleep(ms(5)); logs.push("background"); });
            1
        };
        assert_eq!(yield timeout(inside, ms(2)), Ok(1));
        ends.push("in time");
    };
    simulated().run(main).unwrap();
    assert_eq!(log.take(), ["in time", "background"]);
}

#[test]
fn background_coroutines_of_work_in_time_can_fail_outside() {
    let main = co! {
        let inside = co! { yield spawn(co! { yield; yield; yield; Err("later")?; }); };
        assert_eq!(yield timeout(inside, LONG), Ok(()));
        yield forever();
    };
    assert_eq!(Loop::new().run(main).unwrap_err().to_string(), "later");
}

#[test]
fn an_error_inside_a_timeout_is_not_a_timeout() {
    let main = co! { let _ = yield timeout(co! { yield; Err("inside")?; }, LONG); };
    assert_eq!(Loop::new().run(main).unwrap_err().to_string(), "inside");
    let main = co! {
        let result = yield isolate(co! { yield timeout(co! { yield; Err("inside")?; }, LONG) });
        result.unwrap_err().to_string()
    };
    assert_eq!(Loop::new().run(main).unwrap(), "inside");
}

#[test]
fn work_may_answer_a_timeout_with_a_value() {
    let values = Alive::new();
    let token = values.token();
    let main = co! {
        let answers = co! { let _ = yield catch(forever()); token };
        assert!((yield timeout(answers, ms(1))).is_ok());
        "went on"
    };
    assert_eq!(simulated().run(main).unwrap(), "went on");
    assert_eq!(values.get(), 0);
}

#[test]
fn another_error_raised_after_a_timeout_belongs_to_the_domain_around_it() {
    let answers = || co! { let _ = yield catch(forever()); Err("instead")?; };
    let error = simulated().run(co! { let _ = yield timeout(answers(), ms(1)); }).unwrap_err();
    assert_eq!(error.to_string(), "instead");
    let main = co! {
        let result = yield isolate(co! { let _ = yield timeout(answers(), ms(1)); });
        result.unwrap_err().to_string()
    };
    assert_eq!(simulated().run(main).unwrap(), "instead");
}

#[test]
fn swallowing_a_timeout_a_hundred_times_is_an_error_of_the_domain_around_it() {
    let seen = Counter::new();
    let counts = seen.clone();
    let glutton = co! { loop { if (yield catch(forever())).is_err() { counts.up(); } } };
    let error = simulated().run(timeout(glutton.named("glutton"), ms(1))).unwrap_err();
    assert!(error.to_string().contains("`glutton`"), "{error}");
    assert!(error.others().is_empty(), "{:?}", messages(error.others()));
    assert_eq!(seen.get(), 100);
}

#[test]
fn a_timeout_waits_for_cleanup() {
    let log = Log::new();
    let logs = log.clone();
    let main = co! {
        let cleans = logs.clone();
        let polite = co! {
            let error = (yield catch(forever())).unwrap_err();
            yield shield(sleep(ms(5)));
            cleans.push("clean");
            Err(error)?;
        };
        let start = yield now();
        assert_eq!(yield timeout(polite, ms(1)), Err(TimedOut));
        assert_eq!((yield now()) - start, ms(6));
        logs.push("returned");
    };
    simulated().run(main).unwrap();
    assert_eq!(log.take(), ["clean", "returned"]);
}

#[test]
fn the_shorter_of_two_nested_timeouts_runs_out() {
    let log = Log::new();
    let main = co! {
        let inner = co! { yield timeout(forever(), ms(1)) };
        assert_eq!(yield timeout(inner, LONG), Ok(Err(TimedOut)));
        let inner = { let log = log.clone(); co! { let result = yield catch(timeout(forever(), LONG)); log.push(result.unwrap_err()); yield; } };
        assert_eq!(yield timeout(inner, ms(1)), Err(TimedOut));
        assert_eq!(log.take(), ["cancelled: timed out"]);
    };
    simulated().run(main).unwrap();
}

#[test]
fn the_longest_duration_is_allowed_in_sleeps_and_timeouts() {
    let main = co! {
        assert_eq!(yield timeout(co! { yield; 1 }, Duration::MAX), Ok(1));
        assert_eq!(yield timeout(sleep(Duration::MAX), ms(1)), Err(TimedOut));
        yield race([co! { yield sleep(Duration::MAX) }, co! { yield sleep(Duration::from_secs(u64::MAX / 2)) }, co! { yield }]);
    };
    simulated().run(main).unwrap();
}

#[test]
fn the_deadline_of_a_runtime_is_that_of_its_next_timer() {
    let (sooner, later) = (Instant::now() + LONG, Instant::now() + 2 * LONG);
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(co! {
        yield race([co! { yield sleep_until(sooner) }, co! { yield; yield; }]);
        yield sleep_until(later);
    });
    assert_eq!(runtime.deadline(), None);
    for _ in 0..3 {
        ran(&mut runtime);
    }
    // Both coroutines of the race, and the one that waits for them, have had a turn.
    let close = |one: Instant, other: Instant| one.max(other) - one.min(other) < ms(1);
    assert!(close(runtime.deadline().unwrap(), sooner), "{:?}", runtime.deadline());
    let (_, idle) = to_idle(&mut runtime);
    assert!(close(idle.deadline().unwrap(), later), "the timer of the loser is removed");
    assert_eq!(idle.deadline(), runtime.deadline());
}

#[test]
fn a_wait_forever_has_no_deadline() {
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(co! { let _ = yield (forever(), timeout(forever(), FOREVER)); });
    let (_, idle) = to_idle(&mut runtime);
    assert_eq!(idle.deadline(), None);
}

#[test]
fn an_idle_loop_waits_once_for_its_deadline() {
    let at = Instant::now() + ms(20);
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(co! { yield sleep_until(at); });
    let mut idles = 0;
    loop {
        match runtime.step() {
            Step::Ran => {}
            Step::Idle(idle) => {
                idles += 1;
                idle.wait();
            }
            Step::Done(result) => break result.unwrap(),
        }
    }
    assert!(Instant::now() >= at);
    // A few spurious wake-ups of the thread are possible, but the loop does not poll. If the thread gets no processor until the deadline,
    // the loop is never idle.
    assert!(idles <= 5, "{idles}");
}

#[test]
fn each_of_ten_thousand_timeouts_gives_its_own_outcome() {
    let main = co! {
        let all: Vec<_> = (0..10_000u64)
            .map(|n| timeout(co! { yield sleep(if n % 2 == 0 { LONG } else { ms(0) }); n }, if n % 2 == 0 { ms(1) } else { LONG }))
            .collect();
        let results = yield all;
        for (n, result) in (0..).zip(results) {
            assert_eq!(result, if n % 2 == 0 { Err(TimedOut) } else { Ok(n) });
        }
    };
    simulated().run(main).unwrap();
}

#[test]
fn a_loop_can_run_again_after_a_timeout() {
    let mut event_loop = simulated();
    for _ in 0..3 {
        let mut runtime = event_loop.runtime(timeout(forever(), ms(1)));
        assert_eq!(to_end(&mut runtime).1.unwrap(), Err(TimedOut));
    }
}

#[test]
fn work_of_one_turn_is_always_in_time_for_a_zero_timeout() {
    let main = co! {
        for _ in 0..1000 {
            assert_eq!(yield timeout((), Duration::ZERO), Ok(()));
            assert_eq!(yield timeout(co! {}, Duration::ZERO), Ok(()));
        }
    };
    Loop::new().run((main, co! { for _ in 0..1000 { yield; } })).unwrap();
}

#[test]
fn a_shared_with_other_waiters_outlives_a_timeout_around_the_coroutine_that_started_it() {
    let main = co! {
        let event = Event::new();
        let set = event.clone();
        let shared = co! { yield event.wait(); 7 }.shared();
        let first = shared.clone();
        yield spawn(co! {
            let inner = co! { yield timeout(co! { yield first }, FOREVER) };
            assert!((yield timeout(inner, ms(5))).is_err());
            set.set();
        });
        yield;
        yield;
        yield;
        yield shared
    };
    assert_eq!(simulated().run(main).unwrap(), 7);
}

#[test]
fn a_shared_whose_last_waiter_is_inside_of_it_is_cancelled_when_that_gives_up() {
    let itself: Rc<RefCell<Option<tinyield::Shared<()>>>> = Rc::default();
    let inner = itself.clone();
    let shared = co! {
        let waits = inner.take().unwrap();
        yield spawn(co! { assert_eq!(yield timeout(waits, ms(2)), Err(TimedOut)) });
        yield forever();
    }
    .shared();
    *itself.borrow_mut() = Some(shared.clone());
    let main = co! {
        let is_late = (yield timeout(shared, ms(1))).is_err();
        yield sleep(ms(5));
        is_late
    };
    assert!(simulated().run(main).unwrap());
}

#[test]
fn now_in_a_gather_is_the_time_at_which_the_yield_begins() {
    let main = co! {
        let start = yield now();
        let (time, ()) = yield (now(), sleep(LONG));
        (time - start, (yield now()) - start)
    };
    assert_eq!(simulated().run(main).unwrap(), (Duration::ZERO, LONG));
}
