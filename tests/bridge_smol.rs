//! Loops inside smol programs, and smol's futures inside loops.
#![feature(coroutines)]
#![cfg(feature = "smol")]

mod common;

use std::cell::{Cell, RefCell};
use std::future::{poll_fn, ready};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Instant;

use common::{Counter, FOREVER, Gate, LONG, OnDrop, Wakes, forever, messages, ms, names, panic_of};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::{TcpListener, TcpStream};
use smol::{LocalExecutor, Timer, block_on};
use tinyield::bridge::{ToSmol, ToSmolWith};
use tinyield::{
    Coro, Deadlock, Error, Event, Grouping, Loop, LoopError, Shared, TimedOut, catch, co, coro, from_smol, isolate,
    run_in_thread, shield, sleep, spawn, timeout, to_smol, to_smol_with,
};

/// Counts how often a future is polled.
async fn counting_polls<F: Future>(polls: &Cell<usize>, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|context| {
        polls.set(polls.get() + 1);
        future.as_mut().poll(context)
    })
    .await
}

async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_fn(|context| Poll::Ready(Pin::new(&mut *future).poll(context))).await
}

// smol inside tinyield.

async fn add_one(x: i32) -> i32 {
    Timer::after(ms(1)).await;
    x + 1
}

async fn add_two(x: i32) -> i32 {
    add_one(add_one(x).await).await
}

#[test]
fn a_smol_future_gives_its_output_to_a_coroutine() {
    assert_eq!(Loop::new().run(from_smol(add_two(3))).unwrap(), 5);
}

#[test]
fn a_smol_future_runs_next_to_coroutines_and_may_be_shared() {
    #[coro]
    fn g(x: i32) -> Coro<i32> {
        for _ in 0..20 {
            yield;
        }
        x + 10
    }
    #[coro]
    fn h(x: i32) -> Coro<i32> {
        let f = from_smol(add_two(3)).shared();
        let (a, b) = yield (&f, g(x));
        let a2 = yield f;
        a + a2 + b
    }
    assert_eq!(Loop::new().run(h(3)).unwrap(), 23);
}

#[test]
fn an_error_in_a_smol_future_stops_the_loop() {
    #[coro]
    fn background(gate: Gate, ended: Counter) -> Coro<()> {
        let _ended = ended.guard();
        yield;
        gate.open();
        loop {
            yield;
        }
    }
    let (gate, ended) = (Gate::new(), Counter::new());
    let (opened, counted) = (gate.clone(), ended.clone());
    let main = co! {
        yield spawn(background(opened, counted));
        yield from_smol(async {
            Timer::after(ms(1)).await;
            gate.await;
            Err::<(), _>(io::Error::other("smol's error"))
        }).raise();
    };
    let error = Loop::new().run(main).unwrap_err();
    assert_eq!(error.error().downcast_ref::<io::Error>().unwrap().to_string(), "smol's error");
    assert_eq!(names(error.error()), ["co!", "from_smol"]);
    assert_eq!(ended.get(), 1);
}

#[test]
fn an_error_in_a_coroutine_drops_the_smol_future() {
    let (gate, dropped) = (Gate::new(), Counter::new());
    let (opened, guard) = (gate.clone(), dropped.guard());
    let slow = async move {
        let _guard = guard;
        opened.open();
        loop {
            Timer::after(ms(1)).await;
        }
    };
    let failing = co! { gate.await; Err("tinyield's error")?; };
    let main = co! { let _: ((), ()) = yield (from_smol(slow), failing); };
    let error = Loop::new().run(main).unwrap_err();
    assert_eq!(error.to_string(), "tinyield's error");
    assert_eq!(dropped.get(), 1);
}

#[test]
fn a_smol_future_is_polled_on_the_loops_own_thread_and_need_not_be_send() {
    let here = thread::current().id();
    let not_send = Rc::new(());
    let main = from_smol(async move {
        for _ in 0..3 {
            Timer::after(ms(1)).await;
            assert_eq!(thread::current().id(), here);
        }
        Rc::strong_count(&not_send)
    });
    assert_eq!(Loop::new().run(main).unwrap(), 1);
}

