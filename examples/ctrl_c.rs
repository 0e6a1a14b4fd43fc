//! Ctrl-C stops the loop. The coroutines clean up, then the program exits with 130, the exit code for SIGINT.
//!
//! With `--self-test` the program sends SIGINT to itself.
#![feature(coroutines)]

use std::io;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tinyield::{Coro, Loop, catch, coro, run_in_thread, shield, sleep, spawn};

/// The exit code that a shell reports for a program ended by SIGINT.
const INTERRUPTED: u8 = 130;

/// Cleans up in a destructor, without waiting.
#[coro]
fn download(id: u32) -> Coro<()> {
    struct PartialFile(u32);
    impl Drop for PartialFile {
        fn drop(&mut self) {
            println!("download {}: removed the partial file", self.0);
        }
    }
    let _file = PartialFile(id);
    println!("download {id}: started");
    yield sleep(Duration::from_secs(3600));
}

/// Has to wait while it cleans up.
#[coro]
fn connection() -> Coro<()> {
    println!("connection: open");
    if let Err(cancelled) = yield catch(sleep(Duration::from_secs(3600))) {
        println!("connection: {cancelled}; closing ..");
        yield shield(sleep(Duration::from_millis(200)));
        println!("connection: closed");
        Err(cancelled)?;
    }
}

#[coro]
fn app(self_test: bool) -> Coro<()> {
    yield spawn((download(1), download(2), connection()));
    if self_test {
        yield; // let the others start
        yield run_in_thread(interrupt_self).raise();
    } else {
        println!("press Ctrl-C");
    }
}

fn interrupt_self() -> io::Result<()> {
    let status = Command::new("kill").args(["-INT", &std::process::id().to_string()]).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other("`kill` failed")) }
}

fn main() -> ExitCode {
    let self_test = std::env::args().skip(1).any(|argument| argument == "--self-test");
    let mut event_loop = Loop::new();
    let handle = event_loop.stop_handle();
    let is_stopping = AtomicBool::new(false);
    let installed = ctrlc::set_handler(move || {
        if is_stopping.swap(true, Ordering::Relaxed) {
            // The second Ctrl-C exits without waiting for the cleanup.
            std::process::exit(INTERRUPTED.into());
        }
        handle.stop();
    });
    if let Err(error) = installed {
        eprintln!("ctrl_c: cannot install the Ctrl-C handler: {error}");
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
