//! Live and replaced segments of one day.
//!
//! The footer of a compacted segment names its input segments. Once the compacted set is complete, its inputs are
//! replaced. They are removed after a grace period, when no reader has them open any more.

use std::collections::{BTreeMap, BTreeSet};

use bouncewatch_schemas::table;

use crate::compacted_name::{CompactedName, complete_sets, is_compacted};
use crate::error::StoreError;
use crate::open::{Segment, Store};
use crate::read::footer_value;

/// The segments of one day of a table, or all files of the table of send counts.
#[derive(Debug)]
pub(crate) struct DaySegments {
    /// Segments that contain the rows of the day.
    pub(crate) live: Vec<Segment>,
    /// Replaced segments, each with the time when its replacement was published, epoch milliseconds.
    pub(crate) replaced: Vec<(Segment, i64)>,
    /// Whether the live segments are exactly one complete compacted set.
    pub(crate) is_compacted: bool,
}

impl DaySegments {
    /// Splits a listing of one day into live and replaced segments.
    ///
    /// # Errors
    /// If a compacted segment that replaces others is damaged or cannot be read.
    pub(crate) async fn split(
        store: &Store,
        table: &'static str,
        segments: Vec<Segment>,
    ) -> Result<Self, StoreError> {
        let names = || segments.iter().map(Segment::name);
        if is_compacted(names()) {
            return Ok(Self { live: segments, replaced: Vec::new(), is_compacted: true });
        }
        let mut replaced_at: BTreeMap<String, i64> = BTreeMap::new();
        for (set, parts) in complete_sets(names()) {
            let parts = segments.iter().filter(|segment| parts.contains(&segment.name()));
            let parts: Vec<&Segment> = parts.collect();
            // all parts of a set name the same inputs
            let Some(first) = parts.first() else { continue };
            let published_at = parts.iter().map(|part| part.published_at).max();
            let inputs = inputs(store, table, first).await?;
            if segments.iter().any(|segment| inputs.iter().any(|input| input == segment.name())) {
                // a damaged set replaces nothing: its inputs are the only other copy of the rows
                for part in parts.iter().skip(1) {
                    store.open_checked(table, part).await?;
                }
            }
            for input in inputs {
                // a damaged footer must not make a set replace itself
                if CompactedName::parse(&input).is_none_or(|input| input.set != set) {
                    let at = replaced_at.entry(input).or_insert(i64::MAX);
                    *at = (*at).min(published_at.unwrap_or(i64::MAX));
                }
            }
        }
        let (mut live, mut replaced) = (Vec::new(), Vec::new());
        for segment in segments {
            match replaced_at.get(segment.name()) {
                Some(at) => replaced.push((segment, *at)),
                None => live.push(segment),
            }
        }
        let is_compacted = is_compacted(live.iter().map(Segment::name));
        Ok(Self { live, replaced, is_compacted })
    }

    /// Names of all segments, one per line: the value of [`table::INPUTS_KEY`] in the replacement.
    pub(crate) fn inputs_value(&self) -> String {
        let names: BTreeSet<&str> = self.all().map(Segment::name).collect();
        names.into_iter().collect::<Vec<_>>().join("\n")
    }

    /// All segments, live and replaced.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Segment> + Clone {
        self.replaced_segments().chain(&self.live)
    }

    /// The replaced segments.
    pub(crate) fn replaced_segments(&self) -> impl Iterator<Item = &Segment> + Clone {
        self.replaced.iter().map(|(segment, _)| segment)
    }

    /// Removes from `self.replaced`, and returns, the segments that were replaced at least
    /// `grace_ms` ago.
    pub(crate) fn take_expired(&mut self, now: i64, grace_ms: i64) -> Vec<Segment> {
        let is_expired = |at: i64| now.saturating_sub(at) >= grace_ms;
        let (expired, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.replaced).into_iter().partition(|(_, at)| is_expired(*at));
        self.replaced = waiting;
        expired.into_iter().map(|(segment, _)| segment).collect()
    }
}

/// Names of the segments that a compacted segment was made from.
async fn inputs(
    store: &Store,
    table: &'static str,
    segment: &Segment,
) -> Result<Vec<String>, StoreError> {
    let (opened, _) = store.open_checked(table, segment).await?;
    let names = footer_value(&opened, table::INPUTS_KEY).unwrap_or_default().lines();
    Ok(names.map(str::to_owned).collect())
}

/// Removes segments of a day after their rows were published elsewhere.
///
/// # Errors
/// If the replacement cannot be made durable, or a segment cannot be removed.
pub(crate) async fn remove_segments<'a>(
    store: &Store,
    table: &str,
    day: i64,
    segments: impl IntoIterator<Item = &'a Segment>,
) -> Result<(), StoreError> {
    // the process that published the replacement may have died before it synced the folder
    store.sync_day(table, day)?;
    for segment in segments {
        store.delete(&segment.path).await?;
    }
    store.sync_day(table, day)
}

/// The segments of a table by day.
pub(crate) async fn segments_by_day(
    store: &Store,
    table: &str,
) -> Result<BTreeMap<i64, Vec<Segment>>, StoreError> {
    let mut days: BTreeMap<i64, Vec<Segment>> = BTreeMap::new();
    for segment in store.segments(table).await? {
        days.entry(segment.day).or_default().push(segment);
    }
    Ok(days)
}
