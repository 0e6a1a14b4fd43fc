//! Counts lines, words and bytes, as `wc -lwc` does, of files and of all files in directories.
//!
//! The main coroutine starts a few workers, which take files from one queue. Each file is read on a thread. The queue and
//! the report are plain `Rc<RefCell<_>>`: all coroutines live on one thread, so no lock is needed.
#![feature(coroutines)]

mod app;

use std::io::{self, IsTerminal};
use std::process::ExitCode;

fn main() -> ExitCode {
    let terminal = io::stderr().is_terminal();
    let arguments = std::env::args_os().skip(1);
    ExitCode::from(app::main(arguments, Box::new(io::stdout()), Box::new(io::stderr()), terminal))
}
