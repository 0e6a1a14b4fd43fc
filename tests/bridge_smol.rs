//! Loops inside smol programs, and smol's futures inside loops.
#![feature(coroutines)]
#![cfg(feature = "smol")]

mod common;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::Poll;
use std::thread;
use std::time::Instant;

use common::{Counter, Gate, LONG, ms, names, panic_of};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::{TcpListener, TcpStream};
use smol::{Timer, block_on};
use tinyield::bridge::ToSmol;
use tinyield::{Coro, Loop, catch, co, coro, from_smol, shield, sleep, spawn, timeout, to_smol};

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
fn a_panic_in_a_smol_future_comes_out_of_run() {
    let main = from_smol(async {
        Timer::after(ms(1)).await;
        panic!("in smol");
    });
    assert_eq!(panic_of(|| Loop::new().run(main)), "in smol");
}

// tinyield inside smol: what holds in every host is in `bridges.rs`.

#[test]
fn a_loop_that_a_thread_kept_cleans_up_when_the_thread_ends() {
    thread_local!(static KEPT: RefCell<Option<Pin<Box<ToSmol<()>>>>> = const { RefCell::new(None) });
    let cleaned = Arc::new(AtomicBool::new(false));
    let theirs = cleaned.clone();
    thread::spawn(move || {
        // The thread-local values of smol are first used after this one, so they are dropped before it.
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
