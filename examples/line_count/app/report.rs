//! The output: rows on the standard output; errors, progress and the summary on the standard error stream.

use std::cell::RefCell;
use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

use super::count::Counts;

pub struct Report(RefCell<State>);

struct State {
    out: Box<dyn Write>,
    err: Box<dyn Write>,
    terminal: bool,
    /// A progress line is on the terminal and has to be cleared before other output.
    has_progress_line: bool,
    start: Instant,
    expected: usize,
    total: Counts,
    read: usize,
    failed: usize,
}

impl Report {
    pub fn new(out: Box<dyn Write>, err: Box<dyn Write>, terminal: bool) -> Report {
        Report(RefCell::new(State {
            out,
            err,
            terminal,
            has_progress_line: false,
            start: Instant::now(),
            expected: 0,
            total: Counts::default(),
            read: 0,
            failed: 0,
        }))
    }

    pub fn is_terminal(&self) -> bool {
        self.0.borrow().terminal
    }

    pub fn has_failures(&self) -> bool {
        self.0.borrow().failed > 0
    }

    /// Sets the number of files, for the progress line.
    pub fn set_expected(&self, files: usize) {
        self.0.borrow_mut().expected = files;
    }

    /// Reports the result for one file.
    pub fn add_file(&self, path: &Path, counts: io::Result<Counts>) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        state.clear_progress()?;
        match counts {
            Ok(counts) => {
                state.read += 1;
                state.total += counts;
                // As raw bytes, because a path need not be Unicode.
                state.write_row(counts, path.as_os_str().as_encoded_bytes())
            }
            Err(error) => {
                state.failed += 1;
                writeln!(state.err, "line_count: {}: {error}", path.display())
            }
        }
    }

    /// Draws the progress line.
    pub fn show_progress(&self) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        state.clear_progress()?;
        let (done, expected, bytes) = (state.read + state.failed, state.expected, state.total.bytes);
        write!(state.err, "{done} of {expected} files, {bytes} bytes")?;
        state.has_progress_line = true;
        state.err.flush()
    }

    /// Prints the total and the summary.
    pub fn finish(&self) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        state.clear_progress()?;
        let total = state.total;
        state.write_row(total, b"total")?;
        state.out.flush()?;
        let (read, failed, seconds) = (state.read, state.failed, state.start.elapsed().as_secs_f64());
        let files = if read == 1 { "file" } else { "files" };
        write!(state.err, "{read} {files}, {} bytes, {seconds:.3} s", total.bytes)?;
        if failed > 0 {
            write!(state.err, "; {failed} could not be read")?;
        }
        writeln!(state.err)
    }

    /// Prints the error that ended the program.
    pub fn print_error(&self, error: &dyn Display) {
        let mut state = self.0.borrow_mut();
        // If even this message cannot be written, only the exit code reports the error.
        let _ = state.clear_progress().and_then(|()| writeln!(state.err, "line_count: {error}"));
    }
}

impl State {
    fn clear_progress(&mut self) -> io::Result<()> {
        if self.has_progress_line {
            self.has_progress_line = false;
            self.err.write_all(b"\r\x1b[K")?;
            self.err.flush()?;
        }
        Ok(())
    }

    fn write_row(&mut self, counts: Counts, name: &[u8]) -> io::Result<()> {
        let Counts { lines, words, bytes } = counts;
        let mut row = format!("{lines:>8} {words:>8} {bytes:>10} ").into_bytes();
        row.extend_from_slice(name);
        row.push(b'\n');
        // In one call, so that rows stay whole if another program writes to the same terminal.
        self.out.write_all(&row)
    }
}
