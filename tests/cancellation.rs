//! Cancellation after a failure: which other coroutines are cancelled, in which order, what they see, and what they may do.
#![feature(coroutines)]

mod common;

#[path = "cancellation/answers.rs"]
mod answers;
#[path = "cancellation/reasons.rs"]
mod reasons;
#[path = "cancellation/shield_failures.rs"]
mod shield_failures;
#[path = "cancellation/shields.rs"]
mod shields;

use std::cell::Cell;
use std::rc::Rc;

use common::{Alive, Counter, FOREVER, Gate, Log, forever, waits_forever};
use tinyield::{Coro, Error, Loop, Reason, catch, co, coro, isolate, race, run_in_thread, spawn, timeout};

/// Fails in its third turn.
#[coro]
pub fn fails() -> Coro<()> {
    yield;
    yield;
    Err("failed")?
}

#[test]
fn last_started_is_cancelled_first() {
    let log = Log::new();
    let logs = log.clone();
    let main = co! {
        let _ends = logs.on_drop("main");
        yield spawn(waits_forever(logs.clone(), "1"));
        yield spawn([waits_forever(logs.clone(), "2"), waits_forever(logs.clone(), "3")]);
        yield (waits_forever(logs.clone(), "4"), fails(), waits_forever(logs.clone(), "5"));
    };
    Loop::new().run(main).unwrap_err();
    assert_eq!(log.take(), ["5", "4", "3", "2", "1", "main"]);
}

#[test]
fn children_are_cancelled_before_their_parents() {
    #[coro]
    fn tree(log: Log, name: &'static str, depth: u32) -> Coro<()> {
        let _ends = log.on_drop(format!("{name}{depth}"));
        if depth == 0 {
            yield forever();
        } else {
            yield tree(log.clone(), name, depth - 1);
        }
    }
    let log = Log::new();
    let logs = log.clone();
    let late = co! {
        for _ in 0..10 {
            yield;
        }
        Err("late")?;
    };
    Loop::new().run((tree(logs.clone(), "a", 2), tree(logs, "b", 2), late)).unwrap_err();
    assert_eq!(log.take(), ["b0", "a0", "b1", "a1", "b2", "a2"]);
}

#[test]
fn cancellation_is_raised_at_the_yield_where_it_waits() {
    let log = Log::new();
    let logs = log.clone();
    let watches = co! {
        let _first = logs.on_drop("first local");
        let _second = logs.on_drop("second local");
        let line = line!() + 1;
        let error: Error = (yield catch(forever())).unwrap_err();
        assert!(error.is_cancelled());
        assert_eq!((error.location().file(), error.location().line()), (file!(), line));
        logs.push("seen");
        Err(error)?;
        logs.push("not reached");
    };
    Loop::new().run((watches, fails())).unwrap_err();
    assert_eq!(log.take(), ["seen", "second local", "first local"]);
}

#[test]
fn every_kind_of_wait_raises_the_cancellation() {
    let seen = Counter::new();
    macro_rules! sees {
        ($wait:expr) => {{
            let seen = seen.clone();
            co! {
                let error = match yield catch($wait) {
                    Ok(_) => panic!("it should have been cancelled"),
                    Err(error) => error,
                };
                assert!(error.is_cancelled());
                seen.up();
                Err(error)?;
            }
        }};
    }
    let shared = co! { yield forever(); }.shared();
    let all = vec![
        sees!(forever()),
        sees!(co! { yield forever(); }),
        sees!(&shared),
        sees!((forever(), forever())),
        sees!(vec![forever(), forever()]),
        sees!([Some(forever())]),
        sees!(timeout(forever(), FOREVER)),
        sees!(isolate(co! { yield forever(); })),
        sees!(race([co! { yield forever(); }])),
        sees!(co! { Gate::new().await }),
        sees!(run_in_thread(|| while !tinyield::thread::is_cancelled() {
            std::thread::yield_now()
        })),
    ];
    let count = all.len();
    let error = Loop::new().run((all, fails())).unwrap_err();
    assert!(error.others().is_empty(), "{error:?}");
    assert_eq!(seen.get(), count);
}

