//! The durable publish: stage, write, fsync, rename, fsync the folder. Nothing else in the product writes to a store.

use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Write;
use std::path::{Path, PathBuf};

use bouncewatch_schemas::table::SEGMENT_SUFFIX;

use super::StoreError;

/// Ending of a file that is being written. No reader looks at these; one that is left was never published.
const STAGED_SUFFIX: &str = ".staged";

/// Publishes bytes as a new segment in a folder and returns its path. When this returns, a power cut loses nothing.
///
/// # Errors
/// If any step fails; then nothing can be relied on to be published.
pub fn segment(folder: &Path, received_at: i64, bytes: &[u8]) -> Result<PathBuf, StoreError> {
    make_folder(folder)?;
    let name = unique_name(received_at);
    let staged = folder.join(format!("{name}{STAGED_SUFFIX}"));
    let published = folder.join(format!("{name}{SEGMENT_SUFFIX}"));
    if let Err(error) = write_durably(&staged, bytes) {
        remove_staged(&staged);
        return Err(error);
    }
    rename(&staged, &published)?;
    sync_folder(folder)?;
    // the folder may have been made by somebody who did not live to sync its name
    folder.parent().map_or(Ok(()), sync_folder)?;
    Ok(published)
}

/// Removes a segment whose rows are elsewhere, durably.
///
/// # Errors
/// If it cannot be removed. One that is gone already is no error.
pub fn remove(path: &Path) -> Result<(), StoreError> {
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(StoreError::io("remove", path)(error)),
    }
    path.parent().map_or(Ok(()), sync_folder)
}

/// Makes a folder and those above it, durably.
pub(super) fn make_folder(folder: &Path) -> Result<(), StoreError> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        make_folder(parent)?;
    }
    match std::fs::create_dir(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && folder.is_dir() => {}
        Err(error) => return Err(StoreError::io("make folder", folder)(error)),
    }
    sync_folder(parent.unwrap_or(Path::new(".")))
}

/// Writes and removes a small file, to find out early that a folder cannot be written.
pub(super) fn probe(folder: &Path) -> Result<(), StoreError> {
    let path = folder.join(format!("{}{STAGED_SUFFIX}", unique_name(0)));
    write_durably(&path, b"probe")?;
    std::fs::remove_file(&path).map_err(StoreError::io("remove", &path))
}

fn write_durably(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(StoreError::io("create", path))?;
    file.write_all(bytes).map_err(StoreError::io("write", path))?;
    file.sync_all().map_err(StoreError::io("fsync", path))
}

#[expect(clippy::disallowed_methods, reason = "this is the publish that the ban points to")]
fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    std::fs::rename(from, to).map_err(StoreError::io("rename", from))
}

fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(StoreError::io("fsync folder", folder))
}

/// Takes a half-written file away, so that a full disk gets its space back.
fn remove_staged(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        tracing::warn!(path = %path.display(), %error, "could not remove a half-written file");
    }
}

/// A name that no other writer takes: the time, then 128 random bits.
fn unique_name(received_at: i64) -> String {
    // each `RandomState` is keyed from the system's randomness
    let random = || RandomState::new().build_hasher().finish();
    format!("{received_at:013}-{:016x}{:016x}", random(), random())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_segments_are_whole_and_leave_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let day = folder.path().join("a/b/date=2026-01-01");
        let one = segment(&day, 5, b"one").unwrap();
        let two = segment(&day, 5, b"two").unwrap();
        assert_ne!(one, two);
        assert_eq!(std::fs::read(&one).unwrap(), b"one");
        assert_eq!(std::fs::read_dir(&day).unwrap().count(), 2);
        remove(&one).unwrap();
        remove(&one).unwrap();
        assert_eq!(std::fs::read_dir(&day).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        segment(folder.path(), 0, b"x").unwrap();
        File::create(&file).unwrap();
        let error = segment(&file.join("date=2026-01-01"), 0, b"x").unwrap_err().to_string();
        assert!(error.contains("file"), "{error}");
    }
}
