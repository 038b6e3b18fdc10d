//! Errors of store operations, and unreadable segments that maintenance commands report and skip.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::aws::S3Error;

/// Errors of store operations.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A folder could not be created or made durable.
    #[error("could not create or sync folder `{folder}`: {source}")]
    Folder {
        /// The folder.
        folder: String,
        /// Cause reported by the operating system.
        source: std::io::Error,
    },
    /// An operation on a file or an object failed.
    #[error("could not {act} `{path}`: {}", object_reason(act, path, source))]
    Object {
        /// The operation: `list`, `read`, `write`, `move`, `remove`, `open` or `abandon`.
        act: &'static str,
        /// The file or object.
        path: String,
        /// Cause reported by the operating system or by S3.
        source: object_store::Error,
    },
    /// The store did not respond within the time limit after the stop signal.
    #[error("`{store}` did not respond within {} s of the stop signal", grace_period.as_secs())]
    ShutdownTimeout {
        /// The store.
        store: String,
        /// Time limit after the stop signal.
        grace_period: Duration,
    },
    /// Rows could not be encoded.
    #[error("could not build a segment: {0}")]
    Build(String),
    /// A segment could not be written.
    #[error("could not write segment `{path}`: {why}")]
    Write {
        /// The segment.
        path: String,
        /// Cause.
        why: String,
    },
    /// The value to forget is not an email address. The message does not contain it: a mistyped
    /// address is still personal data.
    #[error(
        "the value to forget is not an email address (not shown here)\n  hint: give one full address, or `-` to read it from stdin"
    )]
    NoAddress,
    /// No store exists at the given path or URL.
    #[error(
        "no store at `{0}`\n  hint: check the path; `bouncewatch ingest SOURCE --store {0}` creates a store"
    )]
    NoStore(String),
    /// The path is not a folder.
    #[error("`{0}` is not a folder\n  hint: a store is a folder; check the path")]
    NotAFolder(String),
    /// The folder exists, but contains no table.
    #[error(
        "`{0}` is not a store: it has no folder `events`, `quarantine` or `volumes`\n  hint: check the path, and that its volume is mounted; `bouncewatch ingest SOURCE --store {0}` creates a store"
    )]
    NotAStore(String),
    /// The folder cannot be read.
    #[error(
        "could not read the store `{store}`: {source}\n  hint: run the command as the user that runs `bouncewatch ingest`, or give this user access to the folder"
    )]
    Unreadable {
        /// The folder.
        store: String,
        /// Cause reported by the operating system.
        source: std::io::Error,
    },
    /// A folder of the store could not be listed.
    #[error("could not list `{}`: {source}", path.display())]
    List {
        /// The folder.
        path: PathBuf,
        /// Cause reported by the operating system.
        source: std::io::Error,
    },
    /// Segments are replaced faster than they can be listed.
    #[error(
        "could not read `{0}`: its segments are replaced faster than they can be read\n  hint: retry when the running compaction is done"
    )]
    UnstableListing(String),
    /// A segment was replaced while it was read.
    #[error("could not read `{0}`: it no longer exists")]
    Vanished(String),
    /// The local cache of a bucket could not be written.
    #[error(
        "could not write `{}`, in the cache for a store in S3: {source}\n  hint: use another folder with --cache DIR", path.display()
    )]
    Cache {
        /// The file or folder.
        path: PathBuf,
        /// Cause reported by the operating system.
        source: std::io::Error,
    },
    /// A segment is damaged: it was changed or truncated on disk or in transit.
    #[error("could not read segment `{path}`: it is damaged: {why}")]
    Damaged {
        /// The segment.
        path: String,
        /// Damage that was found.
        why: String,
    },
    /// A segment could not be read.
    #[error("could not read segment `{path}`: {why}")]
    Read {
        /// The segment.
        path: String,
        /// Cause.
        why: String,
    },
}

/// Cause of a failed operation on an object. For a bucket, it includes the IAM action to allow.
fn object_reason(act: &str, path: &str, source: &object_store::Error) -> String {
    let action = match act {
        "list" => "s3:ListBucket",
        "write" | "move" => "s3:PutObject",
        "remove" => "s3:DeleteObject",
        _ => "s3:GetObject",
    };
    if path.starts_with("s3://") {
        S3Error::new(source, action).one_line()
    } else {
        source.to_string()
    }
}

impl StoreError {
    /// Whether a segment is gone: another process compacted, replayed or removed it.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Object { source: object_store::Error::NotFound { .. }, .. })
    }

    /// Returns the error for the folder of a store that cannot be listed.
    pub(crate) fn store_not_listed(store: &Path, source: std::io::Error) -> Self {
        let store = store.display().to_string();
        match source.kind() {
            ErrorKind::NotFound => Self::NoStore(store),
            ErrorKind::NotADirectory => Self::NotAFolder(store),
            _ => Self::Unreadable { store, source },
        }
    }

    /// Converts an encoding error of arrow or Parquet.
    pub(crate) fn build(error: impl std::fmt::Display) -> Self {
        Self::Build(error.to_string())
    }
}

/// A segment that could not be read.
#[derive(Debug, Serialize)]
pub struct Problem {
    /// The segment.
    pub path: String,
    /// Cause.
    pub problem: String,
}

/// Adds an unreadable segment to `problems` and ignores a segment that is gone.
///
/// # Errors
/// Every other error, unchanged.
pub(crate) fn record_problem(
    error: StoreError,
    problems: &mut Vec<Problem>,
) -> Result<(), StoreError> {
    match error {
        StoreError::Read { path, why } | StoreError::Damaged { path, why } => {
            problems.push(Problem { path, problem: why });
        }
        error if error.is_gone() => {}
        error => return Err(error),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unlisted_folder_is_reported_with_its_reason() {
        for (kind, expected) in [
            (ErrorKind::NotFound, "no store at `s`"),
            (ErrorKind::NotADirectory, "`s` is not a folder"),
            (ErrorKind::PermissionDenied, "could not read the store `s`: permission denied"),
        ] {
            let error = StoreError::store_not_listed(Path::new("s"), kind.into()).to_string();
            assert!(error.starts_with(expected) && error.contains("hint: "), "{error}");
        }
    }
}
