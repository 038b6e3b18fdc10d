//! Events that are older than they shall be kept, and bodies in quarantine that are, are removed.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::{BooleanArray, RecordBatch};
use arrow_select::filter::filter_record_batch;
use bouncewatch_schemas::event::Kind;
use bouncewatch_schemas::table;
use bouncewatch_schemas::time::{day_of, format_day};
use bouncewatch_schemas::volume::Volume;
use serde::Serialize;

use crate::compact::events::check;
use crate::day::days;
use crate::day::remove;
use crate::error::Problem;
use crate::error::StoreError;
use crate::open::{Segment, Store};
use crate::rewrite::{only_live, rewrite};
use crate::send_counts::leave_out;

/// What shall be kept.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// For how many days before today events are kept.
    pub days: Option<i64>,
    /// Only events of these kinds are removed; none for all.
    pub kinds: Vec<Kind>,
    /// For how many days before today bodies in quarantine are kept, by the day on which they came.
    pub quarantine_days: Option<i64>,
    /// For how many days before today points of volume are kept, by the day on which they end.
    pub volume_days: Option<i64>,
    /// Whether it is only told what would be done.
    pub dry_run: bool,
}

/// What was removed. Rows are stored rows: copies of one event are counted as often as they were stored.
#[derive(Debug, Default, Serialize)]
pub struct Retained {
    /// Version of this output.
    pub version: u32,
    /// Whether it is only told what would be done.
    pub dry_run: bool,
    /// First day whose events are all kept.
    pub events_kept_from: Option<String>,
    /// Days from which events were removed.
    pub days: usize,
    /// Rows removed, by kind.
    pub rows_by_kind: BTreeMap<String, u64>,
    /// First day whose bodies are kept.
    pub quarantine_kept_from: Option<String>,
    /// Bodies removed from quarantine, as often as they were stored.
    pub bodies: u64,
    /// First day whose points of volume are kept.
    pub volumes_kept_from: Option<String>,
    /// Rows removed from the table of volumes.
    pub volumes: u64,
    /// What cannot be read, and was not touched.
    pub problems: Vec<Problem>,
}

/// Removes what is older than it shall be kept.
///
/// # Errors
/// If the store cannot be listed or written. What cannot be read is not touched, and told.
pub async fn retain(store: &Store, settings: &Settings, now: i64) -> Result<Retained, StoreError> {
    let mut done = Retained { version: 1, dry_run: settings.dry_run, ..Retained::default() };
    let first_kept = |days: i64| day_of(now).saturating_sub(days);
    for (table, kept) in
        [(table::EVENTS, settings.days), (table::QUARANTINE, settings.quarantine_days)]
    {
        let Some(kept_from) = kept.map(first_kept) else { continue };
        let told = Some(format_day(kept_from));
        match table {
            table::EVENTS => done.events_kept_from = told,
            _ => done.quarantine_kept_from = told,
        }
        for (day, segments) in
            days(store, table).await?.into_iter().filter(|(day, _)| *day < kept_from)
        {
            let one = OldDay { store, settings, now, table };
            one.retain(day, segments, &mut done).await?;
        }
    }
    if let Some(kept_from) = settings.volume_days.map(first_kept) {
        done.volumes_kept_from = Some(format_day(kept_from));
        // a span that ends at midnight is one of the day before
        let is_old = |point: &Volume| day_of(point.end - 1) < kept_from;
        let (rows, errors) = leave_out(store, now, settings.dry_run, is_old).await?;
        done.volumes = rows;
        for error in errors {
            told(error, &mut done)?;
        }
    }
    Ok(done)
}

struct OldDay<'a> {
    store: &'a Store,
    settings: &'a Settings,
    now: i64,
    table: &'static str,
}

impl OldDay<'_> {
    async fn retain(
        &self,
        day: i64,
        segments: Vec<Segment>,
        done: &mut Retained,
    ) -> Result<(), StoreError> {
        let live = if self.settings.dry_run {
            super::day::Day::of(self.store, self.table, segments).await.map(|day| day.live)
        } else {
            only_live(self.store, self.table, day, segments).await
        };
        let live = match live {
            Ok(live) => live,
            Err(error) => return told(error, done),
        };
        let before = done.rows_by_kind.values().sum::<u64>();
        for segment in live {
            if let Err(error) = self.retain_segment(&segment, done).await {
                told(error, done)?;
            }
        }
        done.days += usize::from(done.rows_by_kind.values().sum::<u64>() > before);
        Ok(())
    }

    async fn retain_segment(
        &self,
        segment: &Segment,
        done: &mut Retained,
    ) -> Result<(), StoreError> {
        let opened = self.store.open(segment).await?;
        check(self.store, self.table, segment, &opened)?;
        if self.table == table::QUARANTINE {
            let bodies = opened.metadata().file_metadata().num_rows();
            if !self.settings.dry_run {
                remove(self.store, self.table, segment.day, [segment]).await?;
            }
            done.bodies += u64::try_from(bodies).unwrap_or_default();
            return Ok(());
        }
        let mut old: BTreeMap<String, u64> = BTreeMap::new();
        let count = |rows: &RecordBatch| {
            for kind in kinds(self.store, segment, rows)? {
                if self.is_old(kind) {
                    *old.entry(kind.to_owned()).or_default() += 1;
                }
            }
            Ok(())
        };
        let rows = self.store.read(segment, Some(&[table::KIND]), count).await?;
        let count = old.values().sum::<u64>();
        if !self.settings.dry_run {
            if count == rows {
                remove(self.store, self.table, segment.day, [segment]).await?;
            } else if count > 0 {
                let kept = |rows: &RecordBatch| {
                    let kept: Vec<bool> = kinds(self.store, segment, rows)?
                        .into_iter()
                        .map(|kind| !self.is_old(kind))
                        .collect();
                    filter_record_batch(rows, &BooleanArray::from(kept))
                        .map_err(|error| StoreError::Build(error.to_string()))
                };
                rewrite(self.store, self.table, segment, self.now, kept).await?;
            }
        }
        for (kind, count) in old {
            *done.rows_by_kind.entry(kind).or_default() += count;
        }
        Ok(())
    }

    fn is_old(&self, kind: &str) -> bool {
        let kinds = &self.settings.kinds;
        kinds.is_empty() || kinds.iter().any(|old| old.as_str() == kind)
    }
}

/// The kinds of rows.
fn kinds<'r>(
    store: &Store,
    segment: &Segment,
    rows: &'r RecordBatch,
) -> Result<Vec<&'r str>, StoreError> {
    rows.column_by_name(table::KIND)
        .and_then(|column| column.as_string_opt::<i32>())
        .map(|kinds| kinds.iter().map(Option::unwrap_or_default).collect())
        .ok_or_else(|| store.wrong(segment, &"it has no kinds of events"))
}

/// Keeps what cannot be read for the answer; somebody else may have removed a segment meanwhile.
fn told(error: StoreError, done: &mut Retained) -> Result<(), StoreError> {
    match error {
        StoreError::Read { path, why } => done.problems.push(Problem { path, problem: why }),
        error if error.is_gone() => {}
        error => return Err(error),
    }
    Ok(())
}
