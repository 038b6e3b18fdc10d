//! Removes events, quarantined documents and send counts that are older than a number of days.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::{BooleanArray, RecordBatch};
use arrow_select::filter::filter_record_batch;
use bouncewatch_schemas::event::EventKind;
use bouncewatch_schemas::send_counts::SendCountRow;
use bouncewatch_schemas::table;
use bouncewatch_schemas::time::{day_of, format_day};
use serde::Serialize;

use crate::day::{DaySegments, remove_segments, segments_by_day};
use crate::error::{Problem, StoreError, record_problem};
use crate::open::{Segment, Store};
use crate::read::row_count;
use crate::rewrite::{remove_replaced, rewrite};
use crate::send_counts::remove_rows;

/// Retention periods. A table without a period is not changed.
#[derive(Debug, Clone, Default)]
pub struct RetainSettings {
    /// Days before today for which events are kept.
    pub days: Option<i64>,
    /// Kinds of events to remove; empty for all.
    pub kinds: Vec<EventKind>,
    /// Days before today for which quarantined documents are kept, by day of arrival.
    pub quarantine_days: Option<i64>,
    /// Days before today for which send counts are kept, by the day on which their interval ends.
    pub volume_days: Option<i64>,
    /// Whether to only report what would be removed.
    pub dry_run: bool,
}

/// Result of [`retain`]. Rows are stored rows: copies of an event count as often as they are stored.
#[derive(Debug, Default, Serialize)]
pub struct RetainReport {
    /// Version of this output.
    pub version: u32,
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// First day of which all events are kept.
    pub events_kept_from: Option<String>,
    /// Days from which events were removed.
    pub days: usize,
    /// Rows removed, by kind.
    pub rows_by_kind: BTreeMap<String, u64>,
    /// First day of which all quarantined documents are kept.
    pub quarantine_kept_from: Option<String>,
    /// Quarantined documents removed, counted as often as they are stored.
    pub bodies: u64,
    /// First day of which all send counts are kept.
    pub volumes_kept_from: Option<String>,
    /// Rows of send counts removed.
    pub volumes: u64,
    /// Segments that cannot be read and were not changed.
    pub problems: Vec<Problem>,
}

/// Removes rows older than the retention periods.
///
/// # Errors
/// If the store cannot be listed or written. Unreadable segments are not changed, and are reported.
pub async fn retain(
    store: &Store,
    settings: &RetainSettings,
    now: i64,
) -> Result<RetainReport, StoreError> {
    let mut report =
        RetainReport { version: 1, dry_run: settings.dry_run, ..RetainReport::default() };
    let first_kept = |days: i64| day_of(now).saturating_sub(days);
    if let Some(kept_from) = settings.days.map(first_kept) {
        report.events_kept_from = Some(format_day(kept_from));
        for (day, segments) in old_days(store, table::EVENTS, kept_from).await? {
            let remover = EventRemover { store, settings, now };
            remover.remove(day, segments, &mut report).await?;
        }
    }
    if let Some(kept_from) = settings.quarantine_days.map(first_kept) {
        report.quarantine_kept_from = Some(format_day(kept_from));
        for (day, segments) in old_days(store, table::QUARANTINE, kept_from).await? {
            remove_quarantined(store, settings, day, segments, &mut report).await?;
        }
    }
    if let Some(kept_from) = settings.volume_days.map(first_kept) {
        report.volumes_kept_from = Some(format_day(kept_from));
        // an interval that ends at midnight belongs to the day before
        let is_old = |row: &SendCountRow| day_of(row.end - 1) < kept_from;
        let (rows, errors) = remove_rows(store, now, settings.dry_run, is_old).await?;
        report.volumes = rows;
        for error in errors {
            record_problem(error, &mut report.problems)?;
        }
    }
    Ok(report)
}

/// Segments of the days before `kept_from`.
async fn old_days(
    store: &Store,
    table: &str,
    kept_from: i64,
) -> Result<BTreeMap<i64, Vec<Segment>>, StoreError> {
    let mut days = segments_by_day(store, table).await?;
    days.retain(|day, _| *day < kept_from);
    Ok(days)
}

