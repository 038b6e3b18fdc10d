//! The store: rows -> Parquet segments, published so that a reader sees a whole segment or none. A folder or a
//! bucket, behind one trait.
//!
//! `place` opens a store and is the one place that makes segments durable, `segment` builds the event table's
//! segments, `quarantine` those of the second table, `volumes` those of the third, `read` reads them, `inspect` looks at what is there.
//!
//! `compact` makes one segment of the many of a day: `day` tells from a listing what is live, `seal`, `merge`
//! and `seal_bodies` make the rows, `output` writes them. `retain` and `forget` put other segments in the place of old
//! ones (`rewrite`).

pub mod compact;
pub mod compact_volumes;
mod day;
pub mod forget;
pub mod inspect;
mod merge;
mod output;
mod place;
pub mod quarantine;
mod read;
pub mod retain;
mod rewrite;
mod seal;
mod seal_bodies;
pub mod segment;
pub mod volumes;

pub use place::{Segment, Store, StoreUrl};

use std::time::Duration;

use tokio::sync::watch;

use crate::aws::Refusal;
use crate::source::overdue;

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

/// What a store says, unless the run shall end and the store has had `patience` to say it: where its network is gone,
/// a bucket would be tried for minutes.
pub(crate) async fn in_time<T>(
    store: &Store,
    stop: watch::Receiver<bool>,
    patience: Duration,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    tokio::select! {
        biased;
        done = work => done,
        () = overdue(stop, patience) => {
            Err(StoreError::Overdue { store: store.shown().to_owned(), patience })
        }
    }
}

impl StoreError {
    /// Whether a segment is gone, which happens when somebody else compacts or replays.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Object { source: object_store::Error::NotFound { .. }, .. })
    }
}
