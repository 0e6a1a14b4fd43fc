//! Ctrl-C stops the loop; coroutines clean up, and the program exits with 130, as programs do that a signal has stopped.
//!
//! With `--self-test` it sends itself the signal.
#![feature(coroutines)]

use std::io;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tinyield::{Coro, Loop, catch, coro, run_in_thread, shield, sleep, spawn};

/// What a shell reports of a program that SIGINT has ended.
const INTERRUPTED: u8 = 130;

/// A coroutine that ends at once: its destructors do all that there is to do.
#[coro]
fn download(number: u32) -> Coro<()> {
    struct PartialFile(u32);
    impl Drop for PartialFile {
        fn drop(&mut self) {
            println!("download {}: removed the partial file", self.0);
        }
    }
    let _file = PartialFile(number);
    println!("download {number}: started");
    yield sleep(Duration::from_secs(3600));
}

/// One that has to wait for its cleaning up.
#[coro]
fn connection() -> Coro<()> {
    println!("connection: open");
    if let Err(cancelled) = yield catch(sleep(Duration::from_secs(3600))) {
        println!("connection: {cancelled}; saying goodbye ..");
        yield shield(sleep(Duration::from_millis(200)));
        println!("connection: closed");
        Err(cancelled)?;
    }
}

#[coro]
fn app(self_test: bool) -> Coro<()> {
    yield spawn((download(1), download(2), connection()));
    if self_test {
        yield; // the others start first
        yield run_in_thread(interrupt_myself).raise();
    } else {
        println!("press Ctrl-C");
    }
}

fn interrupt_myself() -> io::Result<()> {
    let status = Command::new("kill").args(["-INT", &std::process::id().to_string()]).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other("`kill` has failed")) }
}

fn main() -> ExitCode {
    let self_test = std::env::args().skip(1).any(|argument| argument == "--self-test");
    let mut event_loop = Loop::new();
    let handle = event_loop.stop_handle();
    let asked_before = AtomicBool::new(false);
    let installed = ctrlc::set_handler(move || {
        if asked_before.swap(true, Ordering::Relaxed) {
            // Whoever asks twice does not want to wait.
            std::process::exit(INTERRUPTED.into());
        }
        handle.stop();
    });
    if let Err(error) = installed {
        eprintln!("ctrl_c: Ctrl-C cannot be caught: {error}");
        return ExitCode::FAILURE;
    }
    match event_loop.run(app(self_test)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is_stopped() => {
            println!("stopped");
            ExitCode::from(INTERRUPTED)
        }
        Err(error) => {
            eprintln!("ctrl_c: {error:?}");
            ExitCode::FAILURE
        }
    }
}
