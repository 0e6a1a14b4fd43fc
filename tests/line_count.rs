//! Runs the example `line_count` as a function, and compares its counts with those of `wc -lwc`.
#![feature(coroutines)]

#[path = "../examples/line_count/app/mod.rs"]
mod app;

use std::cell::RefCell;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};

use app::count::{Counts, Locale, count};

/// The result of a run of the program.
struct Output {
    code: u8,
    out: String,
    err: String,
}

/// A stream in memory.
#[derive(Clone, Default)]
struct Buffer(Rc<RefCell<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Buffer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.borrow()).into_owned()
    }
}

fn line_count<A: Into<OsString>>(arguments: impl IntoIterator<Item = A>, terminal: bool) -> Output {
    let (out, err) = (Buffer::default(), Buffer::default());
    let arguments = arguments.into_iter().map(Into::into);
    let code = app::main(arguments, Box::new(out.clone()), Box::new(err.clone()), terminal);
    Output { code, out: out.text(), err: err.text() }
}

/// A temporary directory, removed when it is dropped.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Directory {
        static NEXT_ID: AtomicUsize = AtomicUsize::new(0);
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("tinyield-line-count-{}-{id}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The three numbers of the row for `name`.
fn row(out: &str, name: &str) -> Option<[u64; 3]> {
    out.lines().find_map(|line| {
        let line = line.trim_start();
        let mut rest = line;
        let mut numbers = [0; 3];
        for number in &mut numbers {
            let (first, others) = rest.split_once(' ')?;
            *number = first.parse().ok()?;
            rest = others.trim_start();
        }
        (rest == name).then_some(numbers)
    })
}

/// The counts of `wc -lwc` in the locale of this process. `None` on systems without `wc`.
fn wc(file: &Path) -> Option<[u64; 3]> {
    let output = Command::new("wc").arg("-lwc").arg(file).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut numbers = text.split_whitespace().map_while(|number| number.parse().ok());
    Some([numbers.next()?, numbers.next()?, numbers.next()?])
}

/// Whether this `wc` counts words of unprintable characters, as newer versions do.
fn wc_counts_unprintable_words(directory: &Directory) -> bool {
    wc(&directory.write("unprintable", "\x7f")).is_some_and(|[_, words, _]| words == 1)
}

fn list_files(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { list_files(&path, files) } else { files.push(path) }
    }
}

/// Compares the total of `directory` with the counts of `wc` for all its files, joined into one.
fn assert_same_as_wc(directory: &Path) {
    let mut files = Vec::new();
    list_files(directory, &mut files);
    // A newline after each file, so that no word continues in the next file. It is subtracted from the counts below.
    let all = Directory::new();
    let mut text = Vec::new();
    for file in &files {
        text.extend(fs::read(file).unwrap());
        text.push(b'\n');
    }
    let Some([lines, mut words, bytes]) = wc(&all.write("all", text)) else { return };
    let separators = files.len() as u64;

    let output = line_count([directory], false);
    assert_eq!(output.code, 0, "{}", output.err);
    let total = row(&output.out, "total").unwrap();
    if wc_counts_unprintable_words(&all) {
        assert!(total[1] <= words);
        words = total[1];
    }
    assert_eq!(total, [lines - separators, words, bytes - separators], "{directory:?}");
    assert_eq!(output.out.lines().count(), files.len() + 1);
    let summary = format!("{} files, {} bytes, ", files.len(), bytes - separators);
    assert!(output.err.starts_with(&summary), "{}", output.err);
}

#[test]
fn the_counts_of_this_crate_equal_those_of_wc() {
    for directory in ["src", "tests", "examples"] {
        assert_same_as_wc(&Path::new(env!("CARGO_MANIFEST_DIR")).join(directory));
    }
}

