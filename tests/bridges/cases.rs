//! The tests that are the same for every host. `tests/bridges.rs` includes this file once for each host, beside a module with the
//! functions of that host.

use std::cell::Cell;
use std::future::{pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::task::{Context, Waker};
use std::thread;
use std::time::Instant;

use tinyield::{
    Coro, Deadlock, Error, Event, Grouping, LoopError, Shared, TimedOut, catch, co, coro, from_future, isolate,
    run_in_thread, shield, sleep, spawn, timeout,
};

use super::host::{
    HostedWith, TO_HOST, block_on, from_host, host_spawn, in_context, run_beside, timer, to_host, to_host_with,
    yield_now,
};
use crate::common::{Counter, FOREVER, Gate, LONG, OnDrop, Wakes, forever, messages, ms, names, panic_of};
use crate::{counting_polls, poll_once};

#[coro]
fn tiny_add_one(x: i32) -> Coro<i32> {
    yield sleep(ms(5));
    x + 1
}

#[coro]
fn diamond(x: i32) -> Coro<i32> {
    #[coro]
    fn times(y: Shared<i32>, factor: i32) -> Coro<i32> {
        (yield y) * factor
    }
    let y = tiny_add_one(x).shared();
    let (a, b) = yield (times(y.clone(), 1), times(y, 2));
    a + b
}

#[test]
fn loop_gives_its_output_to_its_host() {
    assert_eq!(block_on(async { to_host(diamond(2)).await }).unwrap(), 9);
}

#[test]
fn other_tasks_of_the_host_run_while_a_loop_waits_for_one_of_them() {
    let event = Event::new();
    let setter = event.clone();
    let other = async move {
        for _ in 0..20 {
            yield_now().await;
        }
        setter.set();
    };
    let waits = co! { yield event.wait(); 5 };
    assert_eq!(run_beside(other, to_host(waits)).unwrap(), 5);
}

#[test]
fn other_tasks_of_the_host_run_beside_a_busy_loop() {
    let (turns, is_over) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(false)));
    let (counted, sees_end) = (turns.clone(), is_over.clone());
    let other = async move {
        while !sees_end.get() {
            counted.set(counted.get() + 1);
            yield_now().await;
        }
    };
    let busy = co! { for _ in 0..20_000 { yield; } };
    let polls = Cell::new(0);
    run_beside(other, async {
        counting_polls(&polls, to_host(busy)).await.unwrap();
        is_over.set(true);
    });
    // A poll takes a bounded number of steps, and between two polls the other tasks have a turn.
    assert!(polls.get() >= 20, "{} polls for 20,000 steps", polls.get());
    assert!(turns.get() >= polls.get() / 2, "{} turns of the other in {} polls", turns.get(), polls.get());
}

#[test]
fn other_tasks_of_the_host_run_beside_a_loop_with_a_timer_that_is_always_due() {
    let ended = Rc::new(Cell::new(false));
    let seen = ended.clone();
    let sleeper = co! {
        let past = Instant::now();
        while !seen.get() {
            yield tinyield::sleep_until(past);
        }
    };
    let other = async move {
        for _ in 0..10 {
            yield_now().await;
        }
        ended.set(true);
    };
    run_beside(other, to_host(sleeper)).unwrap();
}

#[test]
fn a_loop_that_waits_is_polled_only_when_something_is_due() {
    let polls = Cell::new(0);
    let start = Instant::now();
    let sleeps = to_host(vec![sleep(ms(30)), sleep(ms(10)), sleep(ms(20))]);
    block_on(counting_polls(&polls, sleeps)).unwrap();
    assert!(start.elapsed() >= ms(30));
    assert!(polls.get() <= 8, "{} polls for 3 timers", polls.get());
}

#[test]
fn earlier_deadline_replaces_a_later_one() {
    let gate = Gate::new();
    let opener = gate.clone();
    let start = Instant::now();
    let main = co! {
        let long = co! { yield sleep(LONG); };
        let woken = co! { gate.await; yield sleep(ms(2)); Err("in time")?; };
        let _: ((), ()) = yield (long, woken);
    };
    let other = async move {
        timer(ms(2)).await;
        opener.open();
    };
    assert_eq!(run_beside(other, to_host(main)).unwrap_err().to_string(), "in time");
    assert!(start.elapsed() < LONG / 2);
}

