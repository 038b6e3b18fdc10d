//! What a compaction is asked to do, its limits, and its result.

use serde::Serialize;

use crate::error::Problem;

/// How much is held, and how large things get.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Rows that are held at a time.
    pub rows_at_a_time: u64,
    /// Bytes of rows that are held at a time, as their segments say.
    pub bytes_at_a_time: u64,
    /// Rows of one sealed segment, copies counted.
    pub segment_rows_max: u64,
    /// Bytes of the segments that one sealed segment is made of.
    pub segment_bytes_max: u64,
    /// A day that is not over is compacted when it has so many live segments.
    pub open_day_segments_min: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rows_at_a_time: 125_000,
            bytes_at_a_time: 64 * 1024 * 1024,
            segment_rows_max: 8_000_000,
            segment_bytes_max: 512 * 1024 * 1024,
            open_day_segments_min: 32,
        }
    }
}

/// What shall be compacted.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How old what replaces a segment must be before the segment is removed, milliseconds.
    pub grace_ms: i64,
    /// The last day that is looked at.
    pub until_day: Option<i64>,
    /// Whether it is only told what would be done.
    pub dry_run: bool,
    /// Limits.
    pub limits: Limits,
}

/// What was compacted.
#[derive(Debug, Default, Serialize)]
pub struct Compacted {
    /// Version of this output.
    pub version: u32,
    /// Whether it is only told what would be done.
    pub dry_run: bool,
    /// Days that were merged.
    pub days: Vec<CompactedDay>,
    /// The files of the table of volumes, if they were merged.
    pub volumes: Option<CompactedVolumes>,
    /// Days that are sealed and need nothing, or are not over and have few segments.
    pub days_left: usize,
    /// Replaced segments that were removed.
    pub inputs_removed: usize,
    /// Replaced segments that wait until what replaces them is old enough.
    pub inputs_waiting: usize,
    /// Days that somebody else changed meanwhile: nothing was done, the next run looks again.
    pub skipped: Vec<String>,
    /// Segments that cannot be read; their days are left as they are.
    pub problems: Vec<Problem>,
}

/// A day that was merged. What only the merging tells is null where it is only told what would be done.
#[derive(Debug, Serialize)]
pub struct CompactedDay {
    /// `events` or `quarantine`.
    pub table: &'static str,
    /// The day.
    pub day: String,
    /// Live segments before.
    pub segments_before: usize,
    /// Segments of the sealed set.
    pub segments_after: Option<usize>,
    /// Their rows before.
    pub rows_before: u64,
    /// Rows of the set.
    pub rows_after: Option<u64>,
    /// Rows that were copies of others and are no more.
    pub copies_merged: Option<u64>,
    /// Events of which several rows stay, because they contradict each other.
    pub contradictions_kept: Option<u64>,
    /// Bytes before.
    pub bytes_before: u64,
    /// Bytes of the set.
    pub bytes_after: Option<u64>,
}

/// What became of the files. What only the merging tells is null where it is only told what would be done.
#[derive(Debug, Serialize)]
pub struct CompactedVolumes {
    /// Files before.
    pub files_before: usize,
    /// Files after.
    pub files_after: Option<usize>,
    /// Their rows before.
    pub rows_before: usize,
    /// Rows after: one for each point.
    pub rows_after: Option<usize>,
    /// Bytes before.
    pub bytes_before: u64,
    /// Bytes after.
    pub bytes_after: Option<u64>,
}
