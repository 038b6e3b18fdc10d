//! [`StoredCounts`]: stored send counts, and the changes of an import. No I/O.

use std::collections::BTreeMap;

use bouncewatch_schemas::send_counts::{SendCountRow, SendCountValues, effective};
use bouncewatch_schemas::time::format_ms;

/// How an imported point compares with the stored one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PointChange {
    /// The point was not stored.
    New,
    /// The point was stored with different counts.
    Changed,
    /// The point was stored with the same counts, or by a newer import.
    Unchanged,
}

/// Whether the interval of a point was over when it was imported.
pub(super) fn is_complete(point: &SendCountRow) -> bool {
    point.end <= point.received_at
}

/// The newest import of each stored point, with the changes of this import.
#[derive(Debug, Default)]
pub(super) struct StoredCounts {
    /// Points by key.
    points: BTreeMap<u64, SendCountRow>,
    /// Keys of the points with a count other than zero, by series, then by (begin, end).
    intervals: BTreeMap<u64, BTreeMap<(i64, i64), u64>>,
    /// Counts of the points of this import, by key.
    imported: BTreeMap<u64, SendCountValues>,
    /// Rows to write, by key.
    changed: BTreeMap<u64, SendCountRow>,
}

impl StoredCounts {
    /// Stored counts with the given rows.
    pub(super) fn new(rows: Vec<SendCountRow>) -> Self {
        let mut stored = Self::default();
        for point in effective(rows) {
            stored.insert(point);
        }
        stored
    }

    fn insert(&mut self, point: SendCountRow) {
        let key = point.point_key();
        let intervals = self.intervals.entry(point.series_key()).or_default();
        let interval = (point.begin, point.end);
        if point.counts.is_zero() {
            intervals.remove(&interval);
        } else {
            intervals.insert(interval, key);
        }
        self.points.insert(key, point);
    }

    /// The point with a key.
    pub(super) fn point(&self, key: u64) -> Option<&SendCountRow> {
        self.points.get(&key)
    }

    /// The points of a series with a count other than zero, in order of time.
    pub(super) fn series(&self, series: u64) -> impl DoubleEndedIterator<Item = &SendCountRow> {
        let keys = self.intervals.get(&series).into_iter().flat_map(BTreeMap::values);
        keys.filter_map(|key| self.points.get(key))
    }

    /// Applies an imported point. A new or changed point is written. An unchanged point is written
    /// once more when its interval is over.
    pub(super) fn apply(&mut self, point: SendCountRow) -> PointChange {
        let key = point.point_key();
        self.imported.insert(key, point.counts);
        let change = match self.points.get(&key) {
            None => PointChange::New,
            Some(stored) if !point.supersedes(stored) => return PointChange::Unchanged,
            Some(stored) if stored.counts != point.counts => PointChange::Changed,
            Some(stored) if is_complete(stored) || !is_complete(&point) => {
                return PointChange::Unchanged;
            }
            // written again, so that the store records it as complete
            Some(_) => PointChange::Unchanged,
        };
        self.changed.insert(key, point.clone());
        self.insert(point);
        change
    }

    /// Reason to reject a point of a file: an earlier line has different counts for the same point,
    /// or a stored point overlaps it, so that mails would count twice.
    pub(super) fn conflict(&self, point: &SendCountRow) -> Option<String> {
        if self.imported.get(&point.point_key()).is_some_and(|counts| *counts != point.counts) {
            return Some("an earlier line has other counts for the same interval and scope; is a column missing that distinguishes the lines?".to_owned());
        }
        if point.counts.is_zero() {
            return None;
        }
        let intervals = self.intervals.get(&point.series_key())?;
        // stored intervals do not overlap each other: only the last one that starts before the end
        // can overlap
        let (interval, key) = intervals.range(..(point.end, i64::MIN)).next_back()?;
        let (begin, end) = *interval;
        if end <= point.begin || *interval == (point.begin, point.end) {
            return None;
        }
        let origin = &self.points.get(key)?.origin;
        Some(format!(
            "the interval overlaps a stored one of the same scope, {} to {} from `{origin}`: mails would count twice; use the same interval, or remove this line",
            format_ms(begin),
            format_ms(end),
        ))
    }

    /// The rows to write.
    pub(super) fn into_changed(self) -> Vec<SendCountRow> {
        self.changed.into_values().collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A point of an account.
    pub(in crate::send_counts) fn point(
        begin: i64,
        end: i64,
        attempts: i64,
        received_at: i64,
    ) -> SendCountRow {
        SendCountRow {
            begin,
            end,
            account: Some("123456789012".to_owned()),
            region: Some("eu-west-1".to_owned()),
            scope: BTreeMap::new(),
            counts: SendCountValues { attempts, ..SendCountValues::default() },
            received_at,
            origin: "a.csv".to_owned(),
        }
    }

    #[test]
    fn apply_writes_only_new_and_changed_points() {
        let mut stored =
            StoredCounts::new(vec![point(0, 10, 5, 21), point(0, 10, 6, 22), point(10, 20, 1, 21)]);
        assert_eq!(stored.apply(point(0, 10, 6, 23)), PointChange::Unchanged);
        assert_eq!(stored.apply(point(10, 20, 2, 23)), PointChange::Changed);
        assert_eq!(stored.apply(point(20, 30, 2, 23)), PointChange::New);
        // an older import does not replace a newer one
        assert_eq!(stored.apply(point(10, 20, 9, 0)), PointChange::Unchanged);
        let written: Vec<i64> = stored.into_changed().iter().map(|row| row.begin).collect();
        assert_eq!(written.len(), 2, "{written:?}");
        assert!(written.contains(&10) && written.contains(&20));
    }

    #[test]
    fn apply_writes_an_unchanged_point_once_when_it_is_complete() {
        let mut stored = StoredCounts::new(vec![point(0, 10, 5, 4)]);
        assert_eq!(stored.apply(point(0, 10, 5, 6)), PointChange::Unchanged);
        assert_eq!(stored.apply(point(0, 10, 5, 10)), PointChange::Unchanged);
        assert_eq!(stored.apply(point(0, 10, 5, 12)), PointChange::Unchanged);
        assert_eq!(stored.into_changed(), [point(0, 10, 5, 10)]);
    }

    #[test]
    fn conflict_rejects_overlapping_intervals() {
        let stored = StoredCounts::new(vec![point(10, 20, 5, 1), point(20, 30, 0, 1)]);
        for (begin, end, is_rejected) in [
            (0, 10, false),
            (0, 11, true),
            (10, 20, false),
            (10, 19, true),
            (12, 15, true),
            (5, 40, true),
            // the stored point has no mail
            (20, 40, false),
            (25, 26, false),
        ] {
            let reason = stored.conflict(&point(begin, end, 1, 2));
            assert_eq!(reason.is_some(), is_rejected, "{begin} to {end}: {reason:?}");
        }
        let mut other_series = point(12, 15, 1, 2);
        other_series.region = None;
        assert_eq!(stored.conflict(&other_series), None);
    }

    #[test]
    fn conflict_rejects_other_counts_in_the_same_file() {
        for attempts in [5, 6] {
            let mut stored = StoredCounts::new(vec![point(0, 10, attempts, 1)]);
            assert_eq!(stored.conflict(&point(0, 10, 6, 2)), None);
            stored.apply(point(0, 10, 6, 2));
            assert_eq!(stored.conflict(&point(0, 10, 6, 2)), None);
            let reason = stored.conflict(&point(0, 10, 7, 2)).unwrap();
            assert!(reason.contains("an earlier line"), "{reason}");
        }
    }
}