#[test]
fn the_counts_of_ten_thousand_small_files_equal_those_of_wc() {
    let directory = Directory::new();
    for n in 0..10_000_usize {
        let text = match n % 5 {
            0 => String::new(),
            1 => "no newline at the end".to_string(),
            2 => " \t\r\n".repeat(n % 7),
            3 => "Grüße — überall\u{2003}ein Wort\n".repeat(n % 11),
            _ => format!("{n} words\nof a small\x0bfile\n\n").repeat(n % 13),
        };
        directory.write(&format!("{}/{n}.txt", n % 100), text);
    }
    assert_same_as_wc(&directory.0);
}

fn words(bytes: &[u8], locale: Locale) -> u64 {
    count(bytes, locale).unwrap().words
}

#[test]
fn words_in_ascii_are_separated_by_white_space() {
    for locale in [Locale::C, Locale::Utf8] {
        assert_eq!(words(b"", locale), 0);
        assert_eq!(words(b" \t\n\x0b\x0c\r", locale), 0);
        assert_eq!(words(b"a\x0bb\x0cc\rd", locale), 4);
        assert_eq!(words(b"one", locale), 1);
        assert_eq!(words(b" two words ", locale), 2);
    }
}

#[test]
fn a_word_in_a_binary_file_needs_a_printable_character() {
    for locale in [Locale::C, Locale::Utf8] {
        assert_eq!(words(b"\x01\x02 \x00 \x7f a", locale), 1);
        assert_eq!(words(b"\xff\xfe b\xff\xffc", locale), 1);
        // An incomplete character.
        assert_eq!(words(b"a\xe2\x80 b\xe2\x80", locale), 2);
    }
}

#[test]
fn words_outside_ascii_depend_on_the_locale() {
    for (text, c, utf8) in [
        ("a\u{2003}b", 1, 2),
        ("a\u{a0}b", 1, 2),
        ("a\u{2060}b", 1, 2),
        // Not white space: a control character and an unprintable character.
        ("a\u{85}b", 1, 1),
        ("a\u{2028}b", 1, 1),
        ("\u{85} \u{2028}", 0, 0),
        // Printable only in UTF-8.
        ("— 😀", 0, 2),
        ("é \u{301} \u{200b} \u{e000}", 0, 4),
        // Not an assigned character.
        ("\u{378}", 0, 0),
    ] {
        assert_eq!(words(text.as_bytes(), Locale::C), c, "{text:?} in C");
        assert_eq!(words(text.as_bytes(), Locale::Utf8), utf8, "{text:?} in UTF-8");
    }
}

/// A reader that returns at most a given number of bytes per call.
struct ShortReads<'a>(&'a [u8], usize);

impl Read for ShortReads<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.1.min(self.0.len()).min(buffer.len());
        let (now, later) = self.0.split_at(length);
        buffer[..length].copy_from_slice(now);
        self.0 = later;
        Ok(length)
    }
}

#[test]
fn the_counts_do_not_depend_on_the_length_of_the_reads() {
    let mut text = "wörd — \u{2003}x\u{a0}y 😀\n\n".repeat(3000).into_bytes();
    text.extend(b"\xff \xe2\x80 \xf0\x9f\x98");
    for locale in [Locale::C, Locale::Utf8] {
        let whole = count(&*text, locale).unwrap();
        for length in [1, 2, 3, 5, 7, 1000] {
            assert_eq!(count(ShortReads(&text, length), locale).unwrap(), whole, "{length} bytes at a time");
        }
    }
    let expected = Counts { lines: 6000, words: 3000 * 5, bytes: text.len() as u64 };
    assert_eq!(count(&*text, Locale::Utf8).unwrap(), expected);
}

#[test]
fn an_unreadable_file_is_reported_and_the_others_are_counted() {
    let directory = Directory::new();
    let good = directory.write("good", "two words\n");
    let missing = directory.0.join("missing");
    let output = line_count([&missing, &good], false);
    assert_eq!(output.code, 1);
    assert_eq!(row(&output.out, &good.display().to_string()), Some([1, 2, 10]));
    assert_eq!(row(&output.out, "total"), Some([1, 2, 10]));
    let expected = format!("line_count: {}: ", missing.display());
    assert!(output.err.starts_with(&expected), "{}", output.err);
    assert!(output.err.lines().next().unwrap().len() > expected.len(), "no cause: {}", output.err);
    assert!(
        output.err.contains("1 file, 10 bytes, ") && output.err.ends_with("; 1 could not be read\n"),
        "{}",
        output.err
    );
}