#[test]
fn deadline_that_is_cancelled_causes_no_poll() {
    let polls = Cell::new(0);
    let (gate, second) = (Gate::new(), Gate::new());
    let (opener, then) = (gate.clone(), second.clone());
    let main = co! {
        (yield timeout(co! { gate.await; }, ms(20)))?;
        second.await;
    };
    let other = async move {
        opener.open();
        timer(ms(40)).await;
        then.open();
    };
    run_beside(other, counting_polls(&polls, to_host(main))).unwrap();
    assert!(polls.get() <= 5, "{} polls", polls.get());
}

#[test]
fn nothing_begins_before_it_is_polled() {
    let begun = Counter::new();
    let dropped = Counter::new();
    let (counted, guard) = (begun.clone(), dropped.guard());
    let mut hosted = to_host(co! { let _guard = guard; counted.up(); yield forever(); });
    assert_eq!((begun.get(), dropped.get()), (0, 0));
    assert!(block_on(poll_once(&mut hosted)).is_pending());
    assert_eq!((begun.get(), dropped.get()), (1, 0));
    drop(hosted);
    assert_eq!((begun.get(), dropped.get()), (1, 1));

    let (counted, guard) = (begun.clone(), dropped.guard());
    drop(to_host(co! { let _guard = guard; counted.up(); yield; }));
    assert_eq!((begun.get(), dropped.get()), (1, 2));
}

#[test]
fn drop_half_way_cancels_and_waits_for_coroutines_and_threads() {
    let (cleaned, waited, joined) = (Counter::new(), Counter::new(), Arc::new(AtomicUsize::new(0)));
    let (begun, in_thread) = (Arc::new(AtomicBool::new(false)), joined.clone());
    let (guard, counted, said) = (cleaned.guard(), waited.clone(), begun.clone());
    let main = co! {
        yield spawn(co! {
            let _guard = guard;
            let error = (yield catch(forever())).unwrap_err();
            yield shield(sleep(ms(3)));
            counted.up();
            Err(error)?;
        });
        yield run_in_thread(move || {
            said.store(true, SeqCst);
            while tinyield::thread::checkpoint().is_ok() {
                thread::yield_now();
            }
            in_thread.fetch_add(1, SeqCst);
        });
    };
    let mut hosted = to_host(main);
    block_on(async {
        while !begun.load(SeqCst) {
            assert!(poll_once(&mut hosted).await.is_pending());
        }
        drop(hosted);
        assert_eq!((cleaned.get(), waited.get(), joined.load(SeqCst)), (1, 1, 1));
    });
}

#[test]
fn drop_half_way_is_the_reason_of_the_cancellation() {
    let reason = Rc::new(Cell::new(None));
    let told = reason.clone();
    let mut hosted = to_host(co! {
        let error = (yield catch(forever())).unwrap_err();
        told.set(Some(error.as_cancelled().unwrap().reason()));
        Err(error)?;
    });
    assert!(block_on(poll_once(&mut hosted)).is_pending());
    drop(hosted);
    assert_eq!(reason.take(), Some(tinyield::Reason::Dropped));
}

#[test]
fn error_of_a_coroutine_is_the_output_with_its_trace() {
    #[coro]
    fn failing() -> Coro<()> {
        for _ in 0..5 {
            yield;
        }
        Err("tinyield's error")?
    }
    let error = block_on(to_host(co! { yield failing(); })).unwrap_err();
    assert_eq!(error.to_string(), "tinyield's error");
    assert_eq!(names(error.error()), ["co!", "failing"]);
}

#[test]
fn error_in_the_host_drops_the_loop_next_to_it() {
    let gate = Gate::new();
    let opener = gate.clone();
    let done = Counter::new();
    let guard = done.guard();
    let slow = co! {
        let _guard = guard;
        opener.open();
        loop {
            yield sleep(ms(1));
        }
    };
    let failing = async {
        timer(ms(1)).await;
        gate.await;
        Err::<(), _>(Error::msg("the host's error"))
    };
    let both = smol::future::try_zip(async { to_host(slow).await.map_err(Error::from) }, failing);
    let result: Result<((), ()), Error> = block_on(both);
    assert_eq!(result.unwrap_err().to_string(), "the host's error");
    assert_eq!(done.get(), 1);
}

