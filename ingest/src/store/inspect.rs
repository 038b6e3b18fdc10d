//! What a store holds, from the footers of its segments, and whether every one of them can be read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMillisecondType;
use bouncewatch_schemas::table;
use bouncewatch_schemas::time::{day_of, parse_day};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderBuilder, ParquetRecordBatchReaderBuilder};
use serde::Serialize;

use super::{Store, StoreError, list};

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
    /// Files that were being written and never published.
    pub unpublished: usize,
}

/// Counts what a store holds.
///
/// # Errors
/// If a segment cannot be read.
pub fn stats(store: &Store) -> Result<Stats, StoreError> {
    let mut stats = Stats { version: 1, ..Stats::default() };
    for path in store.segments(table::EVENTS)? {
        let rows = read_columns(&path, &[table::KIND, table::CHANNEL], |batch| {
            for (name, counts) in [
                (table::KIND, &mut stats.rows_by_kind),
                (table::CHANNEL, &mut stats.rows_by_channel),
            ] {
                let words =
                    batch.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
                for word in words.into_iter().flatten() {
                    match counts.get_mut(word.unwrap_or_default()) {
                        Some(count) => *count += 1,
                        None => _ = counts.insert(word.unwrap_or_default().to_owned(), 1),
                    }
                }
            }
        })?;
        stats.segments += 1;
        stats.rows += rows;
        stats.bytes += std::fs::metadata(&path).map_err(StoreError::io("look at", &path))?.len();
        *stats.rows_by_day.entry(day_name(&path)).or_default() += rows;
    }
    stats.first_day = stats.rows_by_day.keys().next().cloned();
    stats.last_day = stats.rows_by_day.keys().next_back().cloned();
    stats.quarantined = super::quarantine::list(store)?.len();
    stats.unpublished = unpublished(store)?.len();
    Ok(stats)
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

/// One segment that cannot be trusted.
#[derive(Debug, Serialize)]
pub struct Problem {
    /// The segment.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: String,
}

/// Reads every row of every segment of both tables, and checks that it is where its date says.
///
/// # Errors
/// If the store itself cannot be listed.
pub fn verify(store: &Store) -> Result<Verification, StoreError> {
    let mut found =
        Verification { version: 1, unpublished: unpublished(store)?, ..Verification::default() };
    for table in [table::EVENTS, table::QUARANTINE] {
        for path in store.segments(table)? {
            match verify_segment(&path, table) {
                Ok(rows) => {
                    found.segments += 1;
                    found.rows += rows;
                }
                Err(error) => found.problems.push(Problem { path, problem: error.to_string() }),
            }
        }
    }
    Ok(found)
}

fn verify_segment(path: &Path, table: &str) -> Result<u64, StoreError> {
    let wrong = |why: String| StoreError::Read { path: path.to_path_buf(), why };
    let builder = open(path)?;
    let footer = builder.metadata().file_metadata().key_value_metadata();
    let value = |key: &str| {
        footer
            .into_iter()
            .flatten()
            .find(|pair| pair.key == key)
            .and_then(|pair| pair.value.clone())
    };
    match value(table::VERSION_KEY).map(|text| text.parse::<u32>()) {
        Some(Ok(version)) if version <= table::FORMAT_VERSION => {}
        Some(Ok(version)) => {
            return Err(wrong(format!(
                "format {version} is newer than this bouncewatch, which knows {}",
                table::FORMAT_VERSION
            )));
        }
        _ => {
            return Err(wrong(
                "the footer tells no format version: not written by bouncewatch".to_owned(),
            ));
        }
    }
    if value(table::TABLE_KEY).as_deref() != Some(table) {
        return Err(wrong(format!("it does not belong to table `{table}`")));
    }
    let expected = u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or_default();
    let day_column = if table == table::EVENTS { table::EVENT_AT } else { table::RECEIVED_AT };
    let day = parse_day(&day_name(path));
    let mut rows = 0;
    for batch in builder.build().map_err(|error| wrong(error.to_string()))? {
        let batch = batch.map_err(|error| wrong(error.to_string()))?;
        rows += u64::try_from(batch.num_rows()).unwrap_or_default();
        let times = batch
            .column_by_name(day_column)
            .and_then(|c| c.as_primitive_opt::<TimestampMillisecondType>());
        let Some(times) = times else {
            return Err(wrong(format!("it has no column `{day_column}`")));
        };
        if table == table::EVENTS && times.values().iter().any(|time| Some(day_of(*time)) != day) {
            return Err(wrong("it holds events of another day than its folder's".to_owned()));
        }
    }
    if rows == expected {
        Ok(rows)
    } else {
        Err(wrong(format!("{rows} rows, but its footer says {expected}")))
    }
}

fn open(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<std::fs::File>, StoreError> {
    let file = std::fs::File::open(path).map_err(StoreError::io("open", path))?;
    ParquetRecordBatchReaderBuilder::try_new(file)
        .map_err(|error| StoreError::Read { path: path.to_path_buf(), why: error.to_string() })
}

/// Reads some columns of a segment and returns its rows.
fn read_columns(
    path: &Path,
    columns: &[&str],
    mut each: impl FnMut(&arrow_array::RecordBatch),
) -> Result<u64, StoreError> {
    let wrong = |error: &dyn std::fmt::Display| StoreError::Read {
        path: path.to_path_buf(),
        why: error.to_string(),
    };
    let builder: ArrowReaderBuilder<_> = open(path)?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
    let mut rows = 0;
    for batch in builder.with_projection(mask).build().map_err(|error| wrong(&error))? {
        let batch = batch.map_err(|error| wrong(&error))?;
        rows += u64::try_from(batch.num_rows()).unwrap_or_default();
        each(&batch);
    }
    Ok(rows)
}

/// The day in the name of the folder of a segment.
fn day_name(path: &Path) -> String {
    let folder =
        path.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    folder
        .and_then(|name| name.strip_prefix(table::DATE_PREFIX).map(str::to_owned))
        .unwrap_or_default()
}

fn unpublished(store: &Store) -> Result<Vec<PathBuf>, StoreError> {
    let mut found = Vec::new();
    for table in [table::EVENTS, table::QUARANTINE] {
        for day in list(&store.table(table))?.into_iter().filter(|path| path.is_dir()) {
            found.extend(
                list(&day)?
                    .into_iter()
                    .filter(|path| path.extension().is_some_and(|end| end == "staged")),
            );
        }
    }
    Ok(found)
}
