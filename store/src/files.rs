//! The files of a store that the analysis reads: files in a folder, or local copies of the needed
//! parts of objects in a bucket.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bouncewatch_schemas::table;

use crate::bucket_files::BucketFiles;
use crate::error::StoreError;
use crate::list;
use crate::read::{SegmentFacts, check_segment_file};
use crate::segment_file::SegmentFile;

/// The files of a store. Cloning is cheap.
#[derive(Debug, Clone)]
pub enum StoreFiles {
    /// The store is a folder.
    Folder(PathBuf),
    /// The store is in a bucket.
    Bucket(Arc<BucketFiles>),
}

impl From<&Path> for StoreFiles {
    fn from(folder: &Path) -> Self {
        Self::Folder(folder.to_path_buf())
    }
}

impl From<&StoreFiles> for StoreFiles {
    fn from(files: &StoreFiles) -> Self {
        files.clone()
    }
}

impl StoreFiles {
    /// Path or URL of the store, for messages.
    pub fn name(&self) -> String {
        match self {
            Self::Folder(folder) => folder.display().to_string(),
            Self::Bucket(bucket) => bucket.name().to_owned(),
        }
    }

    /// The folder with the local files: the store itself, or the local copies of its objects.
    pub fn folder(&self) -> &Path {
        match self {
            Self::Folder(folder) => folder,
            Self::Bucket(bucket) => bucket.folder(),
        }
    }

    /// The bucket; `None` for a folder.
    pub fn bucket(&self) -> Option<&Arc<BucketFiles>> {
        match self {
            Self::Folder(_) => None,
            Self::Bucket(bucket) => Some(bucket),
        }
    }

    /// Published segments of the event table, sorted by day and name.
    ///
    /// # Errors
    /// If there is no store, or it cannot be listed.
    pub fn event_segments(&self) -> Result<Vec<SegmentFile>, StoreError> {
        match self {
            Self::Folder(folder) => {
                let file = |(day, path)| SegmentFile { day, path, object: None };
                Ok(list::event_segments(folder)?.into_iter().map(file).collect())
            }
            Self::Bucket(bucket) => bucket.event_segments(),
        }
    }

    /// Whether at least one of the segments was replaced or removed. Lists the bucket again if the
    /// store is in a bucket.
    ///
    /// # Errors
    /// If the bucket cannot be listed.
    pub fn has_lost_one_of(&self, segments: &[&SegmentFile]) -> Result<bool, StoreError> {
        match self {
            Self::Folder(_) => {
                Ok(segments.iter().any(|one| matches!(one.path.try_exists(), Ok(false))))
            }
            Self::Bucket(bucket) => bucket.has_lost_one_of(segments),
        }
    }

    /// Returns the facts in the footer of a segment. Verifies a checksum first: of the whole file
    /// in a folder, of the footer in a bucket.
    ///
    /// # Errors
    /// As [`check_segment_file`].
    pub fn facts(&self, segment: &SegmentFile) -> Result<SegmentFacts, StoreError> {
        match (self, &segment.object) {
            (Self::Bucket(bucket), Some(object)) => bucket.facts(object, &segment.path),
            _ => check_segment_file(&segment.path, table::EVENTS),
        }
    }

    /// Fetches columns of segments in a bucket to the local copies, and verifies the checksums of
    /// these columns. Ignores unknown column names. Does nothing for a folder, because
    /// [`Self::facts`] verifies the whole file.
    ///
    /// # Errors
    /// If an object is gone, damaged, or cannot be read.
    pub fn prepare(&self, segments: &[&SegmentFile], columns: &[&str]) -> Result<(), StoreError> {
        match self {
            Self::Folder(_) => Ok(()),
            Self::Bucket(bucket) => bucket.prepare(segments, columns),
        }
    }

    /// Files of the table of send counts, sorted by name.
    ///
    /// # Errors
    /// If they cannot be listed or fetched.
    pub fn send_count_files(&self) -> Result<Vec<PathBuf>, StoreError> {
        match self {
            Self::Folder(folder) => list::send_count_files(folder),
            Self::Bucket(bucket) => bucket.send_count_files(),
        }
    }

    /// Number of segments of the event table in the folder `damaged`, by day. These days are
    /// incomplete.
    ///
    /// # Errors
    /// If they cannot be listed.
    pub fn damaged_days(&self) -> Result<BTreeMap<i64, usize>, StoreError> {
        match self {
            Self::Folder(folder) => list::damaged_days(folder),
            Self::Bucket(bucket) => Ok(bucket.damaged_days()),
        }
    }
}
