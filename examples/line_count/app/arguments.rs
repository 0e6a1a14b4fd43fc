//! The command line.

use std::ffi::OsString;
use std::num::NonZero;
use std::path::PathBuf;

pub const USAGE: &str = "\
Usage: line_count [--jobs N] FILE|DIR ..

Counts the lines, words and bytes of each FILE and of all files in each DIR, like `wc -lwc`.
Links inside a DIR are not followed.

Options:
  -j, --jobs N   read N files at the same time (default: the number of processors)
  -h, --help     print this help

Exit code: 0 on success, 1 if a file could not be read, 2 if the arguments are wrong.
";

pub enum Command {
    Count(Arguments),
    Help,
}

pub struct Arguments {
    pub paths: Vec<PathBuf>,
    pub jobs: usize,
}

pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    let mut arguments = arguments.into_iter();
    let mut paths = Vec::new();
    let mut jobs = None;
    let mut options = true;
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--") if options => options = false,
            Some("-h" | "--help") if options => return Ok(Command::Help),
            Some("-j" | "--jobs") if options => {
                let value = arguments.next().ok_or("`--jobs` needs a number")?;
                jobs = Some(number(&value)?);
            }
            Some("-") if options => return Err("standard input is not supported: name a file or a directory".into()),
            Some(option) if options && option.starts_with('-') => return Err(format!("unknown option `{option}`")),
            _ if argument.is_empty() => return Err("a path is empty".into()),
            _ => paths.push(PathBuf::from(argument)),
        }
    }
    if paths.is_empty() {
        return Err("no files: name at least one file or directory".into());
    }
    let jobs = jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(4, NonZero::get));
    Ok(Command::Count(Arguments { paths, jobs }))
}

fn number(value: &OsString) -> Result<usize, String> {
    let number = value.to_str().and_then(|value| value.parse().ok());
    number
        .filter(|number| (1..=1000).contains(number))
        .ok_or_else(|| format!("`--jobs` takes a number from 1 to 1000, not `{}`", value.display()))
}
