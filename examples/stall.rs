//! A coroutine that blocks the thread. The watchdog names the two lines between which it blocks.
#![feature(coroutines)]

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tinyield::{Coro, Loop, Stall, coro, sleep};

#[coro]
fn resize(image: u32) -> Coro<()> {
    yield sleep(Duration::from_millis(10));
    if image == 2 {
        thread::sleep(Duration::from_millis(300)); // a computation that should be in `run_in_thread`
    }
    yield;
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (sender, stalls) = mpsc::channel();
    let report = move |stall: &Stall| {
        eprintln!("{stall}");
        let _ = sender.send(stall.clone());
    };
    let mut event_loop = Loop::builder().watchdog(Duration::from_millis(50), report).build();
    event_loop.run((1..=3).map(resize).collect::<Vec<_>>())?;

    // When the run is over, all stalls have been reported.
    let over = stalls.try_iter().find(|stall| stall.is_over()).expect("the stall was reported");
    let (from, to) = (over.location(), over.yielded_at().expect("it has yielded"));
    println!("`{}` held the loop up between line {} and line {}", over.name(), from.line(), to.line());
    assert!(over.duration() >= Duration::from_millis(300));
    Ok(())
}
