//! Counts the lines, words and bytes of files and directories, like `wc -lwc`.
//!
//! The main coroutine starts a few workers, which take files from a shared queue. A thread reads each file. The queue and
//! the report are plain `Rc<RefCell<_>>`: all coroutines run on one thread, so no lock is needed.
#![feature(coroutines)]

mod app;

use std::io::{self, IsTerminal};
use std::process::ExitCode;

fn main() -> ExitCode {
    let terminal = io::stderr().is_terminal();
    let arguments = std::env::args_os().skip(1);
    ExitCode::from(app::main(arguments, Box::new(io::stdout()), Box::new(io::stderr()), terminal))
}