#[test]
fn each_further_yield_raises_again_at_once() {
    let log = Log::new();
    let logs = log.clone();
    let stubborn = co! {
        for attempt in 0..5 {
            let error = (yield catch(forever())).unwrap_err();
            assert!(error.is_cancelled());
            logs.push(attempt);
        }
        assert!((yield catch(())).is_err());
        assert!((yield catch(spawn(co! { unreachable!() }))).is_err());
        assert!((yield catch(co! { unreachable!() })).is_err());
        assert!((yield catch(timeout(co! { unreachable!() }, FOREVER))).is_err());
        assert!((yield catch(isolate(co! { unreachable!() }))).is_err());
        assert!((yield catch(race([co! { unreachable!() }]))).is_err());
        assert!((yield catch(Vec::<Coro<()>>::new())).is_err());
        logs.push("all");
        Gate::new().await;
        logs.push("not reached");
    };
    let other = {
        let log = log.clone();
        co! { let _ends = log.on_drop("other"); yield forever(); }
    };
    // The other coroutine started first, so it is cancelled after the stubborn one has ended.
    let error = Loop::new().run((other, stubborn, fails())).unwrap_err();
    assert_eq!(log.take(), ["0", "1", "2", "3", "4", "all", "other"]);
    assert!(error.others().is_empty(), "{error:?}");
}

#[test]
fn coroutine_cancelled_before_it_begins_never_begins() {
    let (begun, bodies) = (Counter::new(), Alive::new());
    let (counts, tokens) = (begun.clone(), bodies.clone());
    let never = move || {
        let (begun, held) = (counts.clone(), tokens.token());
        co! { begun.up(); drop(held); }
    };
    let shared = never().shared();
    let main = co! {
        yield spawn((never(), never()));
        let _ = yield (co! { Err("first")?; }, never(), vec![never()], &shared, timeout(never(), FOREVER));
    };
    // The two spawned coroutines had their first turn before a part of the gather failed. No other `never` has begun.
    Loop::new().run(main).unwrap_err();
    assert_eq!(begun.get(), 2);
    assert_eq!(bodies.get(), 0);
}

#[test]
fn waiter_in_the_same_domain_gets_its_own_cancellation_and_not_the_error() {
    let line = Rc::new(Cell::new(0));
    let set_line = line.clone();
    let watches = co! {
        let child = co! {
            yield;
            set_line.set(line!() + 1);
            Err("from below")?;
        };
        let error = (yield catch(child.named("child"))).unwrap_err();
        let cancelled = error.as_cancelled().expect("a cancellation");
        match cancelled.reason() {
            Reason::Failed { name, location } => {
                assert_eq!((name.as_str(), location.file(), location.line()), ("child", file!(), line.get()));
            }
            other => panic!("{other:?}"),
        }
        Err(error)?;
    };
    let error = Loop::new().run(watches).unwrap_err();
    assert_eq!(error.to_string(), "from below");
    assert!(error.others().is_empty());
}

#[test]
fn cancelled_future_is_dropped_and_not_polled_again() {
    struct Pending(Counter, Counter);
    impl Future for Pending {
        type Output = ();
        fn poll(self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<()> {
            self.0.up();
            std::task::Poll::Pending
        }
    }
    impl Drop for Pending {
        fn drop(&mut self) {
            self.1.up();
        }
    }
    let (polls, drops) = (Counter::new(), Counter::new());
    let future = Pending(polls.clone(), drops.clone());
    Loop::new().run((co! { future.await }, fails())).unwrap_err();
    assert_eq!((polls.get(), drops.get()), (1, 1));
}

#[test]
fn ready_coroutine_has_no_further_turn_after_a_failure() {
    let log = Log::new();
    let logs = log.clone();
    let ready = co! {
        let _ends = logs.on_drop("dropped");
        loop {
            yield;
            logs.push("turn");
        }
    };
    Loop::new().run((ready, fails())).unwrap_err();
    // `fails` has two turns before the one in which it raises.
    assert_eq!(log.take(), ["turn", "turn", "dropped"]);
}

#[test]
fn coroutine_that_would_fail_later_in_the_same_round_is_cancelled_first() {
    // The second coroutine would have failed in the same round, but is cancelled before its turn.
    let late = Counter::new();
    let counts = late.clone();
    let error = Loop::new().run((fails(), co! { yield; yield; counts.up(); Err("too late")?; })).unwrap_err();
    assert_eq!(error.to_string(), "failed");
    assert!(error.others().is_empty());
    assert_eq!(late.get(), 0);
}

#[test]
fn error_value_is_dropped_with_the_loop_error() {
    #[derive(Debug)]
    struct Reports(std::sync::mpsc::Sender<()>);
    impl std::fmt::Display for Reports {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("reports its drop")
        }
    }
    impl std::error::Error for Reports {}
    impl Drop for Reports {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
        }
    }
    let (sender, receiver) = std::sync::mpsc::channel();
    let error = Loop::new().run((co! { yield forever(); }, co! { yield; Err(Reports(sender))?; })).unwrap_err();
    assert!(error.error().downcast_ref::<Reports>().is_some());
    assert!(receiver.try_recv().is_err());
    drop(error);
    assert_eq!(receiver.try_iter().count(), 1);
}
