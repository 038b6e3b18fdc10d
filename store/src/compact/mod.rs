//! Many segments of a day -> one sealed set, with the copies of events merged where that loses nothing.
//!
//! The order is always: publish what replaces, durably; then, when no reader can have them open any more, remove what
//! was replaced. What a crash or a second compactor leaves are copies, which the scan counts once.

pub(crate) mod events;
mod merge;
mod plan;
mod quarantine;
mod send_counts;

use bouncewatch_schemas::table;
use bouncewatch_schemas::time::{day_of, format_day};
use bouncewatch_schemas::volume::VOLUMES;

use crate::compact::events::{Sealed, Task};
pub use crate::compact::plan::{Compacted, CompactedDay, CompactedVolumes, Limits, Settings};
use crate::day::{Day, days, remove};
use crate::error::Problem;
use crate::error::StoreError;
use crate::open::{Segment, Store};

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
    let compacted = send_counts::compact(store, settings, now, &mut done).await;
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