#[test]
fn sockets_are_awaited_in_place() {
    let main = co! {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let server = co! {
            let (mut stream, _) = listener.accept().await?;
            let mut bytes = [0; 4];
            stream.read_exact(&mut bytes).await?;
            stream.write_all(&bytes.map(|byte| byte + 1)).await?;
        };
        let client = co! {
            let mut stream = TcpStream::connect(address).await?;
            stream.write_all(&[1, 2, 3, 4]).await?;
            let mut bytes = [0; 4];
            stream.read_exact(&mut bytes).await?;
            bytes
        };
        (yield (server, client)).1
    };
    assert_eq!(Loop::new().run(timeout(main, LONG)).unwrap(), Ok([2, 3, 4, 5]));
}

#[test]
fn tinyields_timers_are_kept_while_the_loop_waits_in_smols_reactor() {
    let late = from_smol(async { Timer::never().await });
    let main = co! {
        let start = Instant::now();
        for _ in 0..5 {
            yield sleep(ms(2));
        }
        start.elapsed()
    };
    let main = co! {
        let rest = yield spawn(late);
        let elapsed = yield main;
        assert!(!rest.is_finished());
        Err::<(), _>(format!("{}", elapsed >= ms(10) && elapsed < LONG))?;
    };
    assert_eq!(Loop::new().run(main).unwrap_err().to_string(), "true");
}

#[test]
fn a_panic_in_a_smol_future_goes_on_out_of_run() {
    let main = from_smol(async {
        Timer::after(ms(1)).await;
        panic!("in smol");
    });
    assert_eq!(panic_of(|| Loop::new().run(main)), "in smol");
}

// tinyield inside smol.

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
fn a_loop_gives_its_output_to_smol() {
    assert_eq!(block_on(async { to_smol(diamond(2)).await }).unwrap(), 9);
}

#[test]
fn smols_other_tasks_run_while_a_loop_waits_for_one_of_them() {
    let event = Event::new();
    let executor = LocalExecutor::new();
    let setter = event.clone();
    let other = executor.spawn(async move {
        for _ in 0..20 {
            smol::future::yield_now().await;
        }
        setter.set();
    });
    let waits = co! { yield event.wait(); 5 };
    assert_eq!(block_on(executor.run(to_smol(waits))).unwrap(), 5);
    block_on(executor.run(other));
}

#[test]
fn smols_other_tasks_run_while_a_busy_loop_runs() {
    let executor = LocalExecutor::new();
    let turns = Rc::new(Cell::new(0));
    let counted = turns.clone();
    let other = executor.spawn(async move {
        loop {
            counted.set(counted.get() + 1);
            smol::future::yield_now().await;
        }
    });
    let busy = co! { for _ in 0..20_000 { yield; } };
    let polls = Cell::new(0);
    block_on(executor.run(counting_polls(&polls, to_smol(busy)))).unwrap();
    drop(other);
    // A bounded number of steps a poll, and a turn of the others in between.
    assert!(polls.get() >= 20, "{} polls for 20,000 steps", polls.get());
    assert!(turns.get() >= polls.get() / 2, "{} turns of the other in {} polls", turns.get(), polls.get());
}

#[test]
fn a_loop_whose_time_has_always_come_lets_smols_other_tasks_run() {
    let executor = LocalExecutor::new();
    let ended = Rc::new(Cell::new(false));
    let seen = ended.clone();
    let sleeper = co! {
        let past = Instant::now();
        while !seen.get() {
            yield tinyield::sleep_until(past);
        }
    };
    let other = executor.spawn(async move {
        for _ in 0..10 {
            smol::future::yield_now().await;
        }
        ended.set(true);
    });
    block_on(executor.run(to_smol(sleeper))).unwrap();
    block_on(executor.run(other));
}

#[test]
fn a_loop_that_waits_is_polled_only_when_something_is_due() {
    let polls = Cell::new(0);
    let start = Instant::now();
    let sleeps = to_smol(vec![sleep(ms(30)), sleep(ms(10)), sleep(ms(20))]);
    block_on(counting_polls(&polls, sleeps)).unwrap();
    assert!(start.elapsed() >= ms(30));
    assert!(polls.get() <= 8, "{} polls for 3 timers", polls.get());
}

