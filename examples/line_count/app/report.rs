//! What the user sees: rows on the standard output; what went wrong, the progress and the summary on the other one.

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
    /// The progress line is on the terminal.
    drawn: bool,
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
            drawn: false,
            start: Instant::now(),
            expected: 0,
            total: Counts::default(),
            read: 0,
            failed: 0,
        }))
    }

    pub fn shows_progress(&self) -> bool {
        self.0.borrow().terminal
    }

    pub fn has_failures(&self) -> bool {
        self.0.borrow().failed > 0
    }

    /// How many files there will be.
    pub fn expect(&self, files: usize) {
        self.0.borrow_mut().expected = files;
    }

    /// A file has been counted, or could not be.
    pub fn file(&self, path: &Path, counts: io::Result<Counts>) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        state.clear_progress()?;
        match counts {
            Ok(counts) => {
                state.read += 1;
                state.total += counts;
                // As it is, also if it is not Unicode.
                state.row(counts, path.as_os_str().as_encoded_bytes())
            }
            Err(error) => {
                state.failed += 1;
                writeln!(state.err, "line_count: {}: {error}", path.display())
            }
        }
    }

    pub fn progress(&self) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        state.clear_progress()?;
        let (done, expected, bytes) = (state.read + state.failed, state.expected, state.total.bytes);
        write!(state.err, "{done} of {expected} files, {bytes} bytes")?;
        state.drawn = true;
        state.err.flush()
    }

    pub fn finish(&self) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        state.clear_progress()?;
        let total = state.total;
        state.row(total, b"total")?;
        state.out.flush()?;
        let (read, failed, seconds) = (state.read, state.failed, state.start.elapsed().as_secs_f64());
        let files = if read == 1 { "file" } else { "files" };
        write!(state.err, "{read} {files}, {} bytes, {seconds:.3} s", total.bytes)?;
        if failed > 0 {
            write!(state.err, "; {failed} could not be read")?;
        }
        writeln!(state.err)
    }

    /// The program cannot go on.
    pub fn fatal(&self, error: &dyn Display) {
        let mut state = self.0.borrow_mut();
        // If not even this can be written, the exit code has to tell.
        let _ = state.clear_progress().and_then(|()| writeln!(state.err, "line_count: {error}"));
    }
}

impl State {
    fn clear_progress(&mut self) -> io::Result<()> {
        if self.drawn {
            self.drawn = false;
            self.err.write_all(b"\r\x1b[K")?;
            self.err.flush()?;
        }
        Ok(())
    }

    fn row(&mut self, counts: Counts, name: &[u8]) -> io::Result<()> {
        let Counts { lines, words, bytes } = counts;
        let mut row = format!("{lines:>8} {words:>8} {bytes:>10} ").into_bytes();
        row.extend_from_slice(name);
        row.push(b'\n');
        // In one piece, so that rows come whole even if others write to the same terminal.
        self.out.write_all(&row)
    }
}
