//! What a listing of one day says: which segments hold its rows, and which were replaced and wait to be removed.
//!
//! The footer of a sealed segment names the segments that it was made of. They are replaced as soon as the whole set
//! is there, and are removed when it is so old that no reader has them open any more.

use std::collections::{BTreeMap, BTreeSet};

use crate::compacted_name::{SealedName, is_sealed, whole_sets};
use bouncewatch_schemas::table;

use crate::error::StoreError;
use crate::open::{Segment, Store};
use crate::read::{check_footer, footer};

/// One day of a table.
#[derive(Debug)]
pub(super) struct Day {
    /// Segments that hold the day's rows.
    pub(super) live: Vec<Segment>,
    /// Replaced segments, each with the time at which what replaces it was published.
    pub(super) replaced: Vec<(Segment, i64)>,
    /// Whether the live segments are exactly one whole sealed set.
    pub(super) is_sealed: bool,
}

impl Day {
    /// Looks at the segments of a day.
    ///
    /// # Errors
    /// If the footer of a sealed segment cannot be read.
    pub(super) async fn of(
        store: &Store,
        table: &str,
        segments: Vec<Segment>,
    ) -> Result<Self, StoreError> {
        let names = || segments.iter().map(Segment::name);
        if is_sealed(names()) {
            return Ok(Self { live: segments, replaced: Vec::new(), is_sealed: true });
        }
        let mut replaced_at: BTreeMap<String, i64> = BTreeMap::new();
        for (set, parts) in whole_sets(names()) {
            let parts = segments.iter().filter(|segment| parts.contains(&segment.name()));
            let parts: Vec<&Segment> = parts.collect();
            // all parts of a set name the same inputs
            let Some(first) = parts.first() else { continue };
            let published_at = parts.iter().map(|part| part.published_at).max();
            for input in inputs(store, table, first).await? {
                // a segment is never made of itself, whatever a footer says
                if SealedName::parse(&input).is_none_or(|input| input.set != set) {
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
        let is_sealed = is_sealed(live.iter().map(Segment::name));
        Ok(Self { live, replaced, is_sealed })
    }

    /// The names of all its segments, for the footer of what replaces them.
    pub(super) fn names(&self) -> BTreeSet<&str> {
        let replaced = self.replaced.iter().map(|(segment, _)| segment);
        self.live.iter().chain(replaced).map(Segment::name).collect()
    }
}

/// The names of the segments that a sealed segment was made of.
async fn inputs(store: &Store, table: &str, segment: &Segment) -> Result<Vec<String>, StoreError> {
    let opened = store.open(segment).await?;
    check_footer(&opened, table).map_err(|why| store.wrong(segment, &why))?;
    let names = footer(&opened, table::INPUTS_KEY).unwrap_or_default().lines();
    Ok(names.map(str::to_owned).collect())
}

/// Removes segments of a day whose rows stand elsewhere.
///
/// # Errors
/// If what replaces them cannot be made sure to last, or one cannot be removed.
pub(super) async fn remove<'a>(
    store: &Store,
    table: &str,
    day: i64,
    segments: impl IntoIterator<Item = &'a Segment>,
) -> Result<(), StoreError> {
    // whoever published the rows may not have lived to make the names of their files durable
    store.sync_day(table, day)?;
    for segment in segments {
        store.delete(&segment.path).await?;
    }
    store.sync_day(table, day)
}

/// The segments of a table by day.
pub(super) async fn days(
    store: &Store,
    table: &str,
) -> Result<BTreeMap<i64, Vec<Segment>>, StoreError> {
    let mut days: BTreeMap<i64, Vec<Segment>> = BTreeMap::new();
    for segment in store.segments(table).await? {
        days.entry(segment.day).or_default().push(segment);
    }
    Ok(days)
}
