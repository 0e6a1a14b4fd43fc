//! The program as a function. Its output streams are arguments, so that tests can run it.

mod arguments;
pub mod count;
mod report;
mod walk;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use tinyield::{Coro, Loop, coro, race, run_in_thread, sleep};

use arguments::{Arguments, Command, USAGE};
use count::{Counts, Locale};
use report::Report;

/// Runs the program and returns its exit code: 0 on success, 1 if a file could not be read, 2 if the arguments are wrong.
pub fn main(
    arguments: impl IntoIterator<Item = OsString>,
    mut out: Box<dyn Write>,
    mut err: Box<dyn Write>,
    terminal: bool,
) -> u8 {
    let arguments = match arguments::parse(arguments) {
        Ok(Command::Count(arguments)) => arguments,
        Ok(Command::Help) => return u8::from(out.write_all(USAGE.as_bytes()).is_err()),
        Err(message) => {
            // If even this message cannot be written, only the exit code reports the error.
            let _ = write!(err, "line_count: {message}\n\n{USAGE}");
            return 2;
        }
    };
    let report = Rc::new(Report::new(out, err, terminal));
    match Loop::new().run(count_all(arguments, report.clone())) {
        Ok(()) => u8::from(report.has_failures()),
        // The reader has closed the pipe, as in `line_count . | head`. That is not an error.
        Err(error) if is_broken_pipe(error.error()) => 0,
        Err(error) => {
            report.print_error(&error);
            1
        }
    }
}

fn is_broken_pipe(error: &tinyield::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[coro]
fn count_all(arguments: Arguments, report: Rc<Report>) -> Coro<()> {
    let Arguments { paths, jobs } = arguments;
    let found = yield run_in_thread(move || walk::list_files(&paths));
    report.set_expected(found.len());
    let queue = Rc::new(RefCell::new(VecDeque::from(found)));
    let locale = Locale::from_environment();
    // The number of workers limits how many files are open at the same time.
    let workers: Vec<_> = (0..jobs).map(|_| worker(queue.clone(), locale, report.clone())).collect();
    if report.is_terminal() {
        // `progress` never ends by itself. The workers always win the race, which cancels it.
        yield race([all(workers), progress(report.clone())]);
    } else {
        yield workers;
    }
    report.finish()?;
}

#[coro]
fn all(workers: Vec<Coro<()>>) -> Coro<()> {
    yield workers;
}

#[coro]
fn worker(queue: Rc<RefCell<VecDeque<walk::Found>>>, locale: Locale, report: Rc<Report>) -> Coro<()> {
    loop {
        let Some(found) = queue.borrow_mut().pop_front() else { break };
        match found {
            Ok(path) => {
                let (path, counts) = yield count_file(path, locale);
                report.add_file(&path, counts)?;
            }
            Err((path, error)) => report.add_file(&path, Err(error))?,
        }
    }
}

/// Returns a read error as a value. A raised error would stop the other workers.
#[coro]
fn count_file(path: PathBuf, locale: Locale) -> Coro<(PathBuf, io::Result<Counts>)> {
    yield run_in_thread(move || {
        let counts = open(&path).and_then(|file| count::count(file, locale));
        (path, counts)
    })
}

fn open(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    // The path may have become a directory since it was listed.
    if file.metadata()?.is_dir() { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(file) }
}

#[coro]
fn progress(report: Rc<Report>) -> Coro<()> {
    loop {
        yield sleep(Duration::from_millis(100));
        report.show_progress()?;
    }
}
