//! A loop on a thread has dropped its own future, so nothing takes its result. The result is dropped on that thread when the loop has
//! ended, even if something else keeps the closure in which the loop ran.
#![feature(coroutines)]
#![cfg(feature = "smol")]

mod common;

use std::any::Any;
use std::cell::RefCell;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, Sender};
use std::task::{Context, Poll, Waker};
use std::thread::{self, ThreadId};
use std::time::Duration;

use common::OnDrop;
use tinyield::bridge::ToSmolWith;
use tinyield::{Loop, Runtime, co, sleep, to_smol_with};

type Value = Box<dyn Any + Send>;

/// Runs a loop that drops its own future, and then calls `end`, which gives the value of the loop.
fn run_without_future(end: impl FnOnce() -> Value + Send + 'static) {
    let (give, own) = mpsc::channel::<ToSmolWith<Value>>();
    let mut future = to_smol_with(move || co! { drop(own.recv().unwrap()); end() });
    assert!(poll(&mut future).is_pending());
    give.send(future).unwrap();
}

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// A future that began on this thread, and waits for a loop on another thread.
fn started_future(token: impl Send + 'static) -> ToSmolWith<()> {
    let mut future = to_smol_with(move || co! { let _token = token; yield sleep(Duration::MAX); });
    assert!(poll(&mut future).is_pending());
    future
}

/// Sends the id of the thread on which it is dropped.
fn witness() -> (OnDrop<impl FnMut() + Send>, Receiver<ThreadId>) {
    let (sender, dropped) = mpsc::channel();
    (OnDrop(move || sender.send(thread::current().id()).unwrap()), dropped)
}

fn thread_of(dropped: &Receiver<ThreadId>) -> ThreadId {
    dropped.recv_timeout(Duration::from_secs(30)).expect("it is dropped")
}

#[test]
fn value_with_a_future_that_began_in_the_loop_is_dropped() {
    let (token, dropped) = witness();
    run_without_future(move || Box::new(started_future(token)));
    thread_of(&dropped);
}

#[test]
fn panic_with_a_future_that_began_in_the_loop_is_dropped() {
    let (token, dropped) = witness();
    run_without_future(move || resume_unwind(Box::new(Mutex::new(started_future(token)))));
    thread_of(&dropped);
}

#[test]
fn value_is_dropped_on_its_thread_while_a_future_that_began_in_the_loop_lives_on() {
    let (value, dropped) = witness();
    let (give, taken): (Sender<(ThreadId, ToSmolWith<()>)>, _) = mpsc::channel();
    run_without_future(move || {
        give.send((thread::current().id(), started_future(()))).unwrap();
        Box::new(value)
    });
    let (thread_of_loop, _future) = taken.recv().unwrap();
    assert_eq!(thread_of(&dropped), thread_of_loop);
}

#[test]
fn value_is_dropped_while_a_thread_local_keeps_a_run_that_began_in_the_loop() {
    thread_local! { static KEPT: RefCell<Option<Runtime<'static, ()>>> = const { RefCell::new(None) }; }

    let (value, dropped) = witness();
    run_without_future(move || {
        KEPT.set(Some(Loop::new().into_runtime(co! { yield sleep(Duration::MAX); })));
        Box::new(value)
    });
    thread_of(&dropped);
}