#[test]
fn a_deadline_that_comes_to_be_earlier_is_kept() {
    let gate = Gate::new();
    let opener = gate.clone();
    let start = Instant::now();
    let main = co! {
        let long = co! { yield sleep(LONG); };
        let woken = co! { gate.await; yield sleep(ms(2)); Err("in time")?; };
        let _: ((), ()) = yield (long, woken);
    };
    let executor = LocalExecutor::new();
    let other = executor.spawn(async move {
        Timer::after(ms(2)).await;
        opener.open();
    });
    assert_eq!(block_on(executor.run(to_smol(main))).unwrap_err().to_string(), "in time");
    block_on(executor.run(other));
    assert!(start.elapsed() < LONG / 2);
}

#[test]
fn a_deadline_that_goes_away_wakes_nobody() {
    let polls = Cell::new(0);
    let (gate, second) = (Gate::new(), Gate::new());
    let (opener, then) = (gate.clone(), second.clone());
    let main = co! {
        (yield timeout(co! { gate.await; }, ms(20)))?;
        second.await;
    };
    let executor = LocalExecutor::new();
    let hosted = executor.run(counting_polls(&polls, to_smol(main)));
    let other = executor.spawn(async move {
        opener.open();
        Timer::after(ms(40)).await;
        then.open();
    });
    block_on(hosted).unwrap();
    block_on(executor.run(other));
    assert!(polls.get() <= 5, "{} polls", polls.get());
}

#[test]
fn nothing_begins_before_it_is_polled() {
    let begun = Counter::new();
    let dropped = Counter::new();
    let (counted, guard) = (begun.clone(), dropped.guard());
    let mut hosted = to_smol(co! { let _guard = guard; counted.up(); yield forever(); });
    assert_eq!((begun.get(), dropped.get()), (0, 0));
    assert!(block_on(poll_once(&mut hosted)).is_pending());
    assert_eq!((begun.get(), dropped.get()), (1, 0));
    drop(hosted);
    assert_eq!((begun.get(), dropped.get()), (1, 1));

    let (counted, guard) = (begun.clone(), dropped.guard());
    drop(to_smol(co! { let _guard = guard; counted.up(); yield; }));
    assert_eq!((begun.get(), dropped.get()), (1, 2));
}

#[test]
fn dropped_half_way_it_has_cancelled_joined_and_cleaned_up_all_that_it_ran() {
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
    let mut hosted = to_smol(main);
    block_on(async {
        while !begun.load(SeqCst) {
            assert!(poll_once(&mut hosted).await.is_pending());
        }
        drop(hosted);
        assert_eq!((cleaned.get(), waited.get(), joined.load(SeqCst)), (1, 1, 1));
    });
}

#[test]
fn dropped_half_way_it_tells_why() {
    let reason = Rc::new(Cell::new(None));
    let told = reason.clone();
    let mut hosted = to_smol(co! {
        let error = (yield catch(forever())).unwrap_err();
        told.set(Some(error.as_cancelled().unwrap().reason()));
        Err(error)?;
    });
    assert!(block_on(poll_once(&mut hosted)).is_pending());
    drop(hosted);
    assert_eq!(reason.take(), Some(tinyield::Reason::Dropped));
}

#[test]
fn an_error_in_a_coroutine_is_the_output_with_its_trace() {
    #[coro]
    fn failing() -> Coro<()> {
        for _ in 0..5 {
            yield;
        }
        Err("tinyield's error")?
    }
    let error = block_on(to_smol(co! { yield failing(); })).unwrap_err();
    assert_eq!(error.to_string(), "tinyield's error");
    assert_eq!(names(error.error()), ["co!", "failing"]);
}

#[test]
fn an_error_in_smol_drops_the_loop_next_to_it() {
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
        Timer::after(ms(1)).await;
        gate.await;
        Err::<(), _>(Error::msg("smol's error"))
    };
    let both = smol::future::try_zip(async { to_smol(slow).await.map_err(Error::from) }, failing);
    let result: Result<((), ()), Error> = block_on(both);
    assert_eq!(result.unwrap_err().to_string(), "smol's error");
    assert_eq!(done.get(), 1);
}

