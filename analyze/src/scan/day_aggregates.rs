//! Daily aggregates that depend on the rows of one day only.

use std::collections::BTreeSet;

use bouncewatch_schemas::time::day_of;

use crate::error::AnalyzeError;
use crate::scan::daily::{AggregateFolder, DailyAggregate, TimelineDelta};
use crate::scan::parallel::parallel_map;
use crate::scan::store_scan::StoreScan;

/// Whether a day is closed: no further events are expected, so its aggregates are stored.
pub(super) fn is_closed(day: i64, to: i64) -> bool {
    day < day_of(to)
}

/// Returns the aggregates of `days` in their order. Each depends on the rows of its day only.
pub(super) fn aggregates_of_days(
    scan: &StoreScan,
    folder: &AggregateFolder,
    days: BTreeSet<i64>,
    to: i64,
    build: impl Fn(i64) -> Result<TimelineDelta, AnalyzeError> + Sync,
) -> Result<Vec<DailyAggregate>, AnalyzeError> {
    let of_day = |day| read_or_build(scan, folder, day, to, &build);
    let aggregates = parallel_map(days, of_day).into_iter().collect();
    folder.finish(&scan.days(i64::MIN, i64::MAX));
    aggregates
}

/// Reads the aggregates of a day. If none are stored, builds them; stores them if the day is
/// closed.
pub(super) fn read_or_build(
    scan: &StoreScan,
    folder: &AggregateFolder,
    day: i64,
    to: i64,
    build: impl Fn(i64) -> Result<TimelineDelta, AnalyzeError>,
) -> Result<DailyAggregate, AnalyzeError> {
    let fingerprint = scan.fingerprint(day, day);
    let stored = if is_closed(day, to) { folder.read(day, |_| fingerprint) } else { None };
    if let Some(aggregate) = stored {
        return Ok(aggregate);
    }
    let mut aggregate = DailyAggregate::new(build(day)?, fingerprint, day, scan.limits.long_list);
    if is_closed(day, to) {
        folder.save(day, &mut aggregate);
    }
    Ok(aggregate)
}
