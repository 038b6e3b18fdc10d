//! The times of a day in a bucket.

use std::ops::Range;
use std::sync::Arc;

use bouncewatch_store::{BucketFiles, StoreError};

/// Times of a day in a bucket.
#[derive(Debug, Clone)]
pub(super) struct SharedTimes {
    pub(super) bucket: Arc<BucketFiles>,
    /// Path of the catalog that names the object.
    pub(super) catalog: String,
    /// Path of the object with the file of the day.
    pub(super) object: String,
}

impl SharedTimes {
    /// Fetches the file of the day.
    ///
    /// # Errors
    /// If it cannot be read. The next attempt computes the days of the catalog again.
    pub(super) fn fetch(&self) -> std::io::Result<Vec<u8>> {
        let missing = || StoreError::Vanished(format!("{}/{}", self.bucket.name(), self.object));
        let file = self.bucket.read_object(&self.object);
        let file = file.and_then(|file| file.ok_or_else(missing)).map_err(std::io::Error::other);
        file.inspect_err(|_| self.ignore_catalog())
    }

    /// Fetches a part of the file of the day.
    ///
    /// # Errors
    /// As [`Self::fetch`].
    pub(super) fn fetch_range(&self, range: Range<u64>) -> std::io::Result<Vec<u8>> {
        let part = self.bucket.read_object_range(&self.object, range);
        part.map_err(std::io::Error::other).inspect_err(|_| self.ignore_catalog())
    }

    /// Makes this process ignore the catalog, so that it computes its days again.
    pub(super) fn ignore_catalog(&self) {
        self.bucket.ignore_shared_object(&self.catalog);
    }
}