#[cfg(unix)]
#[test]
fn links_inside_a_directory_are_not_followed() {
    use std::os::unix::fs::symlink;

    let directory = Directory::new();
    directory.write("inner/file", "x\n");
    symlink(".", directory.0.join("inner/loop")).unwrap();
    symlink("nowhere", directory.0.join("dangling")).unwrap();
    let link = directory.0.join("link");
    symlink("inner/file", &link).unwrap();
    let output = line_count([&directory.0], false);
    assert_eq!((output.code, row(&output.out, "total")), (0, Some([1, 1, 2])), "{}", output.err);
    // A link that is an argument is followed.
    let output = line_count([&link], false);
    assert_eq!((output.code, row(&output.out, "total")), (0, Some([1, 1, 2])), "{}", output.err);
}

#[test]
fn wrong_arguments_are_reported_with_the_usage() {
    let none: [&str; 0] = [];
    for (arguments, message) in [
        (&none[..], "no files: name at least one"),
        (&["--frobnicate", "x"], "unknown option `--frobnicate`"),
        (&["--jobs"], "`--jobs` needs a number"),
        (&["--jobs", "0", "x"], "a number from 1 to 1000, not `0`"),
        (&["-j", "many", "x"], "not `many`"),
        (&["-"], "standard input is not supported"),
        (&[""], "a path is empty"),
    ] {
        let output = line_count(arguments, false);
        assert_eq!((output.code, output.out.as_str()), (2, ""));
        assert!(
            output.err.contains(message) && output.err.contains("Usage: line_count"),
            "{arguments:?}: {}",
            output.err
        );
    }
    let output = line_count(["--help"], false);
    assert_eq!((output.code, output.err.as_str()), (0, ""));
    assert!(output.out.starts_with("Usage: line_count"));
    // After `--`, every argument is a path.
    assert_eq!(line_count(["--", "--help"], false).code, 1);
}

#[test]
fn the_progress_line_is_drawn_only_on_a_terminal() {
    let directory = Directory::new();
    // Long enough for the progress line to be drawn on most machines.
    directory.write("long", "some words\n".repeat(3_000_000));
    directory.write("short", "x\n");
    let output = line_count([&directory.0], true);
    assert_eq!((output.code, row(&output.out, "total")), (0, Some([3_000_001, 6_000_001, 33_000_002])));
    // Each progress line is cleared again, no matter how many were drawn.
    assert_eq!(output.err.matches(" of 2 files, ").count(), output.err.matches("\r\x1b[K").count(), "{:?}", output.err);
    assert!(output.err.ends_with(" s\n"));
    let output = line_count([&directory.0], false);
    assert!(!output.err.contains('\r') && output.err.lines().count() == 1, "{:?}", output.err);
}

#[test]
fn the_program_ends_when_its_output_cannot_be_written() {
    struct Full(io::ErrorKind);
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let directory = Directory::new();
    let path = directory.write("file", "x\n");
    let run = |kind| {
        let err = Buffer::default();
        let code = app::main([path.clone().into()], Box::new(Full(kind)), Box::new(err.clone()), false);
        (code, err.text())
    };
    assert_eq!(run(io::ErrorKind::BrokenPipe), (0, String::new()));
    assert_eq!(run(io::ErrorKind::StorageFull), (1, "line_count: no storage space\n".to_string()));
}

#[test]
fn the_total_does_not_depend_on_the_number_of_jobs() {
    let directory = Directory::new();
    for n in 0..50 {
        directory.write(&n.to_string(), "a b\n".repeat(n));
    }
    for jobs in ["1", "2", "49", "1000"] {
        let output = line_count([OsString::from("--jobs"), jobs.into(), directory.0.clone().into()], false);
        assert_eq!((output.code, row(&output.out, "total")), (0, Some([1225, 2450, 4900])), "{jobs} jobs");
    }
}
