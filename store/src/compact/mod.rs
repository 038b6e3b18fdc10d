//! Compaction: merging the segments of a day into one compacted set, with the copies of an event merged into one row
//! where that loses no information.
//!
//! The order is always: publish the replacement durably, then remove its inputs after a grace period, when no reader
//! has them open any more. A crash or a second compactor leaves copies of events, which readers count once.

mod events;
mod merge;
mod plan;
mod quarantine;
mod send_counts;
mod shards;
mod task;

use std::collections::{BTreeMap, BTreeSet};

use bouncewatch_schemas::send_counts::SEND_COUNTS;
use bouncewatch_schemas::table;
use bouncewatch_schemas::time::{day_of, format_day};
use futures::{StreamExt, TryStreamExt, stream};

use crate::compacted_name::CompactedName;
use crate::day::{DaySegments, remove_segments, segments_by_day};
use crate::error::{StoreError, record_problem};
use crate::open::{Segment, Store};
use crate::upgrade::is_version_1;
use task::{CompactedSet, DayTask, READS_AT_ONCE};

pub use plan::{CompactLimits, CompactReport, CompactSettings, CompactedDay, CompactedSendCounts};

/// Compacts the days of events and quarantine that need it, and the table of send counts.
///
/// # Errors
/// If the store cannot be listed or written. A day with an unreadable segment is left unchanged, and reported.
pub async fn compact(
    store: &Store,
    settings: &CompactSettings,
    now: i64,
) -> Result<CompactReport, StoreError> {
    let mut report =
        CompactReport { version: 1, dry_run: settings.dry_run, ..CompactReport::default() };
    for table in [table::EVENTS, table::QUARANTINE] {
        let mut days = segments_by_day(store, table).await?;
        days.retain(|day, _| settings.until_day.is_none_or(|until| *day <= until));
        let outdated = outdated_days(store, table, &days).await?;
        for (day, segments) in days {
            let is_outdated = outdated.contains(&day);
            let compactor = DayCompactor { store, settings, now, table, day, is_outdated };
            let result = compactor.compact(segments, &mut report).await;
            record_skipped(result, &compactor.name(), &mut report)?;
        }
    }
    let result = send_counts::compact(store, settings, now, &mut report).await;
    record_skipped(result, SEND_COUNTS, &mut report)?;
    Ok(report)
}

/// Days of the event table with a compacted segment of an older format version. They are compacted again.
async fn outdated_days(
    store: &Store,
    table: &str,
    days: &BTreeMap<i64, Vec<Segment>>,
) -> Result<BTreeSet<i64>, StoreError> {
    if table != table::EVENTS {
        return Ok(BTreeSet::new());
    }
    // the segments of a set have one version
    let first = days.values().filter_map(|segments| {
        segments.iter().find(|segment| CompactedName::parse(segment.name()).is_some())
    });
    let is_outdated = stream::iter(first).map(async |segment| {
        match store.open(table, segment).await {
            Ok(opened) => Ok(is_version_1(opened.schema()).then_some(segment.day)),
            // unreadable segments are reported when their day is compacted
            Err(error) if error.is_gone() => Ok(None),
            Err(StoreError::Read { .. } | StoreError::Damaged { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    });
    is_outdated
        .buffer_unordered(READS_AT_ONCE)
        .try_filter_map(async |day| Ok(day))
        .try_collect()
        .await
}

/// Adds a day to the skipped days if a segment was removed during the merge, or to the problems if one cannot be read.
fn record_skipped(
    result: Result<(), StoreError>,
    name: &str,
    report: &mut CompactReport,
) -> Result<(), StoreError> {
    match result {
        Err(error) if error.is_gone() => report.skipped.push(name.to_owned()),
        Err(error) => record_problem(error, &mut report.problems)?,
        Ok(()) => {}
    }
    Ok(())
}

struct DayCompactor<'a> {
    store: &'a Store,
    settings: &'a CompactSettings,
    now: i64,
    table: &'static str,
    day: i64,
    /// Whether a compacted segment of the day has an older format version.
    is_outdated: bool,
}

impl DayCompactor<'_> {
    /// `TABLE/date=YYYY-MM-DD`.
    fn name(&self) -> String {
        format!("{}/{}{}", self.table, table::DATE_PREFIX, format_day(self.day))
    }

    async fn compact(
        &self,
        segments: Vec<Segment>,
        report: &mut CompactReport,
    ) -> Result<(), StoreError> {
        let mut segments = DaySegments::split(self.store, self.table, segments).await?;
        self.remove_expired(&mut segments, report).await?;
        let live = &segments.live;
        let is_over = self.day < day_of(self.now);
        let is_due = is_over || live.len() >= self.settings.limits.open_day_segments_min;
        if (segments.is_compacted && !self.is_outdated) || !is_due || live.is_empty() {
            report.days_left += 1;
            report.inputs_waiting += segments.replaced.len();
            return Ok(());
        }
        let task = DayTask {
            store: self.store,
            table: self.table,
            day: self.day,
            live,
            inputs: segments.inputs_value(),
            limits: &self.settings.limits,
            now: self.now,
        };
        if self.settings.dry_run {
            let rows = task.size().await?.rows;
            report.inputs_waiting += segments.replaced.len();
            report.days.push(self.day_report(live, rows, None));
            return Ok(());
        }
        let set = match self.table {
            table::EVENTS => task.compact_events().await?,
            _ => task.compact_quarantine().await?,
        };
        let Some(set) = set else {
            report.skipped.push(self.name());
            return Ok(());
        };
        report.days.push(self.day_report(live, set.rows_before, Some(&set)));
        if self.settings.grace_ms <= 0 {
            // splitting checks the published set before its inputs are removed
            let published = self.store.day_segments(self.table, self.day).await?;
            let published = DaySegments::split(self.store, self.table, published).await?;
            report.inputs_removed += published.replaced.len();
            let replaced = published.replaced_segments();
            remove_segments(self.store, self.table, self.day, replaced).await?;
        } else {
            report.inputs_waiting += segments.all().count();
        }
        Ok(())
    }

    /// Removes replaced segments after the grace period.
    async fn remove_expired(
        &self,
        segments: &mut DaySegments,
        report: &mut CompactReport,
    ) -> Result<(), StoreError> {
        let expired = segments.take_expired(self.now, self.settings.grace_ms);
        report.inputs_removed += expired.len();
        if self.settings.dry_run || expired.is_empty() {
            return Ok(());
        }
        remove_segments(self.store, self.table, self.day, &expired).await
    }

    fn day_report(&self, live: &[Segment], rows: u64, set: Option<&CompactedSet>) -> CompactedDay {
        CompactedDay {
            table: self.table,
            day: format_day(self.day),
            segments_before: live.len(),
            segments_after: set.map(|set| set.segments),
            rows_before: rows,
            rows_after: set.map(|set| set.rows),
            copies_merged: set.map(|set| rows.saturating_sub(set.rows)),
            contradictions_kept: set.map(|set| set.conflicts),
            bytes_before: live.iter().map(|segment| segment.bytes).sum(),
            bytes_after: set.map(|set| set.bytes),
        }
    }
}
