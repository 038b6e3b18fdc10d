//! Counting the rows of a store.

use std::collections::BTreeMap;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use bouncewatch_schemas::send_counts::effective;
use bouncewatch_schemas::table;
use bouncewatch_schemas::time::{format_day, format_ms};
use serde::Serialize;

use crate::error::StoreError;
use crate::list::staged_files;
use crate::open::Store;
use crate::{quarantine, send_counts};

/// Content of a store. Rows are stored rows: copies of an event count as often as they are stored.
#[derive(Debug, Default, Serialize)]
pub struct Stats {
    /// Version of this output.
    pub version: u32,
    /// Segments of the event table.
    pub segments: usize,
    /// Rows of the event table.
    pub rows: u64,
    /// Bytes of the event table.
    pub bytes: u64,
    /// First day that has events.
    pub first_day: Option<String>,
    /// Last day that has events.
    pub last_day: Option<String>,
    /// Rows by day.
    pub rows_by_day: BTreeMap<String, u64>,
    /// Rows by kind.
    pub rows_by_kind: BTreeMap<String, u64>,
    /// Rows by channel.
    pub rows_by_channel: BTreeMap<String, u64>,
    /// Distinct documents in quarantine.
    pub quarantined: usize,
    /// Content of the table of send counts.
    pub volumes: SendCountStats,
    /// Staged files that were never published.
    pub unpublished: usize,
}

/// Content of the table of send counts.
#[derive(Debug, Default, Serialize)]
pub struct SendCountStats {
    /// Number of files.
    pub files: usize,
    /// Bytes of all files.
    pub bytes: u64,
    /// Distinct points.
    pub points: usize,
    /// Start of the first point.
    pub from: Option<String>,
    /// End of the last point.
    pub to: Option<String>,
}

/// Counts the rows of a store.
///
/// # Errors
/// If a segment cannot be read.
pub async fn stats(store: &Store) -> Result<Stats, StoreError> {
    let mut stats = Stats { version: 1, ..Stats::default() };
    for segment in store.segments(table::EVENTS).await? {
        let count = |batch: &RecordBatch| {
            count_values(batch, table::KIND, &mut stats.rows_by_kind);
            count_values(batch, table::CHANNEL, &mut stats.rows_by_channel);
            Ok(())
        };
        let columns = [table::KIND, table::CHANNEL];
        let rows = store.read(table::EVENTS, &segment, Some(&columns), count).await?;
        stats.segments += 1;
        stats.rows += rows;
        stats.bytes += segment.bytes;
        *stats.rows_by_day.entry(format_day(segment.day)).or_default() += rows;
    }
    stats.first_day = stats.rows_by_day.keys().next().cloned();
    stats.last_day = stats.rows_by_day.keys().next_back().cloned();
    stats.quarantined = quarantine::list(store).await?.len();
    stats.volumes = send_count_stats(store).await?;
    stats.unpublished = store.folder().map_or(0, |folder| staged_files(folder).len());
    Ok(stats)
}

async fn send_count_stats(store: &Store) -> Result<SendCountStats, StoreError> {
    let files = store.send_count_files().await?;
    let points = effective(send_counts::read_all(store).await?);
    Ok(SendCountStats {
        files: files.len(),
        bytes: files.iter().map(|file| file.bytes).sum(),
        points: points.len(),
        from: points.iter().map(|point| point.begin).min().map(format_ms),
        to: points.iter().map(|point| point.end).max().map(format_ms),
    })
}

/// Adds the number of rows per value of a text column.
fn count_values(batch: &RecordBatch, column: &str, counts: &mut BTreeMap<String, u64>) {
    let values = batch.column_by_name(column).and_then(|column| column.as_string_opt::<i32>());
    for value in values.into_iter().flatten() {
        let value = value.unwrap_or_default();
        match counts.get_mut(value) {
            Some(count) => *count += 1,
            None => _ = counts.insert(value.to_owned(), 1),
        }
    }
}
