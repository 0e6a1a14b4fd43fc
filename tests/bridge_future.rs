//! Any future as a coroutine: where and how often it is polled, how it is dropped, and the effects of its wakers.
#![feature(coroutines)]

mod common;

use std::cell::Cell;
use std::future::{pending, poll_fn, ready};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;

use common::{Counter, Gate, LONG, OnDrop, forever, ms, names, panic_of, to_idle};
use tinyield::{Deadlock, Loop, Step, TimedOut, co, from_future, sleep, timeout};

#[test]
fn the_output_of_a_future_is_a_value() {
    let main = co! {
        let one = yield from_future(ready(1));
        let two: Result<i32, String> = yield from_future(ready(Err("two".to_string())));
        (one, two, yield from_future(async { "three" }))
    };
    assert_eq!(Loop::new().run(main).unwrap(), (1, Err("two".to_string()), "three"));
}

#[test]
fn a_future_is_not_polled_before_it_is_started() {
    let polls = Counter::new();
    let counted = polls.clone();
    let coro = from_future(async move { counted.up() });
    assert_eq!(polls.get(), 0);
    drop(coro);
    assert_eq!(polls.get(), 0);
}

#[test]
fn a_future_is_polled_and_dropped_on_the_loops_own_thread_wherever_it_is_woken() {
    let gate = Gate::new();
    let opener = gate.clone();
    let here = thread::current().id();
    let not_send = Rc::new(Cell::new(0));
    let seen = not_send.clone();
    let mut polled = Box::pin(gate);
    let dropped = OnDrop({
        let seen = not_send.clone();
        move || {
            assert_eq!(thread::current().id(), here);
            seen.set(seen.get() + 100);
        }
    });
    let main = from_future(async move {
        let _dropped = dropped;
        poll_fn(|context| {
            assert_eq!(thread::current().id(), here);
            seen.set(seen.get() + 1);
            polled.as_mut().poll(context)
        })
        .await;
    });
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(main);
    let (_, idle) = to_idle(&mut runtime);
    assert_eq!(not_send.get(), 1);
    let thread = thread::spawn(move || opener.open());
    idle.wait();
    thread.join().unwrap();
    assert!(matches!(runtime.step(), Step::Ran));
    assert!(matches!(runtime.step(), Step::Done(Ok(()))));
    assert_eq!(not_send.get(), 102);
}

#[test]
fn a_future_is_polled_once_for_each_wake_up_and_not_otherwise() {
    let gate = Gate::new();
    let mut event_loop = Loop::new();
    let others = co! { for _ in 0..100 { yield; } };
    let mut runtime = event_loop.runtime((from_future(gate.clone()), others));
    let _ = to_idle(&mut runtime);
    assert_eq!(gate.polls(), 1);
    let waker = gate.waker().unwrap();
    for _ in 0..3 {
        waker.wake_by_ref(); // many calls before it is polled are one wake-up
    }
    let _ = to_idle(&mut runtime);
    assert_eq!(gate.polls(), 2);
    gate.open();
    assert!(matches!(common::to_end(&mut runtime), (_, Ok(((), ())))));
    assert_eq!(gate.polls(), 3);
}

