//! An error, four coroutines deep, stops a whole program: a sleeping coroutine, one that cleans up slowly, and a thread.
//!
//! `run` returns the error and the coroutines that waited on it, after everything else has ended.
#![feature(coroutines)]

use std::time::Duration;

use tinyield::{Coro, Loop, catch, co, coro, run_in_thread, shield, sleep, spawn, thread};

/// Prints its text when it is dropped.
struct Cleanup(&'static str);

impl Drop for Cleanup {
    fn drop(&mut self) {
        println!("  cleaned up: {}", self.0);
    }
}

#[coro]
fn parse(text: &'static str) -> Coro<u16> {
    yield;
    text.parse::<u16>()? // the error
}

#[coro]
fn read_settings() -> Coro<u16> {
    yield sleep(Duration::from_millis(50));
    yield parse("80eighty")
}

#[coro]
fn connect() -> Coro<u16> {
    let port = yield read_settings();
    port + 1
}

/// Sleeps for a long time.
#[coro]
fn heartbeat() -> Coro<()> {
    let _cleanup = Cleanup("heartbeat, while it slept");
    loop {
        yield sleep(Duration::from_secs(3600));
    }
}

/// Its cleanup has to wait, so it waits behind a shield.
#[coro]
fn session() -> Coro<()> {
    let _cleanup = Cleanup("session, after it said goodbye");
    if let Err(cancelled) = yield catch(sleep(Duration::from_secs(3600))) {
        yield shield(sleep(Duration::from_millis(200)));
        println!("  session says goodbye; it was {cancelled}");
        Err(cancelled)?; // raise the cancellation again
    }
}

/// Works in a thread. The loop cancels the closure and joins it.
#[coro]
fn index() -> Coro<u64> {
    let _cleanup = Cleanup("index, after its thread ended");
    yield run_in_thread(|| {
        let mut words = 0;
        while !thread::is_cancelled() {
            words += 1;
            std::thread::sleep(Duration::from_millis(1));
        }
        words
    })
}

#[coro]
fn server() -> Coro<()> {
    let _cleanup = Cleanup("server, after all others");
    yield spawn(heartbeat());
    let unused = co! { println!("this is never printed") };
    yield (connect(), session(), index());
    yield unused;
}

fn main() {
    println!("while the loop stops:");
    let error = Loop::new().run(server()).expect_err("`parse` fails");
    println!("\nthe error that `run` returned:\n{error:?}");
    assert!(error.error().downcast_ref::<std::num::ParseIntError>().is_some());
}
