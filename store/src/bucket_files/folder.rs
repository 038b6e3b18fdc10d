//! The local folder with copies of objects.

use std::collections::HashSet;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use bouncewatch_schemas::send_counts::SEND_COUNTS;
use bouncewatch_schemas::table;

use crate::error::StoreError;
use crate::layout::day_folder;
use crate::list::entries;
use crate::open::Segment;

/// Suffix of the file that lists the columns in a copy.
const CONTENT_SUFFIX: &str = ".content";

pub(super) fn cache_error(path: &Path) -> impl FnOnce(std::io::Error) -> StoreError {
    let path = path.to_path_buf();
    move |source| StoreError::Cache { path, source }
}

/// Path of the file that lists the columns in a copy.
pub(super) fn content_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(CONTENT_SUFFIX);
    PathBuf::from(name)
}

/// Opens a copy to write parts of it. Never truncates it, because another process may read it.
pub(super) fn open_copy(path: &Path) -> Result<File, StoreError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(cache_error(folder))?;
    }
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    options.open(path).map_err(cache_error(path))
}

/// Removes the copies of objects that the bucket no longer has.
pub(super) fn remove_obsolete(
    folder: &Path,
    events: &[Segment],
    send_counts: &[Segment],
) -> Result<(), StoreError> {
    let events_folder = folder.join(table::EVENTS);
    let days = events.iter().map(|one| events_folder.join(day_folder(one.day)).join(one.name()));
    let counts = send_counts.iter().map(|one| folder.join(SEND_COUNTS).join(one.name()));
    let known: HashSet<PathBuf> = days.chain(counts).collect();
    let mut folders = entries(&events_folder)?;
    folders.push(folder.join(SEND_COUNTS));
    for folder in folders {
        for path in entries(&folder)? {
            let name = path.to_string_lossy();
            let copy = name.strip_suffix(CONTENT_SUFFIX).map_or(path.as_path(), Path::new);
            if !known.contains(copy) {
                remove(&path)?;
            }
        }
    }
    Ok(())
}

/// Removes a file. A file that does not exist is no error.
pub(super) fn remove(file: &Path) -> Result<(), StoreError> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(cache_error(file)(error)),
        _ => Ok(()),
    }
}
