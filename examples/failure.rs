//! An error four coroutines deep stops everything: others that wait, one that cleans up slowly, and a thread at work.
//!
//! Then `run` returns, with the error and the coroutines that waited on it; nothing is left running.
#![feature(coroutines)]

use std::time::Duration;

use tinyield::{Coro, Loop, catch, co, coro, run_in_thread, shield, sleep, spawn, thread};

/// Says so when it is cleaned up.
struct Tidy(&'static str);

impl Drop for Tidy {
    fn drop(&mut self) {
        println!("  cleaned up: {}", self.0);
    }
}

#[coro]
fn parse(text: &'static str) -> Coro<u16> {
    yield;
    text.parse::<u16>()? // this is what fails
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

/// Waits for something that takes long.
#[coro]
fn heartbeat() -> Coro<()> {
    let _tidy = Tidy("the heartbeat, which was asleep");
    loop {
        yield sleep(Duration::from_secs(3600));
    }
}

/// Has to wait even for cleaning up.
#[coro]
fn session() -> Coro<()> {
    let _tidy = Tidy("the session, after saying goodbye");
    if let Err(cancelled) = yield catch(sleep(Duration::from_secs(3600))) {
        yield shield(sleep(Duration::from_millis(200)));
        println!("  the session says goodbye; it was {cancelled}");
        Err(cancelled)?; // goes on stopping
    }
}

/// Works in a thread, which is told to stop, and waited for.
#[coro]
fn index() -> Coro<u64> {
    let _tidy = Tidy("the index, whose thread has ended");
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
    let _tidy = Tidy("the server, last of all");
    yield spawn(heartbeat());
    let unused = co! { println!("this is never printed") };
    yield (connect(), session(), index());
    yield unused;
}

fn main() {
    println!("while it stops:");
    let error = Loop::new().run(server()).expect_err("`parse` fails");
    println!("\nwhat `run` returned:\n{error:?}");
    assert!(error.error().downcast_ref::<std::num::ParseIntError>().is_some());
}
