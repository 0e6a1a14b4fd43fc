//! Counts the words of a large file, with one loop, and with several loops. Each loop has a thread of its own, and counts a part of the
//! file.
//!
//! `cargo run --release --example word_count -- 400 1 8` makes a file of 400 MB, and counts its words with 1 loop and with 8 loops, in
//! turn. It prints the best time of each.

#![feature(coroutines)]

use std::error::Error;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tinyield::{Coro, Loop, coro, run_in_loop};

const CHUNK: usize = 1 << 20;
const ROUNDS: usize = 5;

/// A file that is removed when this value is dropped.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Writes a text of `size` bytes. Returns the number of its words.
fn write_text(path: &Path, size: u64) -> io::Result<u64> {
    const TEXT: &[u8] = b"to be, or not to be, that is the question:\nwhether 'tis nobler in the mind to suffer\n";
    let mut out = BufWriter::new(File::create(path)?);
    for _ in 0..size / TEXT.len() as u64 {
        out.write_all(TEXT)?;
    }
    out.write_all(&TEXT[..size as usize % TEXT.len()])?;
    out.into_inner()?.sync_all()?;
    let words = |text: &[u8]| count_words(text, &mut true);
    Ok(words(TEXT) * (size / TEXT.len() as u64) + words(&TEXT[..size as usize % TEXT.len()]))
}

/// The number of words that begin in `text`. `after_space` says whether the byte before `text` is white space. Afterwards, it says this of
/// the last byte of `text`.
fn count_words(text: &[u8], after_space: &mut bool) -> u64 {
    let mut words = 0;
    for byte in text {
        let is_space = byte.is_ascii_whitespace();
        words += u64::from(*after_space && !is_space);
        *after_space = is_space;
    }
    words
}

/// Counts the words that begin between `start` and `end`.
#[coro]
fn count_part(path: PathBuf, start: u64, end: u64) -> Coro<u64> {
    let mut file = File::open(path)?;
    // The byte before `start` shows whether a word begins or continues there.
    let mut after_space = start == 0;
    if start > 0 {
        let mut before = [0];
        file.seek(SeekFrom::Start(start - 1))?;
        file.read_exact(&mut before)?;
        after_space = before[0].is_ascii_whitespace();
    }
    let mut part = file.take(end - start);
    let (mut chunk, mut words) = (vec![0; CHUNK], 0);
    loop {
        let length = part.read(&mut chunk)?;
        if length == 0 {
            return words;
        }
        words += count_words(&chunk[..length], &mut after_space);
        yield; // the loop can be stopped here
    }
}

/// Counts all words, with this number of loops.
#[coro]
fn count(path: PathBuf, size: u64, loops: u64) -> Coro<u64> {
    let parts = (0..loops).map(|part| (size * part / loops, size * (part + 1) / loops));
    let counts: Vec<_> = parts
        .map(|(start, end)| {
            let path = path.clone();
            run_in_loop(move || count_part(path, start, end))
        })
        .collect();
    (yield counts).iter().sum()
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u64>());
    let megabytes = arguments.next().unwrap_or(Ok(64))?;
    let mut loops = arguments.collect::<Result<Vec<_>, _>>()?;
    if loops.is_empty() {
        loops = vec![1, 8];
    }
    let scratch = Scratch(std::env::temp_dir().join(format!("tinyield-words-{}", std::process::id())));
    let size = megabytes * 1_000_000;
    let words = write_text(&scratch.0, size)?;
    let mut best = vec![Duration::MAX; loops.len()];
    // In turn, so that other load on the machine affects all of them.
    for _ in 0..ROUNDS {
        for (&loops, best) in loops.iter().zip(&mut best) {
            let start = Instant::now();
            let counted = Loop::new().run(count(scratch.0.clone(), size, loops))?;
            *best = start.elapsed().min(*best);
            assert_eq!(counted, words);
        }
    }
    println!("{words} words in {megabytes} MB, the best of {ROUNDS} rounds:");
    for (loops, time) in loops.iter().zip(&best) {
        println!("{loops:3} loops: {time:8.1?}, {:.2} times as fast", best[0].as_secs_f64() / time.as_secs_f64());
    }
    Ok(())
}