#[test]
fn a_grouping_says_which_errors_are_kept() {
    let two = || {
        co! {
            let stubborn = co! { if (yield catch(forever())).is_err() { Err("while stopping")?; } };
            yield (stubborn, co! { yield forever(); }, co! { yield; Err("first")?; });
        }
    };
    let others = |error: LoopError| messages(error.others());
    assert_eq!(others(block_on(to_smol(two())).unwrap_err()), ["while stopping"]);
    assert_eq!(others(block_on(to_smol(two()).grouping(Grouping::Never)).unwrap_err()), [""; 0]);
    assert_eq!(others(block_on(to_smol(two()).grouping(Grouping::Always)).unwrap_err()).len(), 3);
    assert_eq!(others(block_on(to_smol_with(two)).unwrap_err()), ["while stopping"]);
    assert_eq!(others(block_on(to_smol_with(two).grouping(Grouping::Always)).unwrap_err()).len(), 3);
}

#[test]
fn a_panic_in_a_coroutine_goes_on_out_of_the_poll_when_all_has_ended() {
    let ended = Counter::new();
    let guard = ended.guard();
    let main = co! {
        let waits = co! { let _guard = guard; yield forever(); };
        yield (waits, co! { yield; std::panic::panic_any(7_u8); });
    };
    let mut hosted = to_smol(main);
    let payload = catch_unwind(AssertUnwindSafe(|| block_on(&mut hosted))).unwrap_err();
    assert_eq!(payload.downcast_ref::<u8>(), Some(&7));
    assert_eq!(ended.get(), 1);
    let _ = panic_of(|| block_on(&mut hosted)); // it is over
}

#[test]
fn a_panic_while_it_is_dropped_goes_on_out_of_the_drop() {
    let dropped = OnDrop(|| panic!("cleaning up"));
    let mut hosted = to_smol(co! { let _dropped = dropped; yield forever(); });
    assert!(block_on(poll_once(&mut hosted)).is_pending());
    assert_eq!(panic_of(|| drop(hosted)), "cleaning up");
}

#[test]
fn polled_again_after_its_output_it_panics() {
    let mut hosted = to_smol(co! { 1 });
    assert_eq!(block_on(&mut hosted).unwrap(), 1);
    assert!(panic_of(|| block_on(&mut hosted)).contains("`to_smol`"));
    let mut threaded = to_smol_with(|| co! { 1 });
    assert_eq!(block_on(&mut threaded).unwrap(), 1);
    assert!(panic_of(|| block_on(&mut threaded)).contains("`to_smol_with`"));
}

#[test]
fn a_hosted_loop_that_only_its_host_can_wake_waits_but_a_cycle_is_an_error() {
    let first: Rc<Cell<Option<Shared<()>>>> = Rc::default();
    let theirs = first.clone();
    let one = co! { if let Some(other) = theirs.take() { yield other; } }.named("one").shared();
    let again = one.clone();
    let two = co! { yield again; }.named("two").shared();
    first.set(Some(two.clone()));
    let error = block_on(to_smol(two)).unwrap_err();
    assert_eq!(error.error().downcast_ref::<Deadlock>().unwrap().cycle().len(), 2);
}

#[test]
fn the_hosts_waker_may_change_from_poll_to_poll() {
    let gate = Gate::new();
    let held = gate.clone();
    let mut hosted = pin!(to_smol(co! { held.await; }));
    let ((first, first_waker), (second, second_waker)) = (Wakes::new(), Wakes::new());
    assert!(hosted.as_mut().poll(&mut Context::from_waker(&first_waker)).is_pending());
    assert!(hosted.as_mut().poll(&mut Context::from_waker(&second_waker)).is_pending());
    gate.open();
    assert_eq!((first.get(), second.get()), (0, 1));
    assert!(hosted.as_mut().poll(&mut Context::from_waker(&second_waker)).is_ready());
    // It keeps none of them.
    drop((first_waker, second_waker));
    assert_eq!((Arc::strong_count(&first), Arc::strong_count(&second)), (1, 1));
}

