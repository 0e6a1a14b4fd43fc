//! Counting as `wc` does.
//!
//! A line is a newline character. A word is what stands between white space and has at least one printable character; what
//! that means depends on the locale. `wc` of GNU coreutils 9.1 counts so; newer ones take unprintable characters for words
//! too, which makes a difference in binary files only.

use std::env;
use std::io::{self, Read};
use std::ops::AddAssign;

use tinyield::thread;

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

/// What the bytes of a file mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locale {
    /// Only ASCII means anything.
    C,
    Utf8,
}

impl Locale {
    /// The user's, by the variables that `wc` looks at.
    pub fn from_environment() -> Locale {
        let set = |name| env::var(name).ok().filter(|value| !value.is_empty());
        let name = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default().to_ascii_lowercase();
        if name.contains("utf-8") || name.contains("utf8") { Locale::Utf8 } else { Locale::C }
    }
}

/// Counts what `file` holds.
pub fn count(mut file: impl Read, locale: Locale) -> io::Result<Counts> {
    let mut counts = Counts::default();
    let mut in_word = false;
    let mut buffer = [0; 32 * 1024];
    // The first bytes of a character whose others have not been read yet.
    let mut kept = 0;
    loop {
        // A long file is given up soon when nobody waits for it any longer.
        thread::checkpoint().map_err(io::Error::other)?;
        let read = match file.read(&mut buffer[kept..]) {
            // What is kept is no character, so no word begins with it.
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
    // By blocks, in which the compiler counts many bytes at once.
    bytes.chunks(255).map(|block| u64::from(block.iter().map(|&byte| u8::from(byte == b'\n')).sum::<u8>())).sum()
}

/// How many words begin in `bytes`, and how many of the bytes have been looked at: all but an incomplete character.
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

/// What a character does to a word.
enum Kind {
    /// Ends it.
    Space,
    /// Begins it.
    Printable,
    /// Neither.
    Other,
}

fn kind(character: char, in_word: bool) -> Kind {
    match character {
        // Spaces for Unicode; but they are not printable, and so `wc` passes over them.
        '\u{85}' | '\u{2028}' | '\u{2029}' => Kind::Other,
        // No space for Unicode, but one of those at which a line does not break for `wc`.
        '\u{2060}' => Kind::Space,
        _ if character.is_whitespace() => Kind::Space,
        // The question is a long one, and in a word the answer makes no difference.
        _ if in_word || is_printable(character) => Kind::Printable,
        _ => Kind::Other,
    }
}

/// Whether a terminal would show it: what `iswprint` says.
fn is_printable(character: char) -> bool {
    // Characters that format others, and those that everybody may use as they like. The standard library escapes them.
    if matches!(character,
        '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}' | '\u{8e2}'
        | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2061}'..='\u{2064}'
        | '\u{2066}'..='\u{206f}' | '\u{e000}'..='\u{f8ff}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{110bd}'
        | '\u{110cd}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0001}' | '\u{e0020}'..='\u{e007f}' | '\u{f0000}'..='\u{ffffd}' | '\u{100000}'..='\u{10fffd}')
    {
        return true;
    }
    // What `{:?}` would not escape; an accent it escapes only if it has no letter before it.
    let mut buffer = [b'a', 0, 0, 0, 0];
    let end = 1 + character.encode_utf8(&mut buffer[1..]).len();
    std::str::from_utf8(&buffer[..end]).is_ok_and(|text| text.escape_debug().count() == 2)
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