#[test]
fn grouping_sets_which_errors_are_kept() {
    let two = || {
        co! {
            let stubborn = co! { if (yield catch(forever())).is_err() { Err("while stopping")?; } };
            yield (stubborn, co! { yield forever(); }, co! { yield; Err("first")?; });
        }
    };
    let others = |error: LoopError| messages(error.others());
    assert_eq!(others(block_on(to_host(two())).unwrap_err()), ["while stopping"]);
    assert_eq!(others(block_on(to_host(two()).grouping(Grouping::Never)).unwrap_err()), [""; 0]);
    assert_eq!(others(block_on(to_host(two()).grouping(Grouping::Always)).unwrap_err()).len(), 3);
    assert_eq!(others(block_on(to_host_with(two)).unwrap_err()), ["while stopping"]);
    assert_eq!(others(block_on(to_host_with(two).grouping(Grouping::Always)).unwrap_err()).len(), 3);
}

#[test]
fn panic_of_a_coroutine_leaves_the_poll_when_all_others_have_ended() {
    let ended = Counter::new();
    let guard = ended.guard();
    let main = co! {
        let waits = co! { let _guard = guard; yield forever(); };
        yield (waits, co! { yield; std::panic::panic_any(7_u8); });
    };
    let mut hosted = to_host(main);
    let payload = catch_unwind(AssertUnwindSafe(|| block_on(&mut hosted))).unwrap_err();
    assert_eq!(payload.downcast_ref::<u8>(), Some(&7));
    assert_eq!(ended.get(), 1);
    let _ = panic_of(|| block_on(&mut hosted)); // it is over
}

#[test]
fn panic_during_the_drop_leaves_the_drop() {
    let dropped = OnDrop(|| panic!("cleaning up"));
    let mut hosted = to_host(co! { let _dropped = dropped; yield forever(); });
    assert!(block_on(poll_once(&mut hosted)).is_pending());
    assert_eq!(panic_of(|| drop(hosted)), "cleaning up");
}

#[test]
fn poll_after_the_output_panics() {
    let mut hosted = to_host(co! { 1 });
    assert_eq!(block_on(&mut hosted).unwrap(), 1);
    assert!(panic_of(|| block_on(&mut hosted)).contains(&format!("`{TO_HOST}`")));
    let mut threaded = to_host_with(|| co! { 1 });
    assert_eq!(block_on(&mut threaded).unwrap(), 1);
    assert!(panic_of(|| block_on(&mut threaded)).contains(&format!("`{TO_HOST}_with`")));
}

#[test]
fn cycle_in_a_hosted_loop_is_an_error() {
    let first: Rc<Cell<Option<Shared<()>>>> = Rc::default();
    let theirs = first.clone();
    let one = co! { if let Some(other) = theirs.take() { yield other; } }.named("one").shared();
    let again = one.clone();
    let two = co! { yield again; }.named("two").shared();
    first.set(Some(two.clone()));
    let error = block_on(to_host(two)).unwrap_err();
    assert_eq!(error.error().downcast_ref::<Deadlock>().unwrap().cycle().len(), 2);
}

#[test]
fn waker_of_the_host_may_change_from_poll_to_poll() {
    in_context(|| {
        let gate = Gate::new();
        let held = gate.clone();
        let mut hosted = pin!(to_host(co! { held.await; }));
        let ((first, first_waker), (second, second_waker)) = (Wakes::new(), Wakes::new());
        assert!(hosted.as_mut().poll(&mut Context::from_waker(&first_waker)).is_pending());
        assert!(hosted.as_mut().poll(&mut Context::from_waker(&second_waker)).is_pending());
        gate.open();
        assert_eq!((first.get(), second.get()), (0, 1));
        assert!(hosted.as_mut().poll(&mut Context::from_waker(&second_waker)).is_ready());
        // The loop keeps none of the wakers.
        drop((first_waker, second_waker));
        assert_eq!((Arc::strong_count(&first), Arc::strong_count(&second)), (1, 1));
    });
}

