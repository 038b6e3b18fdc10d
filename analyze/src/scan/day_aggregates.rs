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
    // the newest day is open in most runs, so to look for its aggregates would be a request without a result
    let may_be_stored = is_closed(day, to) || scan.last_day().is_some_and(|last| day < last);
    let stored = if may_be_stored { folder.read(day, |_| fingerprint) } else { None };
    if let Some(aggregate) = stored {
        return Ok(aggregate);
    }
    let mut aggregate = DailyAggregate::new(build(day)?, fingerprint, day, scan.limits.long_list);
    if is_closed(day, to) {
        folder.save(day, &mut aggregate);
    }
    Ok(aggregate)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use bouncewatch_schemas::event::Service;
    use bouncewatch_schemas::time::DAY_MS;

    use super::*;
    use crate::scan::daily::Measure;
    use crate::scan::test_store::{TestRow, open_in_parts, publish};
    use crate::timeline::Basis;

    #[test]
    fn aggregates_of_a_later_run_are_read_by_a_run_for_an_earlier_time() {
        let store = tempfile::tempdir().unwrap();
        for day in 1..=3 {
            publish(
                store.path(),
                "a.parquet",
                &[TestRow { at: day * DAY_MS, ..TestRow::default() }],
            );
        }
        let scan = open_in_parts(store.path());
        let of = (Basis::Event, Service::Ses);
        let folder = AggregateFolder::new(&scan.store, Measure::DomainProviders, of, &[], &[]);
        let is_built = |day, to| {
            let is_built = Cell::new(false);
            let build = |_| {
                is_built.set(true);
                Ok(TimelineDelta::default())
            };
            read_or_build(&scan, &folder, day, to, build).unwrap();
            is_built.get()
        };
        let (later, earlier) = (3 * DAY_MS, DAY_MS);
        assert_eq!([2, 3].map(|day| is_built(day, later)), [true, true]);
        // day 2 is open at the earlier time, but stored; day 3 is open at both times
        assert_eq!([2, 3].map(|day| is_built(day, earlier)), [false, true]);
    }
}
