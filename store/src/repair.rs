//! Moves damaged segments to the folder `damaged`, so that the rest of a store can be read. The
//! days of moved segments are incomplete.

use bouncewatch_schemas::table;
use object_store::ObjectStoreExt;
use serde::Serialize;

use crate::error::{Problem, StoreError, record_problem};
use crate::open::{Segment, Store};
use crate::send_counts;
use crate::verify::verify_segment;

/// Result of [`repair`].
#[derive(Debug, Default, Serialize)]
pub struct RepairReport {
    /// Version of this output.
    pub version: u32,
    /// Undamaged segments: the checksum matches, or there is none and all rows can be read.
    pub segments: usize,
    /// Damaged segments that were moved.
    pub moved: Vec<MovedSegment>,
    /// Segments that cannot be used for another reason, such as a newer format version. They were left unchanged.
    pub problems: Vec<Problem>,
}

/// A damaged segment that was moved to the folder `damaged`.
#[derive(Debug, Serialize)]
pub struct MovedSegment {
    /// Path before the move.
    pub path: String,
    /// Path after the move.
    pub moved_to: String,
    /// Damage that was found.
    pub problem: String,
}

/// Reads every segment as [`verify`](crate::verify::verify) does, and moves damaged ones to the folder `damaged`.
///
/// # Errors
/// If the store cannot be listed, or a segment cannot be moved.
pub async fn repair(store: &Store) -> Result<RepairReport, StoreError> {
    let mut report = RepairReport { version: 1, ..RepairReport::default() };
    for table in [table::EVENTS, table::QUARANTINE] {
        for segment in store.segments(table).await? {
            let verified = verify_segment(store, &segment, table).await;
            move_if_damaged(store, &segment, verified.map(drop), &mut report).await?;
        }
    }
    for file in store.send_count_files().await? {
        let verified = send_counts::verify_file(store, &file).await;
        move_if_damaged(store, &file, verified.map(drop), &mut report).await?;
    }
    Ok(report)
}

async fn move_if_damaged(
    store: &Store,
    segment: &Segment,
    verified: Result<(), StoreError>,
    report: &mut RepairReport,
) -> Result<(), StoreError> {
    match verified {
        Ok(()) => report.segments += 1,
        Err(StoreError::Damaged { path, why }) => {
            let target = store.damaged_path(&segment.path);
            let moved = store.objects().rename(&segment.path, &target).await;
            moved.map_err(store.object_error("move", &segment.path))?;
            let moved_to = store.display_path(&target);
            report.moved.push(MovedSegment { path, moved_to, problem: why });
        }
        Err(error) => record_problem(error, &mut report.problems)?,
    }
    Ok(())
}