#[test]
fn waker_of_a_hosted_loop_that_was_dropped_has_no_effect() {
    in_context(|| {
        let gate = Gate::new();
        let held = gate.clone();
        let (wakes, waker) = Wakes::new();
        let mut hosted = Box::pin(to_host(co! { held.await; }));
        assert!(hosted.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        let kept: Waker = gate.waker().unwrap();
        // From another thread, while it is dropped.
        let during = OnDrop(move || {
            let kept = kept.clone();
            thread::spawn(move || kept.wake()).join().unwrap();
        });
        let mut dropping = Box::pin(to_host(co! { let _during = during; yield forever(); }));
        assert!(dropping.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        drop(dropping);
        assert_eq!(wakes.get(), 1);
        drop(hosted);
        gate.open();
        assert_eq!(wakes.get(), 1);
    });
}

// Loops on threads of their own.

#[test]
fn future_of_a_loop_on_its_own_thread_can_be_spawned() {
    let here = thread::current().id();
    let not_send = || {
        let not_send = Rc::new(Cell::new(1));
        co! {
            yield sleep(ms(1));
            not_send.set(not_send.get() + 1);
            let one = yield from_host(async { timer(ms(1)).await; 1 });
            (not_send.get() + one, thread::current().id())
        }
    };
    let (value, there) = block_on(host_spawn(to_host_with(not_send))).unwrap();
    assert_eq!(value, 3);
    assert_ne!(there, here);
}

#[test]
fn a_loop_on_its_own_thread_does_not_begin_before_it_is_polled() {
    let begun = Arc::new(AtomicBool::new(false));
    let said = begun.clone();
    let threaded = to_host_with(move || {
        said.store(true, SeqCst);
        co! {}
    });
    drop(threaded);
    assert!(!begun.load(SeqCst));
    assert_eq!(Arc::strong_count(&begun), 1);
}

#[test]
fn drop_half_way_waits_for_a_loop_on_its_own_thread() {
    let (gate, ended) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
    let (opener, counted) = (gate.clone(), ended.clone());
    let mut threaded = to_host_with(move || {
        co! {
            opener.open();
            let error = (yield catch(forever())).unwrap_err();
            assert_eq!(error.as_cancelled().unwrap().reason(), tinyield::Reason::Dropped);
            yield shield(sleep(ms(3)));
            counted.fetch_add(1, SeqCst);
            Err(error)?;
        }
    });
    block_on(async {
        assert!(poll_once(&mut threaded).await.is_pending());
        gate.await;
        drop(threaded);
        assert_eq!(ended.load(SeqCst), 1);
    });
}

/// `drops` makes a wait. This wait receives the future of its own loop, and drops this future.
fn check_cancelled_and_not_waited_for(drops: fn(mpsc::Receiver<HostedWith<()>>) -> Coro<()>) {
    let (send, receive) = mpsc::channel();
    let (tell, told) = mpsc::channel();
    let mut threaded = to_host_with(move || {
        co! {
            let error = (yield catch(drops(receive))).unwrap_err();
            tell.send(error.as_cancelled().unwrap().reason()).unwrap();
            Err(error)?;
        }
    });
    assert!(block_on(poll_once(&mut threaded)).is_pending());
    send.send(threaded).unwrap();
    assert_eq!(told.recv().unwrap(), tinyield::Reason::Dropped);
}

#[test]
fn loop_that_drops_its_own_future_is_cancelled_and_not_waited_for() {
    check_cancelled_and_not_waited_for(|receive| co! { drop(receive.recv().unwrap()); yield forever(); });
}

#[test]
fn loop_whose_closure_drops_its_future_is_cancelled_and_not_waited_for() {
    check_cancelled_and_not_waited_for(|receive| run_in_thread(move || drop(receive.recv().unwrap())));
}

#[test]
fn loop_that_is_dropped_by_a_loop_for_which_it_waits_is_not_waited_for() {
    let (send, receive) = mpsc::channel::<HostedWith<()>>();
    let (tell, told) = mpsc::channel();
    let (wait, waits) = mpsc::channel();
    let mut inner = to_host_with(move || co! { drop(receive.recv().unwrap()); });
    assert!(block_on(poll_once(&mut inner)).is_pending());
    let mut outer = to_host_with(move || {
        let polled = poll_fn(move |context| {
            let polled = Pin::new(&mut inner).poll(context);
            let _ = wait.send(());
            polled.map(drop)
        });
        co! {
            let error = (yield catch(from_host(polled))).unwrap_err();
            tell.send(error.as_cancelled().unwrap().reason()).unwrap();
            Err(error)?;
        }
    });
    assert!(block_on(poll_once(&mut outer)).is_pending());
    waits.recv().unwrap();
    send.send(outer).unwrap();
    assert_eq!(told.recv_timeout(LONG), Ok(tinyield::Reason::Dropped));
}

#[test]
fn loop_that_is_dropped_by_a_loop_for_which_it_no_longer_waits_is_waited_for() {
    let (send, receive) = mpsc::channel::<HostedWith<()>>();
    let (hand, handed) = mpsc::channel();
    let ended = Arc::new(AtomicBool::new(false));
    let ends = ended.clone();
    let mut outer = to_host_with(move || {
        co! {
            let mut inner = to_host_with(move || {
                co! {
                    drop(receive.recv().unwrap());
                    ended.load(SeqCst)
                }
            });
            assert!(poll_once(&mut inner).await.is_pending());
            hand.send(inner).unwrap();
            let error = (yield catch(forever())).unwrap_err();
            yield shield(sleep(ms(20)));
            ends.store(true, SeqCst);
            Err(error)?;
        }
    });
    assert!(block_on(poll_once(&mut outer)).is_pending());
    let mut inner = handed.recv().unwrap();
    assert!(block_on(poll_once(&mut inner)).is_pending());
    send.send(outer).unwrap();
    assert!(block_on(inner).unwrap());
}

#[test]
fn a_loop_on_its_own_thread_that_is_dropped_at_once_ends_too() {
    for _ in 0..200 {
        let alive = Arc::new(());
        let theirs = alive.clone();
        let mut threaded = to_host_with(move || co! { let _theirs = theirs; yield forever(); });
        assert!(block_on(poll_once(&mut threaded)).is_pending());
        drop(threaded);
        assert_eq!(Arc::strong_count(&alive), 1);
    }
}

#[test]
fn errors_with_their_traces_and_panics_come_back_from_a_loops_own_thread() {
    let error = block_on(to_host_with(|| co! { yield co! { Err("over there")?; }.named("inner"); })).unwrap_err();
    assert_eq!(error.to_string(), "over there");
    assert_eq!(names(error.error()), ["co!", "inner"]);
    let panicking = to_host_with(|| -> Coro<()> {
        co! { yield; panic!("over there") }
    });
    assert_eq!(panic_of(|| block_on(panicking)), "over there");
    let building = to_host_with(|| -> Coro<()> { panic!("while it was built") });
    assert_eq!(panic_of(|| block_on(building)), "while it was built");
}

#[test]
fn a_deadlock_on_a_loops_own_thread_is_found() {
    let stuck = to_host_with(|| from_future(pending::<()>()));
    assert!(block_on(stuck).unwrap_err().error().downcast_ref::<Deadlock>().is_some());
}

#[test]
fn loops_on_their_own_threads_may_wait_for_each_other_however_many() {
    // More loops than a pool for blocking work has threads.
    const MANY: usize = 600;
    let (senders, mut receivers): (Vec<_>, Vec<_>) = (0..MANY).map(|_| smol::channel::bounded::<usize>(1)).unzip();
    let first = senders[0].clone();
    let last = receivers.pop().unwrap();
    let links = senders.into_iter().skip(1).zip(receivers).map(|(next, before)| {
        host_spawn(to_host_with(move || {
            co! {
                let count = before.recv().await?;
                next.send(count + 1).await?;
            }
        }))
    });
    let links: Vec<_> = links.collect();
    let count = block_on(async {
        first.send(1).await.unwrap();
        last.recv().await.unwrap()
    });
    assert_eq!(count, MANY);
    block_on(async {
        for link in links {
            link.await.unwrap();
        }
    });
}

// Loops on the thread of the host, and loops on their own threads.

#[test]
fn a_failing_isolate_in_a_hosted_loop_is_a_value() {
    let main = co! {
        let failed = yield isolate(co! { from_host(ready(())).yield; Err("inside")?; });
        let late = yield timeout(sleep(FOREVER), ms(1));
        (failed.unwrap_err().to_string(), late)
    };
    assert_eq!(block_on(to_host(main)).unwrap(), ("inside".to_string(), Err(TimedOut)));
}

#[test]
fn a_remote_event_set_on_another_thread_wakes_a_hosted_loop() {
    let event = Event::new();
    let remote = event.remote();
    let waits = co! { yield event.wait(); 5 };
    let setter = thread::spawn(move || remote.set());
    assert_eq!(block_on(to_host(waits)).unwrap(), 5);
    setter.join().unwrap();
}

#[test]
fn event_set_by_the_host_wakes_a_sleeping_loop_once() {
    in_context(|| {
        let event = Event::new();
        let (wakes, waker) = Wakes::new();
        let waits = || {
            let event = event.clone();
            co! { yield event.wait(); }
        };
        let mut hosted = to_host((0..100).map(|_| waits()).collect::<Vec<_>>());
        assert!(Pin::new(&mut hosted).poll(&mut Context::from_waker(&waker)).is_pending());
        assert_eq!(wakes.get(), 0);
        event.set();
        event.set();
        assert_eq!(wakes.get(), 1);
        assert!(Pin::new(&mut hosted).poll(&mut Context::from_waker(&waker)).is_ready());
        assert_eq!(wakes.get(), 1);
    });
}
