//! Many segments of a day -> one sealed set, with the copies of events merged where that loses nothing.
//!
//! The order is always: publish what replaces, durably; then, when no reader can have them open any more, remove what
//! was replaced. What a crash or a second compactor leaves are copies, which the scan counts once.

use bouncewatch_schemas::table;
use bouncewatch_schemas::time::{day_of, format_day};
use bouncewatch_schemas::volume::VOLUMES;
use serde::Serialize;

use super::compact_volumes::{self, CompactedVolumes};
use super::day::{Day, remove};
use super::inspect::Problem;
use super::rewrite::days;
use super::seal::{Sealed, Task};
use super::{Segment, Store, StoreError};

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

/// Compacts every day that needs it of the tables that have days, and the table of volumes.
///
/// # Errors
/// If the store cannot be listed or written. A day whose segments cannot be read is left, and told.
pub async fn compact(
    store: &Store,
    settings: &Settings,
    now: i64,
) -> Result<Compacted, StoreError> {
    let mut done = Compacted { version: 1, dry_run: settings.dry_run, ..Compacted::default() };
    for table in [table::EVENTS, table::QUARANTINE] {
        let mut days = days(store, table).await?;
        days.retain(|day, _| settings.until_day.is_none_or(|until| *day <= until));
        for (day, segments) in days {
            let one = OneDay { store, settings, now, table, day };
            let compacted = one.compact(segments, &mut done).await;
            left(compacted, &one.name(), &mut done)?;
        }
    }
    let compacted = compact_volumes::compact(store, settings, now, &mut done).await;
    left(compacted, VOLUMES, &mut done)?;
    Ok(done)
}

/// Tells why something was left, where it is no reason to stop.
fn left(
    compacted: Result<(), StoreError>,
    name: &str,
    done: &mut Compacted,
) -> Result<(), StoreError> {
    match compacted {
        Err(error) if error.is_gone() => done.skipped.push(name.to_owned()),
        Err(StoreError::Read { path, why }) => done.problems.push(Problem { path, problem: why }),
        other => return other,
    }
    Ok(())
}

struct OneDay<'a> {
    store: &'a Store,
    settings: &'a Settings,
    now: i64,
    table: &'static str,
    day: i64,
}

impl OneDay<'_> {
    fn name(&self) -> String {
        format!("{}/{}{}", self.table, table::DATE_PREFIX, format_day(self.day))
    }

    async fn compact(
        &self,
        segments: Vec<Segment>,
        done: &mut Compacted,
    ) -> Result<(), StoreError> {
        let mut day = Day::of(self.store, self.table, segments).await?;
        self.remove_replaced(&mut day, done).await?;
        let is_over = self.day < day_of(self.now);
        let is_enough = is_over || day.live.len() >= self.settings.limits.open_day_segments_min;
        if day.is_sealed || !is_enough || day.live.is_empty() {
            done.days_left += 1;
            done.inputs_waiting += day.replaced.len();
            return Ok(());
        }
        let task = Task {
            store: self.store,
            table: self.table,
            day: self.day,
            live: &day.live,
            inputs: day.names().into_iter().collect::<Vec<_>>().join("\n"),
            limits: &self.settings.limits,
            now: self.now,
        };
        if self.settings.dry_run {
            let rows = task.size().await?.rows;
            done.inputs_waiting += day.replaced.len();
            done.days.push(self.told(&day.live, rows, None));
            return Ok(());
        }
        let sealed = match self.table {
            table::EVENTS => task.events().await?,
            _ => task.quarantine().await?,
        };
        let Some(sealed) = sealed else {
            done.skipped.push(self.name());
            return Ok(());
        };
        done.days.push(self.told(&day.live, sealed.rows_before, Some(&sealed)));
        let replaced = day.replaced.iter().map(|(segment, _)| segment).chain(&day.live);
        if self.settings.grace_ms <= 0 {
            done.inputs_removed += replaced.clone().count();
            remove(self.store, self.table, self.day, replaced).await?;
        } else {
            done.inputs_waiting += replaced.count();
        }
        Ok(())
    }

    /// Removes what was replaced long enough ago.
    async fn remove_replaced(&self, day: &mut Day, done: &mut Compacted) -> Result<(), StoreError> {
        let is_due = |at: i64| self.now.saturating_sub(at) >= self.settings.grace_ms;
        let (due, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut day.replaced).into_iter().partition(|(_, at)| is_due(*at));
        day.replaced = waiting;
        done.inputs_removed += due.len();
        if self.settings.dry_run || due.is_empty() {
            return Ok(());
        }
        remove(self.store, self.table, self.day, due.iter().map(|(segment, _)| segment)).await
    }

    fn told(&self, live: &[Segment], rows: u64, sealed: Option<&Sealed>) -> CompactedDay {
        CompactedDay {
            table: self.table,
            day: format_day(self.day),
            segments_before: live.len(),
            segments_after: sealed.map(|sealed| sealed.segments),
            rows_before: rows,
            rows_after: sealed.map(|sealed| sealed.rows),
            copies_merged: sealed.map(|sealed| rows.saturating_sub(sealed.rows)),
            contradictions_kept: sealed.map(|sealed| sealed.contradicted),
            bytes_before: live.iter().map(|segment| segment.bytes).sum(),
            bytes_after: sealed.map(|sealed| sealed.bytes),
        }
    }
}
