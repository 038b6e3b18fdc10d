//! Settings, limits and report of a compaction.

use serde::Serialize;

use crate::error::Problem;
use crate::segment_content::SPLIT_ROWS_MIN;
use crate::segment_writer::SORTED_ROW_GROUP_ROWS;

/// Limits of memory and of segment sizes.
#[derive(Debug, Clone, Copy)]
pub struct CompactLimits {
    /// Maximum number of rows in memory, copies included.
    pub pass_rows_max: u64,
    /// Maximum number of bytes of rows in memory, before compression.
    pub pass_bytes_max: u64,
    /// Maximum number of input rows of one compacted segment, copies included.
    pub segment_rows_max: u64,
    /// Maximum number of input bytes of one compacted segment.
    pub segment_bytes_max: u64,
    /// Rows that are merged and written at a time; more if one event has more copies.
    pub batch_rows: usize,
    /// Rows per row group of a compacted segment.
    pub row_group_rows: usize,
    /// Minimum number of rows of a day, copies included, that are divided into failures and other events.
    pub split_rows_min: u64,
    /// Minimum number of live segments at which a day that is not over is compacted.
    pub open_day_segments_min: usize,
}

impl Default for CompactLimits {
    fn default() -> Self {
        Self {
            pass_rows_max: 125_000,
            pass_bytes_max: 64 * 1024 * 1024,
            segment_rows_max: 8_000_000,
            segment_bytes_max: 512 * 1024 * 1024,
            batch_rows: 16 * 1024,
            row_group_rows: SORTED_ROW_GROUP_ROWS,
            split_rows_min: SPLIT_ROWS_MIN as u64,
            open_day_segments_min: 32,
        }
    }
}

/// Settings of a compaction.
#[derive(Debug, Clone, Copy)]
pub struct CompactSettings {
    /// Minimum age of a replacement before its inputs are removed, milliseconds. 0 or less: remove
    /// them at once.
    pub grace_ms: i64,
    /// Last day to compact, days since 1970.
    pub until_day: Option<i64>,
    /// Whether to only report what would be done.
    pub dry_run: bool,
    /// Limits of memory and of segment sizes.
    pub limits: CompactLimits,
}

/// Result of a compaction.
#[derive(Debug, Default, Serialize)]
pub struct CompactReport {
    /// Version of this output.
    pub version: u32,
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// Days that were merged.
    pub days: Vec<CompactedDay>,
    /// The files of the table of send counts, if they were merged.
    pub volumes: Option<CompactedSendCounts>,
    /// Days that are compacted already, or are not over and have too few segments.
    pub days_left: usize,
    /// Replaced segments that were removed.
    pub inputs_removed: usize,
    /// Replaced segments that are kept until their replacement is old enough.
    pub inputs_waiting: usize,
    /// Days that another process changed during the merge. They were left for the next run.
    pub skipped: Vec<String>,
    /// Segments that cannot be read. Their days were left unchanged.
    pub problems: Vec<Problem>,
}

/// A day that was merged. Values known only after the merge are null in a dry run.
#[derive(Debug, Serialize)]
pub struct CompactedDay {
    /// `events` or `quarantine`.
    pub table: &'static str,
    /// Day, `YYYY-MM-DD`.
    pub day: String,
    /// Live segments before.
    pub segments_before: usize,
    /// Segments of the compacted set.
    pub segments_after: Option<usize>,
    /// Rows before.
    pub rows_before: u64,
    /// Rows of the compacted set.
    pub rows_after: Option<u64>,
    /// Copies that were merged into other rows.
    pub copies_merged: Option<u64>,
    /// Events that keep several rows because their copies conflict.
    pub contradictions_kept: Option<u64>,
    /// Bytes before.
    pub bytes_before: u64,
    /// Bytes of the compacted set.
    pub bytes_after: Option<u64>,
}

/// The table of send counts after a merge. Values known only after the merge are null in a dry run.
#[derive(Debug, Serialize)]
pub struct CompactedSendCounts {
    /// Files before.
    pub files_before: usize,
    /// Files after.
    pub files_after: Option<usize>,
    /// Rows before.
    pub rows_before: usize,
    /// Rows after, one per point.
    pub rows_after: Option<usize>,
    /// Bytes before.
    pub bytes_before: u64,
    /// Bytes after.
    pub bytes_after: Option<u64>,
}
