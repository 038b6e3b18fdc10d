//! What a store holds, from the footers of its segments, and whether every one of them can be read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMillisecondType;
use bouncewatch_schemas::table;
use bouncewatch_schemas::time::{day_of, format_day, format_ms};
use bouncewatch_schemas::volume::{VOLUMES, effective};
use serde::Serialize;

use crate::error::{Problem, StoreError};
use crate::open::{Segment, Store};
use crate::read::check_footer;
use crate::send_counts;

/// What a store holds. Rows are stored rows: copies of one event are counted as often as they are stored.
#[derive(Debug, Default, Serialize)]
pub struct Stats {
    /// Version of this output.
    pub version: u32,
    /// Segments of the event table.
    pub segments: usize,
    /// Their rows.
    pub rows: u64,
    /// Their bytes.
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
    /// Bodies in quarantine, each once.
    pub quarantined: usize,
    /// What the table of volumes holds.
    pub volumes: VolumeStats,
    /// Files that were being written and never published.
    pub unpublished: usize,
}

/// What the table of volumes holds.
#[derive(Debug, Default, Serialize)]
pub struct VolumeStats {
    /// Files.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Points, each once.
    pub points: usize,
    /// Begin of the first one.
    pub from: Option<String>,
    /// End of the last one.
    pub to: Option<String>,
}

/// Counts what a store holds.
///
/// # Errors
/// If a segment cannot be read.
pub async fn stats(store: &Store) -> Result<Stats, StoreError> {
    let mut stats = Stats { version: 1, ..Stats::default() };
    for segment in store.segments(table::EVENTS).await? {
        let rows = store
            .read(&segment, Some(&[table::KIND, table::CHANNEL]), |batch| {
                count_words(batch, table::KIND, &mut stats.rows_by_kind);
                count_words(batch, table::CHANNEL, &mut stats.rows_by_channel);
                Ok(())
            })
            .await?;
        stats.segments += 1;
        stats.rows += rows;
        stats.bytes += segment.bytes;
        *stats.rows_by_day.entry(format_day(segment.day)).or_default() += rows;
    }
    stats.first_day = stats.rows_by_day.keys().next().cloned();
    stats.last_day = stats.rows_by_day.keys().next_back().cloned();
    stats.quarantined = super::quarantine::list(store).await?.len();
    stats.volumes = volume_stats(store).await?;
    stats.unpublished = unpublished(store).len();
    Ok(stats)
}

async fn volume_stats(store: &Store) -> Result<VolumeStats, StoreError> {
    let files = store.volume_files().await?;
    let points = effective(send_counts::read_all(store).await?);
    Ok(VolumeStats {
        files: files.len(),
        bytes: files.iter().map(|file| file.bytes).sum(),
        points: points.len(),
        from: points.iter().map(|point| point.begin).min().map(format_ms),
        to: points.iter().map(|point| point.end).max().map(format_ms),
    })
}

fn count_words(batch: &RecordBatch, column: &str, counts: &mut BTreeMap<String, u64>) {
    let words = batch.column_by_name(column).and_then(|column| column.as_string_opt::<i32>());
    for word in words.into_iter().flatten() {
        match counts.get_mut(word.unwrap_or_default()) {
            Some(count) => *count += 1,
            None => _ = counts.insert(word.unwrap_or_default().to_owned(), 1),
        }
    }
}

/// What is wrong with a store.
#[derive(Debug, Default, Serialize)]
pub struct Verification {
    /// Version of this output.
    pub version: u32,
    /// Segments that were read wholly.
    pub segments: usize,
    /// Rows that were read.
    pub rows: u64,
    /// Segments that cannot be trusted, each with the reason.
    pub problems: Vec<Problem>,
    /// Files that were being written and never published: safe to delete when no consumer runs.
    pub unpublished: Vec<PathBuf>,
}

/// Reads every row of every segment of all tables, and checks that it is where its date says.
///
/// # Errors
/// If the store itself cannot be listed.
pub async fn verify(store: &Store) -> Result<Verification, StoreError> {
    let mut found =
        Verification { version: 1, unpublished: unpublished(store), ..Verification::default() };
    for table in [table::EVENTS, table::QUARANTINE] {
        for segment in store.segments(table).await? {
            let verified = verify_segment(store, &segment, table).await;
            found.take(store, &segment, verified);
        }
    }
    for file in store.volume_files().await? {
        let verified = send_counts::read_file(store, &file).await;
        let count = |rows: Vec<_>| u64::try_from(rows.len()).unwrap_or_default();
        found.take(store, &file, verified.map(count));
    }
    Ok(found)
}

impl Verification {
    /// Notes what became of a segment.
    fn take(&mut self, store: &Store, segment: &Segment, verified: Result<u64, StoreError>) {
        match verified {
            Ok(rows) => {
                self.segments += 1;
                self.rows += rows;
            }
            // compacted or replayed meanwhile: its rows are elsewhere
            Err(error) if error.is_gone() => {}
            Err(error) => self.problems.push(Problem {
                path: store.shown_path(&segment.path),
                problem: error.to_string(),
            }),
        }
    }
}

async fn verify_segment(store: &Store, segment: &Segment, table: &str) -> Result<u64, StoreError> {
    let wrong = |why: String| store.wrong(segment, &why);
    let opened = store.open(segment).await?;
    check_footer(&opened, table).map_err(wrong)?;
    let expected = u64::try_from(opened.metadata().file_metadata().num_rows()).unwrap_or_default();
    let day_column = if table == table::EVENTS { table::EVENT_AT } else { table::RECEIVED_AT };
    let each = |batch: &RecordBatch| {
        let times = batch
            .column_by_name(day_column)
            .and_then(|c| c.as_primitive_opt::<TimestampMillisecondType>())
            .ok_or_else(|| wrong(format!("it has no column `{day_column}`")))?;
        let elsewhere = |time: &i64| day_of(*time) != segment.day;
        if table == table::EVENTS && times.values().iter().any(elsewhere) {
            return Err(wrong("it holds events of another day than its folder's".to_owned()));
        }
        Ok(())
    };
    let rows = store.read(segment, None, each).await?;
    if rows == expected {
        Ok(rows)
    } else {
        Err(wrong(format!("{rows} rows, but its footer says {expected}")))
    }
}

/// Files of a folder that were being written and never published. A bucket shows none.
fn unpublished(store: &Store) -> Vec<PathBuf> {
    let Some(folder) = store.folder() else { return Vec::new() };
    let mut found = Vec::new();
    for table in [table::EVENTS, table::QUARANTINE] {
        let days = files(&folder.join(table)).into_iter();
        found.extend(days.flat_map(|day| files(&day)).filter(|path| is_staged(path)));
    }
    found.extend(files(&folder.join(VOLUMES)).into_iter().filter(|path| is_staged(path)));
    found.sort();
    found
}

/// What is in a folder; nothing, where there is no folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect()
}

/// Names of files that are being written end in `#` and a number, those of older versions in `.staged`.
fn is_staged(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let numbered = |number: &str| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    name.ends_with(".staged") || name.rsplit_once('#').is_some_and(|(_, end)| numbered(end))
}
