//! Lists the files below the given paths.

use std::fs::{self, DirEntry};
use std::io;
use std::path::{Path, PathBuf};

use tinyield::thread;

/// A file to count, or a path that could not be read and the error.
pub type Found = Result<PathBuf, (PathBuf, io::Error)>;

/// Lists the files that `paths` name, and all files in and below the directories among them.
///
/// Links inside a directory are not followed, so the search always ends. Sockets, devices and other special files are left out, because
/// reading them might never end.
pub fn list_files(paths: &[PathBuf]) -> Vec<Found> {
    let mut found = Vec::new();
    for path in paths {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => list_directory(path, &mut found),
            Ok(_) => found.push(Ok(path.clone())),
            Err(error) => found.push(Err((path.clone(), error))),
        }
    }
    found
}

fn list_directory(directory: &Path, found: &mut Vec<Found>) {
    // A list instead of recursion, because a tree may be deep.
    let mut directories = vec![directory.to_path_buf()];
    while let Some(directory) = directories.pop() {
        // The coroutine that waits for the list was cancelled.
        if thread::is_cancelled() {
            return;
        }
        let entries = match sorted_entries(&directory) {
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

fn sorted_entries(directory: &Path) -> io::Result<Vec<DirEntry>> {
    let mut entries = fs::read_dir(directory)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(DirEntry::file_name);
    Ok(entries)
}