/// The live segments of a day, or `None` if the day cannot be read. Removes the replaced ones, except in a dry run.
async fn live_segments(
    store: &Store,
    table: &'static str,
    settings: &RetainSettings,
    day: i64,
    segments: Vec<Segment>,
    problems: &mut Vec<Problem>,
) -> Result<Option<Vec<Segment>>, StoreError> {
    let live = if settings.dry_run {
        DaySegments::split(store, table, segments).await.map(|segments| segments.live)
    } else {
        remove_replaced(store, table, day, segments).await
    };
    match live {
        Ok(live) => Ok(Some(live)),
        Err(error) => record_problem(error, problems).map(|()| None),
    }
}

/// Removes the segments of a day of the quarantine.
async fn remove_quarantined(
    store: &Store,
    settings: &RetainSettings,
    day: i64,
    segments: Vec<Segment>,
    report: &mut RetainReport,
) -> Result<(), StoreError> {
    let table = table::QUARANTINE;
    let problems = &mut report.problems;
    let live = live_segments(store, table, settings, day, segments, problems).await?;
    for segment in live.into_iter().flatten() {
        let opened = match store.open_for_rewrite(table, &segment).await {
            Ok(opened) => opened,
            Err(error) => {
                record_problem(error, &mut report.problems)?;
                continue;
            }
        };
        if !settings.dry_run {
            remove_segments(store, table, segment.day, [&segment]).await?;
        }
        report.bodies += row_count(&opened);
    }
    Ok(())
}

/// Removes events that are older than the retention period.
struct EventRemover<'a> {
    store: &'a Store,
    settings: &'a RetainSettings,
    now: i64,
}

impl EventRemover<'_> {
    /// Removes the events of a day.
    async fn remove(
        &self,
        day: i64,
        segments: Vec<Segment>,
        report: &mut RetainReport,
    ) -> Result<(), StoreError> {
        let (store, settings) = (self.store, self.settings);
        let problems = &mut report.problems;
        let live = live_segments(store, table::EVENTS, settings, day, segments, problems).await?;
        let mut removed = 0;
        for segment in live.into_iter().flatten() {
            match self.remove_from(&segment).await {
                Ok(rows_by_kind) => {
                    for (kind, rows) in rows_by_kind {
                        removed += rows;
                        *report.rows_by_kind.entry(kind).or_default() += rows;
                    }
                }
                Err(error) => record_problem(error, &mut report.problems)?,
            }
        }
        report.days += usize::from(removed > 0);
        Ok(())
    }

    /// Removes events from a segment. Returns the rows removed by kind.
    async fn remove_from(&self, segment: &Segment) -> Result<BTreeMap<String, u64>, StoreError> {
        let (store, table) = (self.store, table::EVENTS);
        store.open_for_rewrite(table, segment).await?;
        let mut removed: BTreeMap<String, u64> = BTreeMap::new();
        let count = |rows: &RecordBatch| {
            for kind in kinds(store, segment, rows)? {
                if self.is_removed(kind) {
                    *removed.entry(kind.to_owned()).or_default() += 1;
                }
            }
            Ok(())
        };
        let rows = store.read(table, segment, Some(&[table::KIND]), count).await?;
        let count = removed.values().sum::<u64>();
        if self.settings.dry_run || count == 0 {
            return Ok(removed);
        }
        if count == rows {
            remove_segments(store, table, segment.day, [segment]).await?;
        } else {
            let keep = |rows: &RecordBatch| {
                let kinds = kinds(store, segment, rows)?.into_iter();
                let kept: Vec<bool> = kinds.map(|kind| !self.is_removed(kind)).collect();
                filter_record_batch(rows, &BooleanArray::from(kept)).map_err(StoreError::build)
            };
            rewrite(store, table, segment, self.now, keep).await?;
        }
        Ok(removed)
    }

    fn is_removed(&self, kind: &str) -> bool {
        let kinds = &self.settings.kinds;
        kinds.is_empty() || kinds.iter().any(|removed| removed.as_str() == kind)
    }
}

/// Kind of each row.
fn kinds<'r>(
    store: &Store,
    segment: &Segment,
    rows: &'r RecordBatch,
) -> Result<Vec<&'r str>, StoreError> {
    rows.column_by_name(table::KIND)
        .and_then(|column| column.as_string_opt::<i32>())
        .map(|kinds| kinds.iter().map(Option::unwrap_or_default).collect())
        .ok_or_else(|| store.read_error(segment, &"no text column `kind`"))
}
