//! A segment of the event table, as the analysis reads it.

use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use crate::open::Segment;
use crate::segment_content::SegmentContent;

/// A published segment of the event table.
#[derive(Debug, Clone)]
pub struct SegmentFile {
    /// Day of its folder, days since 1970.
    pub day: i64,
    /// The file, or the local copy of the object, which contains only the parts that were fetched.
    pub path: PathBuf,
    /// The object in the bucket; `None` for a store in a folder.
    pub(crate) object: Option<Segment>,
}

impl SegmentFile {
    /// File name.
    pub fn name(&self) -> &str {
        self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    /// Which events it contains.
    pub fn content(&self) -> SegmentContent {
        SegmentContent::of(self.name())
    }

    /// Length in bytes and modification time in nanoseconds since 1970; `None` if the file is gone.
    pub fn size_and_time(&self) -> Option<(u64, u128)> {
        if let Some(object) = &self.object {
            return Some((
                object.bytes,
                u128::from(object.published_at.unsigned_abs()) * 1_000_000,
            ));
        }
        let metadata = self.path.metadata().ok()?;
        let modified = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        Some((metadata.len(), modified.unwrap_or_default().as_nanos()))
    }
}
