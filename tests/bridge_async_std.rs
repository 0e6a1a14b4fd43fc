//! Loops inside async-std programs, and async-std's futures inside loops.
#![feature(coroutines)]
#![cfg(feature = "async-std")]

mod common;

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::thread;
use std::time::Instant;

use async_std::io::{ReadExt, WriteExt};
use async_std::net::{TcpListener, TcpStream};
use async_std::task;
use common::{Counter, Gate, LONG, OnDrop, forever, ms, names, panic_of};
use tinyield::{
    Coro, Loop, LoopError, catch, co, coro, from_async_std, from_async_std_with, race, shield, sleep, spawn, timeout,
    to_async_std, to_async_std_with,
};

async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_fn(|context| Poll::Ready(Pin::new(&mut *future).poll(context))).await
}

// async-std inside tinyield.

async fn add_one(x: i32) -> i32 {
    task::sleep(ms(1)).await;
    x + 1
}

async fn add_two(x: i32) -> i32 {
    add_one(add_one(x).await).await
}

#[test]
fn an_async_std_future_gives_its_output_to_a_coroutine() {
    assert_eq!(Loop::new().run(from_async_std(add_two(3))).unwrap(), 5);
}

#[test]
fn an_async_std_future_runs_next_to_coroutines_and_may_be_shared() {
    #[coro]
    fn g(x: i32) -> Coro<i32> {
        for _ in 0..20 {
            yield;
        }
        x + 10
    }
    #[coro]
    fn h(x: i32) -> Coro<i32> {
        let f = from_async_std(add_two(3)).shared();
        let (a, b) = yield (&f, g(x));
        let a2 = yield f;
        a + a2 + b
    }
    assert_eq!(Loop::new().run(h(3)).unwrap(), 23);
}

#[test]
fn an_error_in_an_async_std_future_stops_the_loop() {
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
        yield from_async_std(async {
            task::sleep(ms(1)).await;
            gate.await;
            Err::<(), _>(io::Error::other("async-std's error"))
        }).raise();
    };
    let error = Loop::new().run(main).unwrap_err();
    assert_eq!(error.error().downcast_ref::<io::Error>().unwrap().to_string(), "async-std's error");
    assert_eq!(names(error.error()), ["co!", "from_async_std"]);
    assert_eq!(ended.get(), 1);
}

#[test]
fn an_error_in_a_coroutine_drops_the_async_std_future_on_its_thread_before_run_returns() {
    let gate = Gate::new();
    let opener = gate.clone();
    let threads = Arc::new(Mutex::new(Vec::new()));
    let seen = threads.clone();
    let slow = async move {
        seen.lock().unwrap().push(thread::current().id());
        let _dropped = OnDrop(move || seen.lock().unwrap().push(thread::current().id()));
        opener.open();
        loop {
            task::sleep(ms(1)).await;
        }
    };
    let failing = co! { gate.await; Err("tinyield's error")?; };
    let main = co! { let _: ((), ()) = yield (from_async_std(slow), failing); };
    let error = Loop::new().run(main).unwrap_err();
    assert_eq!(error.to_string(), "tinyield's error");
    assert!(error.others().is_empty());
    let threads = threads.lock().unwrap();
    assert_eq!(threads.len(), 2);
    assert_eq!(threads[0], threads[1]);
    assert_ne!(threads[0], thread::current().id());
}

#[test]
fn a_future_that_waits_for_ever_is_cancelled_at_once() {
    let begun = Gate::new();
    let opener = begun.clone();
    let for_ever = from_async_std(async move {
        opener.open();
        pending::<()>().await;
    });
    let winner = co! { yield race([for_ever, co! { begun.await; }]) };
    let start = Instant::now();
    Loop::new().run(winner).unwrap();
    assert!(start.elapsed() < LONG / 2);
}

#[test]
fn a_future_that_is_not_send_is_built_and_stays_on_its_thread() {
    let here = thread::current().id();
    let not_send = from_async_std_with(move || {
        let built_on = thread::current().id();
        assert_ne!(built_on, here);
        let not_send = Rc::new(Cell::new(0));
        async move {
            for _ in 0..5 {
                task::sleep(ms(1)).await;
                assert_eq!(thread::current().id(), built_on);
                not_send.set(not_send.get() + 1);
            }
            not_send.get()
        }
    });
    assert_eq!(Loop::new().run(not_send).unwrap(), 5);
}

#[test]
fn an_error_value_is_the_output_and_a_cancelled_future_gives_none() {
    let failing = from_async_std(async { Err::<(), _>("a value") });
    assert_eq!(Loop::new().run(failing).unwrap(), Err("a value"));
    // A cancelled future gives no output: it is dropped where it waits.
    let begun = Gate::new();
    let opener = begun.clone();
    let never = from_async_std(async move {
        opener.open();
        pending::<()>().await;
        Err::<(), _>("never")
    });
    let main = co! { yield (never.raise(), co! { begun.await; Err("first")?; }); };
    let error = Loop::new().run(main).unwrap_err();
    assert_eq!((error.to_string(), error.others().len()), ("first".to_string(), 0));
}

