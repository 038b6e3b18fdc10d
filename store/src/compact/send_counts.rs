//! Compaction of the table of send counts into one file with the valid row of each point.

use bouncewatch_schemas::send_counts::{SEND_COUNTS, effective};

use crate::compact::plan::{CompactReport, CompactSettings, CompactedSendCounts};
use crate::compacted_name::CompactedName;
use crate::day::DaySegments;
use crate::error::StoreError;
use crate::layout::unique_name;
use crate::open::{Store, is_subset};
use crate::send_counts::{encode_compacted, read_files, remove_files};

/// Merges the files of the table if there are several, and removes replaced files after the grace period.
pub(super) async fn compact(
    store: &Store,
    settings: &CompactSettings,
    now: i64,
    report: &mut CompactReport,
) -> Result<(), StoreError> {
    let mut files = DaySegments::split(store, SEND_COUNTS, store.send_count_files().await?).await?;
    let expired = files.take_expired(now, settings.grace_ms);
    report.inputs_removed += expired.len();
    if !settings.dry_run && !expired.is_empty() {
        remove_files(store, &expired).await?;
    }
    if files.live.len() < 2 {
        report.inputs_waiting += files.replaced.len();
        return Ok(());
    }
    let rows = read_files(store, &files.live).await?;
    let mut compacted = CompactedSendCounts {
        files_before: files.live.len(),
        files_after: None,
        rows_before: rows.len(),
        rows_after: None,
        bytes_before: files.live.iter().map(|file| file.bytes).sum(),
        bytes_after: None,
    };
    if settings.dry_run {
        report.inputs_waiting += files.replaced.len();
        report.volumes = Some(compacted);
        return Ok(());
    }
    let rows = effective(rows);
    let bytes = encode_compacted(&rows, &files.inputs_value())?;
    compacted.files_after = Some(1);
    compacted.rows_after = Some(rows.len());
    compacted.bytes_after = Some(bytes.len() as u64);
    if !is_subset(&files.live, &store.send_count_files().await?) {
        // `retain` or `forget` removed a file during the merge: its rows must not be restored
        report.skipped.push(SEND_COUNTS.to_owned());
        return Ok(());
    }
    let set = unique_name(now);
    store.publish_send_counts(&CompactedName::single(&set).stem(), bytes).await?;
    report.volumes = Some(compacted);
    if settings.grace_ms <= 0 {
        // splitting checks the published set before its inputs are removed
        let published = store.send_count_files().await?;
        let published = DaySegments::split(store, SEND_COUNTS, published).await?;
        report.inputs_removed += published.replaced.len();
        remove_files(store, published.replaced_segments()).await
    } else {
        report.inputs_waiting += files.all().count();
        Ok(())
    }
}
