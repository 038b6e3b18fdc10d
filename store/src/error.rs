//! Errors of a store, and the problems that maintenance commands report and skip.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::aws::Refusal;

/// What can go wrong with a store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A folder could not be made or made durable.
    #[error("could not make folder `{folder}`: {source}")]
    Folder {
        /// The folder.
        folder: String,
        /// Why.
        source: std::io::Error,
    },
    /// A file or an object could not be handled.
    #[error("could not {act} `{path}`: {}", refused(act, path, source))]
    Object {
        /// What was tried.
        act: &'static str,
        /// On what.
        path: String,
        /// Why it failed.
        source: object_store::Error,
    },
    /// The run shall end, and the store does not answer.
    #[error("`{store}` did not answer within {} s of the signal to end", patience.as_secs())]
    Overdue {
        /// The store.
        store: String,
        /// How long it was waited for.
        patience: Duration,
    },
    /// A segment could not be built.
    #[error("could not build a segment: {0}")]
    Build(String),
    /// A segment that is made of others could not be written.
    #[error("could not write segment `{path}`: {why}")]
    Write {
        /// The segment.
        path: String,
        /// Why.
        why: String,
    },
    /// What shall be forgotten is no address; it is not shown, because it may be one all the same.
    #[error("what shall be forgotten is no mail address")]
    NoAddress,
    /// No store at the given path or URL.
    #[error("no store at `{0}`\n  hint: create one with `bouncewatch ingest SOURCE --store {0}`")]
    NoStore(String),
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
    /// A segment could not be read.
    #[error("could not read segment `{path}`: {why}")]
    Read {
        /// The segment.
        path: String,
        /// Why.
        why: String,
    },
}

/// Why an object could not be handled; for a bucket with what would have to be allowed.
fn refused(act: &str, path: &str, source: &object_store::Error) -> String {
    let action = match act {
        "list" => "s3:ListBucket",
        "write" => "s3:PutObject",
        "remove" => "s3:DeleteObject",
        _ => "s3:GetObject",
    };
    if path.starts_with("s3://") { Refusal::of(source, action).line() } else { source.to_string() }
}

impl StoreError {
    /// Whether a segment is gone, which happens when somebody else compacts or replays.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Object { source: object_store::Error::NotFound { .. }, .. })
    }
}

/// One segment that cannot be trusted.
#[derive(Debug, Serialize)]
pub struct Problem {
    /// The segment.
    pub path: String,
    /// What is wrong with it.
    pub problem: String,
}
