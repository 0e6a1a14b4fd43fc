//! Counts like `wc` of GNU coreutils 9.1.
//!
//! A line is a newline character. A word is text between white space with at least one printable character. The locale
//! defines which characters are printable. Newer versions of `wc` also count words of unprintable characters, which makes
//! a difference only in binary files.

use std::env;
use std::io::{self, Read};
use std::ops::AddAssign;

use tinyield::thread;
use unicode_general_category::{GeneralCategory, get_general_category};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub lines: u64,
    pub words: u64,
    pub bytes: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.lines += other.lines;
        self.words += other.words;
        self.bytes += other.bytes;
    }
}

/// The encoding of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locale {
    /// ASCII. No other byte is printable.
    C,
    Utf8,
}

impl Locale {
    /// The user's locale, from the same environment variables that `wc` reads.
    pub fn from_environment() -> Locale {
        let set = |name| env::var(name).ok().filter(|value| !value.is_empty());
        let name = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default().to_ascii_lowercase();
        if name.contains("utf-8") || name.contains("utf8") { Locale::Utf8 } else { Locale::C }
    }
}

/// Counts the content of `file`.
pub fn count(mut file: impl Read, locale: Locale) -> io::Result<Counts> {
    let mut counts = Counts::default();
    let mut in_word = false;
    let mut buffer = [0; 32 * 1024];
    // The length of an incomplete character at the start of the buffer.
    let mut kept = 0;
    loop {
        // Stops early in a long file if the coroutine that waits for it was cancelled.
        thread::checkpoint().map_err(io::Error::other)?;
        let read = match file.read(&mut buffer[kept..]) {
            // An incomplete character at the end of the file is not printable, so it starts no word.
            Ok(0) => return Ok(counts),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        counts.bytes += read as u64;
        counts.lines += newlines(&buffer[kept..kept + read]);
        let filled = kept + read;
        let (words, used) = words(&buffer[..filled], locale, &mut in_word);
        counts.words += words;
        buffer.copy_within(used..filled, 0);
        kept = filled - used;
    }
}

fn newlines(bytes: &[u8]) -> u64 {
    // The blocks are so short that a `u8` can count their lines. So the compiler can vectorize the sum.
    bytes.chunks(255).map(|block| u64::from(block.iter().map(|&byte| u8::from(byte == b'\n')).sum::<u8>())).sum()
}

/// Returns the number of words that start in `bytes`, and the number of bytes read: all but an incomplete character.
fn words(bytes: &[u8], locale: Locale, in_word: &mut bool) -> (u64, usize) {
    let mut words = 0;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let (kind, length) = match (byte, locale) {
            (b'\t'..=b'\r' | b' ', _) => (Kind::Space, 1),
            (b'!'..=b'~', _) => (Kind::Printable, 1),
            (0..0x80, _) | (_, Locale::C) => (Kind::Other, 1),
            (_, Locale::Utf8) => match first_char(&bytes[at..]) {
                FirstChar::Is(character) => (kind(character, *in_word), character.len_utf8()),
                FirstChar::Invalid => (Kind::Other, 1),
                FirstChar::Incomplete => break,
            },
        };
        match kind {
            Kind::Space => *in_word = false,
            Kind::Printable => {
                words += u64::from(!*in_word);
                *in_word = true;
            }
            Kind::Other => {}
        }
        at += length;
    }
    (words, at)
}

/// The effect of a character on words.
enum Kind {
    /// Ends a word.
    Space,
    /// Starts a word.
    Printable,
    /// Neither starts nor ends a word.
    Other,
}

fn kind(character: char, in_word: bool) -> Kind {
    match character {
        // White space in Unicode, but `wc` ignores them because they are not printable.
        '\u{85}' | '\u{2028}' | '\u{2029}' => Kind::Other,
        // Not white space in Unicode, but `wc` treats it as a non-breaking space.
        '\u{2060}' => Kind::Space,
        _ if character.is_whitespace() => Kind::Space,
        // Inside a word, it makes no difference whether a character is printable, and this check is slow.
        _ if in_word || is_printable(character) => Kind::Printable,
        _ => Kind::Other,
    }
}

/// Whether `character` is printable, as `iswprint` of the C library defines it.
fn is_printable(character: char) -> bool {
    use GeneralCategory::{Control, LineSeparator, ParagraphSeparator, Surrogate, Unassigned};
    !matches!(get_general_category(character), Unassigned | Control | Surrogate | LineSeparator | ParagraphSeparator)
}

enum FirstChar {
    Is(char),
    Invalid,
    Incomplete,
}

fn first_char(bytes: &[u8]) -> FirstChar {
    let bytes = &bytes[..bytes.len().min(4)];
    let (valid, invalid) = match std::str::from_utf8(bytes) {
        Ok(text) => (text, FirstChar::Invalid),
        Err(error) => {
            let invalid = if error.error_len().is_none() { FirstChar::Incomplete } else { FirstChar::Invalid };
            (std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(), invalid)
        }
    };
    valid.chars().next().map_or(invalid, FirstChar::Is)
}