#[test]
fn a_future_that_wakes_itself_takes_turns_with_the_others() {
    let turns = Counter::new();
    let seen = turns.clone();
    let main = co! {
        let future = async {
            for turn in 0..50 {
                assert!(seen.get().abs_diff(turn) <= 2, "{} turns of the other after {turn}", seen.get());
                let mut yielded = false;
                poll_fn(|context| {
                    context.waker().wake_by_ref();
                    if std::mem::replace(&mut yielded, true) { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
            }
        };
        future.await;
    };
    let other = co! { for _ in 0..50 { turns.up(); yield; } };
    Loop::new().run((main, other)).unwrap();
}

#[test]
fn ten_thousand_futures_in_one_gather_are_polled_only_when_each_is_woken() {
    const MANY: usize = 10_000;
    let gates: Vec<_> = (0..MANY).map(|_| Gate::new()).collect();
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(gates.iter().map(|gate| from_future(gate.clone())).collect::<Vec<_>>());
    let (steps, _) = to_idle(&mut runtime);
    assert!(steps <= MANY + 2, "{steps} steps to start");
    // Wakes one future at a time, in another order than that of the gather. A wake-up takes as many steps with 10,000 futures as with one.
    for step in 0..MANY {
        gates[(step * 7919) % MANY].open();
        let (woken, _) = if step + 1 < MANY { to_idle(&mut runtime) } else { break };
        assert_eq!(woken, 1);
    }
    let (_, result) = common::to_end(&mut runtime);
    assert_eq!(result.unwrap().len(), MANY);
    assert_eq!(gates.iter().map(Gate::polls).sum::<usize>(), 2 * MANY);
}

#[test]
fn an_error_elsewhere_drops_a_future_before_run_returns() {
    let gate = Gate::new();
    let dropped = Counter::new();
    let (held, guard) = (gate.clone(), dropped.guard());
    let future = async move {
        let _guard = guard;
        held.await;
    };
    let failing = co! { yield sleep(ms(1)); Err("elsewhere")?; };
    let error = Loop::new().run((from_future(future), failing)).unwrap_err();
    assert_eq!(error.to_string(), "elsewhere");
    assert!(error.others().is_empty());
    assert_eq!(dropped.get(), 1);
    assert_eq!(gate.polls(), 1);
    gate.open(); // its waker outlives the loop: nothing happens
    assert_eq!(gate.polls(), 1);
}

#[test]
fn a_future_that_is_cancelled_before_it_begins_is_never_polled() {
    let gate = Gate::new();
    let dropped = Counter::new();
    let (held, guard) = (gate.clone(), dropped.guard());
    let future = async move {
        let _guard = guard;
        held.await;
    };
    assert!(Loop::new().run((co! { Err("at once")?; }, from_future(future))).is_err());
    assert_eq!((gate.polls(), dropped.get()), (0, 1));
}

#[test]
fn a_timeout_drops_a_future_and_its_waker_has_no_effect_afterwards() {
    let gate = Gate::new();
    let (theirs, waker) = (gate.clone(), Rc::new(Cell::new(None)));
    let kept = waker.clone();
    let main = co! {
        let late = yield timeout(from_future(theirs.clone()), ms(2));
        let waker: Waker = theirs.waker().unwrap();
        waker.wake_by_ref();
        kept.set(Some(waker));
        yield;
        yield;
        late
    };
    assert_eq!(Loop::new().run(main).unwrap(), Err(TimedOut));
    assert_eq!(gate.polls(), 1);
    let waker = waker.take().unwrap();
    waker.wake_by_ref();
    thread::spawn(move || waker.wake()).join().unwrap();
    assert_eq!(gate.polls(), 1);
}

/// Keeps its waker. Its destructor calls the waker on another thread.
struct WokenInDrop(Option<Waker>);

impl Future for WokenInDrop {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.0 = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for WokenInDrop {
    fn drop(&mut self) {
        let waker = self.0.take().expect("it was polled");
        waker.wake_by_ref();
        thread::spawn(move || waker.wake()).join().unwrap();
    }
}

#[test]
fn a_future_may_be_woken_from_another_thread_while_it_is_dropped() {
    let main = co! {
        let late = yield timeout(from_future(WokenInDrop(None)), ms(1));
        yield sleep(ms(1));
        late
    };
    assert_eq!(Loop::new().run(main).unwrap(), Err(TimedOut));
    // The same when the loop stops.
    let failing = co! { yield; Err("stop")?; };
    assert_eq!(Loop::new().run((from_future(WokenInDrop(None)), failing)).unwrap_err().to_string(), "stop");
}

#[test]
fn wakers_called_from_many_threads_while_the_loop_ends_do_no_harm() {
    for _ in 0..50 {
        let wakers = Arc::new(Mutex::new(Vec::<Waker>::new()));
        let (kept, (done, stop)) = (wakers.clone(), mpsc::channel::<()>());
        let thread = thread::spawn(move || {
            while let Err(mpsc::TryRecvError::Empty) = stop.try_recv() {
                let woken = std::mem::take(&mut *kept.lock().unwrap());
                woken.into_iter().for_each(Waker::wake);
            }
        });
        let future = poll_fn(move |context| {
            wakers.lock().unwrap().push(context.waker().clone());
            Poll::<()>::Pending
        });
        let late = Loop::new().run(timeout(from_future(future), ms(1))).unwrap();
        assert_eq!(late, Err(TimedOut));
        drop(done);
        thread.join().unwrap();
    }
}

#[test]
fn a_panic_in_a_poll_comes_out_of_run_with_its_own_payload() {
    let cancelled = Counter::new();
    let guard = cancelled.guard();
    let other = co! { let _guard = guard; yield forever(); };
    let payload = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        Loop::new().run((other, from_future(async { std::panic::panic_any(42_u8) })))
    }));
    assert_eq!(payload.unwrap_err().downcast_ref::<u8>(), Some(&42));
    assert_eq!(cancelled.get(), 1);
}

#[test]
fn a_panic_in_the_destructor_of_a_future_comes_out_of_run() {
    let dropped = OnDrop(|| panic!("in the destructor"));
    let future = async move {
        let _dropped = dropped;
        pending::<()>().await;
    };
    let main = co! { yield timeout(from_future(future), ms(1)) };
    assert_eq!(panic_of(|| Loop::new().run(main)), "in the destructor");
}

#[test]
fn an_error_of_a_future_has_the_name_and_the_line_of_from_future() {
    let main = co! { yield from_future(async { "x".parse::<i32>() }).raise() };
    let line = line!() - 1;
    let error = Loop::new().run(main).unwrap_err();
    assert_eq!(names(error.error()), ["co!", "from_future"]);
    assert_eq!(error.error().location().line(), line);
    assert!(error.error().downcast_ref::<std::num::ParseIntError>().is_some());
}

#[test]
fn a_future_is_a_deadlock_as_soon_as_it_has_no_waker() {
    let error = Loop::new().run(from_future(pending::<()>())).unwrap_err();
    let deadlock = error.error().downcast_ref::<Deadlock>().unwrap();
    assert_eq!(deadlock.stuck()[0].frame().name(), "from_future");
    assert_eq!(deadlock.stuck()[0].frame().location().file(), file!());

    let gate = Gate::new();
    let opener = gate.clone();
    // While the loop sleeps, another thread drops the last waker without calling it.
    let thread = thread::spawn(move || {
        while opener.waker().is_none() {
            thread::yield_now();
        }
        opener.drop_waker();
    });
    let error = Loop::new().run(from_future(gate)).unwrap_err();
    thread.join().unwrap();
    assert!(error.error().downcast_ref::<Deadlock>().is_some());
}

#[test]
fn a_future_that_is_awaited_in_place_may_borrow() {
    let gate = Gate::new();
    gate.open();
    let main = co! {
        let mut local = 1;
        async {
            gate.await;
            local += 1;
        }
        .await;
        local
    };
    assert_eq!(Loop::new().run(timeout(main, LONG)).unwrap(), Ok(2));
}