#[test]
fn a_waker_of_a_hosted_loop_that_is_gone_is_of_no_effect() {
    let gate = Gate::new();
    let held = gate.clone();
    let (wakes, waker) = Wakes::new();
    let mut hosted = Box::pin(to_smol(co! { held.await; }));
    assert!(hosted.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let kept: Waker = gate.waker().unwrap();
    // From another thread, while it is dropped.
    let during = OnDrop(move || {
        let kept = kept.clone();
        thread::spawn(move || kept.wake()).join().unwrap();
    });
    let mut dropping = Box::pin(to_smol(co! { let _during = during; yield forever(); }));
    assert!(dropping.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(dropping);
    assert_eq!(wakes.get(), 1);
    drop(hosted);
    gate.open();
    assert_eq!(wakes.get(), 1);
}

// On a thread of its own.

#[test]
fn the_future_of_a_loop_on_its_own_thread_can_be_spawned() {
    let here = thread::current().id();
    let not_send = || {
        let not_send = Rc::new(Cell::new(1));
        co! {
            yield sleep(ms(1));
            not_send.set(not_send.get() + 1);
            let one = yield from_smol(async { Timer::after(ms(1)).await; 1 });
            (not_send.get() + one, thread::current().id())
        }
    };
    let (value, there) = block_on(smol::spawn(to_smol_with(not_send))).unwrap();
    assert_eq!(value, 3);
    assert_ne!(there, here);
}

#[test]
fn a_loop_on_its_own_thread_does_not_begin_before_it_is_polled() {
    let begun = Arc::new(AtomicBool::new(false));
    let said = begun.clone();
    let threaded = to_smol_with(move || {
        said.store(true, SeqCst);
        co! {}
    });
    drop(threaded);
    assert!(!begun.load(SeqCst));
    assert_eq!(Arc::strong_count(&begun), 1);
}

#[test]
fn dropped_half_way_a_loop_on_its_own_thread_has_ended() {
    let (gate, ended) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
    let (opener, counted) = (gate.clone(), ended.clone());
    let mut threaded = to_smol_with(move || {
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

/// `drops` makes what drops the future that runs it, once it is sent there.
fn is_cancelled_and_not_waited_for(drops: fn(mpsc::Receiver<ToSmolWith<()>>) -> Coro<()>) {
    let (send, receive) = mpsc::channel();
    let (tell, told) = mpsc::channel();
    let mut threaded = to_smol_with(move || {
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
fn dropped_by_what_it_runs_a_loop_on_its_own_thread_is_cancelled_and_not_waited_for() {
    is_cancelled_and_not_waited_for(|receive| co! { drop(receive.recv().unwrap()); yield forever(); });
}

#[test]
fn dropped_by_a_closure_that_it_runs_a_loop_on_its_own_thread_is_cancelled_and_not_waited_for() {
    is_cancelled_and_not_waited_for(|receive| run_in_thread(move || drop(receive.recv().unwrap())));
}

#[test]
fn dropped_by_a_loop_that_it_waits_for_it_is_not_waited_for_wherever_that_one_began() {
    let (send, receive) = mpsc::channel::<ToSmolWith<()>>();
    let (tell, told) = mpsc::channel();
    let (wait, waits) = mpsc::channel();
    let mut inner = to_smol_with(move || co! { drop(receive.recv().unwrap()); });
    assert!(block_on(poll_once(&mut inner)).is_pending());
    let mut outer = to_smol_with(move || {
        let polled = poll_fn(move |context| {
            let polled = Pin::new(&mut inner).poll(context);
            let _ = wait.send(());
            polled.map(drop)
        });
        co! {
            let error = (yield catch(from_smol(polled))).unwrap_err();
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
fn dropped_by_a_loop_that_it_began_and_handed_on_it_is_waited_for() {
    let (send, receive) = mpsc::channel::<ToSmolWith<()>>();
    let (hand, handed) = mpsc::channel();
    let ended = Arc::new(AtomicBool::new(false));
    let ends = ended.clone();
    let mut outer = to_smol_with(move || {
        co! {
            let mut inner = to_smol_with(move || {
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
fn a_loop_that_a_thread_kept_cleans_up_when_the_thread_ends() {
    thread_local!(static KEPT: RefCell<Option<Pin<Box<ToSmol<()>>>>> = const { RefCell::new(None) });
    let cleaned = Arc::new(AtomicBool::new(false));
    let theirs = cleaned.clone();
    thread::spawn(move || {
        // Of thread-local values, those of smol come after this one, so they go before it.
        KEPT.with_borrow(|kept| assert!(kept.is_none()));
        let mut run = Box::pin(to_smol(co! {
            let _ = yield catch(from_smol(Timer::never()));
            yield shield(from_smol(Timer::after(ms(1))));
            theirs.store(true, SeqCst);
        }));
        assert!(block_on(poll_once(&mut run)).is_pending());
        KEPT.set(Some(run));
    })
    .join()
    .unwrap();
    assert!(cleaned.load(SeqCst));
}

#[test]
fn a_loop_on_its_own_thread_that_is_dropped_at_once_ends_too() {
    for _ in 0..200 {
        let alive = Arc::new(());
        let theirs = alive.clone();
        let mut threaded = to_smol_with(move || co! { let _theirs = theirs; yield forever(); });
        assert!(block_on(poll_once(&mut threaded)).is_pending());
        drop(threaded);
        assert_eq!(Arc::strong_count(&alive), 1);
    }
}

#[test]
fn errors_with_their_traces_and_panics_come_back_from_a_loops_own_thread() {
    let error = block_on(to_smol_with(|| co! { yield co! { Err("over there")?; }.named("inner"); })).unwrap_err();
    assert_eq!(error.to_string(), "over there");
    assert_eq!(names(error.error()), ["co!", "inner"]);
    let panicking = to_smol_with(|| -> Coro<()> {
        co! { yield; panic!("over there") }
    });
    assert_eq!(panic_of(|| block_on(panicking)), "over there");
    let building = to_smol_with(|| -> Coro<()> { panic!("while it was built") });
    assert_eq!(panic_of(|| block_on(building)), "while it was built");
}

#[test]
fn a_deadlock_on_a_loops_own_thread_is_found() {
    let stuck = to_smol_with(|| from_smol(std::future::pending::<()>()));
    assert!(block_on(stuck).unwrap_err().error().downcast_ref::<Deadlock>().is_some());
}

#[test]
fn loops_on_their_own_threads_may_wait_for_each_other_however_many() {
    // More of them than a pool for blocking work has threads.
    const MANY: usize = 600;
    let (senders, mut receivers): (Vec<_>, Vec<_>) = (0..MANY).map(|_| smol::channel::bounded::<usize>(1)).unzip();
    let first = senders[0].clone();
    let last = receivers.pop().unwrap();
    let links = senders.into_iter().skip(1).zip(receivers).map(|(next, before)| {
        smol::spawn(to_smol_with(move || {
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

// Both.

#[test]
fn a_failing_isolate_in_a_hosted_loop_is_a_value() {
    let main = co! {
        let failed = yield isolate(co! { from_smol(ready(())).yield; Err("inside")?; });
        let late = yield timeout(sleep(FOREVER), ms(1));
        (failed.unwrap_err().to_string(), late)
    };
    assert_eq!(block_on(to_smol(main)).unwrap(), ("inside".to_string(), Err(TimedOut)));
}

#[test]
fn a_remote_event_set_on_another_thread_wakes_a_hosted_loop() {
    let event = Event::new();
    let remote = event.remote();
    let waits = co! { yield event.wait(); 5 };
    let setter = smol::unblock(move || remote.set());
    assert_eq!(block_on(smol::future::zip(to_smol(waits), setter)).0.unwrap(), 5);
}

#[test]
fn what_a_host_sets_wakes_a_hosted_loop_that_sleeps_once() {
    let event = Event::new();
    let (wakes, waker) = Wakes::new();
    let waits = || {
        let event = event.clone();
        co! { yield event.wait(); }
    };
    let mut hosted = to_smol((0..100).map(|_| waits()).collect::<Vec<_>>());
    assert!(Pin::new(&mut hosted).poll(&mut Context::from_waker(&waker)).is_pending());
    assert_eq!(wakes.get(), 0);
    event.set();
    event.set();
    assert_eq!(wakes.get(), 1);
    assert!(Pin::new(&mut hosted).poll(&mut Context::from_waker(&waker)).is_ready());
    assert_eq!(wakes.get(), 1);
}
