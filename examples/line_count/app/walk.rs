//! Which files there are.

use std::fs::{self, DirEntry};
use std::io;
use std::path::{Path, PathBuf};

use tinyield::thread;

/// A file to be counted, or what could not be looked at, and why.
pub type Found = Result<PathBuf, (PathBuf, io::Error)>;

/// The files that `paths` name: each file itself, and of each directory all files in it and below.
///
/// Inside a directory, links are not followed, so there are no loops; and what is no regular file (a socket, a device) is
/// left out, as reading it might never end.
pub fn files(paths: &[PathBuf]) -> Vec<Found> {
    let mut found = Vec::new();
    for path in paths {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => below(path, &mut found),
            Ok(_) => found.push(Ok(path.clone())),
            Err(error) => found.push(Err((path.clone(), error))),
        }
    }
    found
}

fn below(directory: &Path, found: &mut Vec<Found>) {
    // With a list instead of recursion: a tree may be deep.
    let mut directories = vec![directory.to_path_buf()];
    while let Some(directory) = directories.pop() {
        // Nobody waits for the list any longer.
        if thread::is_cancelled() {
            return;
        }
        let entries = match sorted(&directory) {
            Ok(entries) => entries,
            Err(error) => {
                found.push(Err((directory, error)));
                continue;
            }
        };
        let mut inner = Vec::new();
        for entry in entries {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => inner.push(entry.path()),
                Ok(kind) if kind.is_file() => found.push(Ok(entry.path())),
                Ok(_) => {}
                Err(error) => found.push(Err((entry.path(), error))),
            }
        }
        directories.extend(inner.into_iter().rev());
    }
}

fn sorted(directory: &Path) -> io::Result<Vec<DirEntry>> {
    let mut entries = fs::read_dir(directory)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(DirEntry::file_name);
    Ok(entries)
}