#[test]
fn a_panic_in_an_async_std_future_comes_out_of_run_with_its_own_payload() {
    let main = from_async_std(async {
        task::sleep(ms(1)).await;
        std::panic::panic_any(9_u8);
    });
    let payload = catch_unwind(AssertUnwindSafe(|| Loop::new().run(main))).unwrap_err();
    assert_eq!(payload.downcast_ref::<u8>(), Some(&9));
    let building = from_async_std_with(|| -> std::future::Ready<()> { panic!("while it was built") });
    assert_eq!(panic_of(|| Loop::new().run(building)), "while it was built");
}

#[test]
fn after_a_panic_async_stds_executor_runs_the_next_future_of_that_thread() {
    let panicking = from_async_std(async { std::panic::panic_any(thread::current().id()) });
    let payload = catch_unwind(AssertUnwindSafe(|| Loop::new().run(co! { yield panicking; }))).unwrap_err();
    let panicked = *payload.downcast_ref::<thread::ThreadId>().unwrap();
    let next = || {
        Loop::new().run(from_async_std_with(|| async {
            // Like `task::spawn_local`, which needs the feature `unstable` of async-std.
            let local = async_global_executor::spawn_local(async { thread::current().id() });
            async_std::future::timeout(LONG, local).await.expect("the executor runs")
        }))
    };
    // Threads of other tests may be alive, too.
    (0..1_000).find(|_| next().unwrap() == panicked).expect("it was kept");
}

#[test]
fn a_panic_in_the_destructor_of_a_future_comes_out_of_run() {
    let begun = Gate::new();
    let opener = begun.clone();
    let future = async move {
        let _dropped = OnDrop(|| panic!("in the destructor"));
        opener.open();
        pending::<()>().await;
    };
    let main = co! { yield (from_async_std(future), co! { begun.await; Err("cancels it")?; }); };
    assert_eq!(panic_of(|| Loop::new().run(main)), "in the destructor");
}

#[test]
fn sockets_work_on_both_sides() {
    let main = co! {
        // Awaited in place, on the loop's own thread.
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let server = co! {
            let (mut stream, _) = listener.accept().await?;
            let mut bytes = [0; 4];
            stream.read_exact(&mut bytes).await?;
            stream.write_all(&bytes.map(|byte| byte + 1)).await?;
        };
        // Run by async-std.
        let client = from_async_std(async move {
            let mut stream = TcpStream::connect(address).await?;
            stream.write_all(&[1, 2, 3, 4]).await?;
            let mut bytes = [0; 4];
            stream.read_exact(&mut bytes).await?;
            io::Result::Ok(bytes)
        });
        (yield (server, client.raise())).1
    };
    assert_eq!(Loop::new().run(timeout(main, LONG)).unwrap(), Ok([2, 3, 4, 5]));
}

#[test]
fn two_hundred_async_std_futures_may_wait_for_each_other() {
    const MANY: usize = 200;
    let gates: Vec<_> = (0..MANY).map(|_| Gate::new()).collect();
    let first = gates[0].clone();
    let links = gates.iter().cloned().zip(gates.iter().skip(1).cloned()).map(|(wait, next)| {
        from_async_std(async move {
            wait.await;
            next.open();
        })
    });
    let links: Vec<_> = links.collect();
    let last = gates[MANY - 1].clone();
    Loop::new().run((links, co! { first.open(); last.await; })).unwrap();
}

// tinyield inside async-std.

#[test]
fn a_loop_left_in_a_thread_local_value_is_cancelled_when_the_thread_ends() {
    type Hosted = Pin<Box<dyn Future<Output = Result<(), LoopError>>>>;
    thread_local! {
        static LEFT: RefCell<Vec<Hosted>> = const { RefCell::new(Vec::new()) };
    }
    let cleaned = Arc::new(AtomicUsize::new(0));
    let theirs = cleaned.clone();
    thread::spawn(move || {
        let gate = Gate::new();
        let opener = gate.clone();
        let main = co! {
            opener.open();
            let error = (yield catch(forever())).unwrap_err();
            yield shield(sleep(ms(1)));
            theirs.fetch_add(1, SeqCst);
            Err(error)?;
        };
        task::block_on(async {
            let mut hosted: Hosted = Box::pin(to_async_std(main));
            assert!(poll_once(&mut hosted).await.is_pending());
            LEFT.with_borrow_mut(|left| left.push(hosted));
            gate.await;
        });
    })
    .join()
    .unwrap();
    assert_eq!(cleaned.load(SeqCst), 1);
}

#[test]
fn a_loop_in_a_cancelled_async_std_task_has_ended() {
    let (gate, ended) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
    let (opener, counted) = (gate.clone(), ended.clone());
    let main = move || {
        co! {
            let _ended = OnDrop(move || { counted.fetch_add(1, SeqCst); });
            opener.open();
            yield forever();
        }
    };
    task::block_on(async {
        let spawned = task::spawn(to_async_std_with(main));
        gate.await;
        assert!(spawned.cancel().await.is_none());
        assert_eq!(ended.load(SeqCst), 1);
    });
}
