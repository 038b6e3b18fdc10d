//! Reading every row of a store to find segments that cannot be used.

use std::path::PathBuf;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMillisecondType;
use bouncewatch_schemas::table;
use bouncewatch_schemas::time::day_of;
use serde::Serialize;

use crate::checksum::Integrity;
use crate::error::{Problem, StoreError};
use crate::list::staged_files;
use crate::open::{Segment, Store};
use crate::read::row_count;
use crate::send_counts;

/// Result of [`verify`].
#[derive(Debug, Default, Serialize)]
pub struct VerifyReport {
    /// Version of this output.
    pub version: u32,
    /// Segments that were read without a problem.
    pub segments: usize,
    /// Segments among them without a checksum, written by an earlier release. Changed values in
    /// them are not detected.
    pub no_checksum: usize,
    /// Rows of all segments that were read without a problem.
    pub rows: u64,
    /// Segments that cannot be used.
    pub problems: Vec<Problem>,
    /// Staged files that were never published. They can be deleted while no consumer runs.
    pub unpublished: Vec<PathBuf>,
}

/// Reads every row of every segment of all tables, and checks that events are in the folder of their day.
///
/// # Errors
/// If the store cannot be listed.
pub async fn verify(store: &Store) -> Result<VerifyReport, StoreError> {
    let unpublished = store.folder().map(staged_files).unwrap_or_default();
    let mut report = VerifyReport { version: 1, unpublished, ..VerifyReport::default() };
    for table in [table::EVENTS, table::QUARANTINE] {
        for segment in store.segments(table).await? {
            let verified = verify_segment(store, &segment, table).await;
            report.add(store, &segment, verified);
        }
    }
    for file in store.send_count_files().await? {
        let verified = send_counts::verify_file(store, &file).await;
        report.add(store, &file, verified);
    }
    Ok(report)
}

impl VerifyReport {
    /// Adds the rows of a segment, or the reason why it cannot be used.
    fn add(
        &mut self,
        store: &Store,
        segment: &Segment,
        verified: Result<(u64, Integrity), StoreError>,
    ) {
        match verified {
            Ok((rows, integrity)) => {
                self.segments += 1;
                self.no_checksum += usize::from(integrity == Integrity::NoChecksum);
                self.rows += rows;
            }
            // compacted or replayed during the run: its rows are elsewhere
            Err(error) if error.is_gone() => {}
            Err(error) => self.problems.push(Problem {
                path: store.display_path(&segment.path),
                problem: error.to_string(),
            }),
        }
    }
}

/// Reads every row of a segment. Returns the number of rows and the result of the checksum check.
pub(crate) async fn verify_segment(
    store: &Store,
    segment: &Segment,
    table: &str,
) -> Result<(u64, Integrity), StoreError> {
    let failed = |why: String| store.read_error(segment, &why);
    let (opened, integrity) = store.open_checked(table, segment).await?;
    let expected = row_count(&opened);
    let day_column = if table == table::EVENTS { table::EVENT_AT } else { table::RECEIVED_AT };
    let each = |batch: &RecordBatch| {
        let times = batch
            .column_by_name(day_column)
            .and_then(|column| column.as_primitive_opt::<TimestampMillisecondType>())
            .ok_or_else(|| failed(format!("no timestamp column `{day_column}`")))?;
        let is_of_other_day = |time: &i64| day_of(*time) != segment.day;
        if table == table::EVENTS && times.values().iter().any(is_of_other_day) {
            return Err(failed(
                "it contains events that do not belong to the day of its folder".to_owned(),
            ));
        }
        Ok(())
    };
    let rows = store.read_opened(opened, segment, None, each).await?;
    if rows == expected {
        Ok((rows, integrity))
    } else {
        Err(failed(format!("{rows} rows were read, but the footer states {expected}")))
    }
}
