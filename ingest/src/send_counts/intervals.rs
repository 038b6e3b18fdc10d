//! Reconciles the points of SES statistics with the points of earlier imports. No I/O.
//!
//! AWS documents that a point covers 15 minutes and that a response covers the last two weeks. It
//! documents the timestamp only as the "time of the data point" (SES API reference,
//! `SendDataPoint`); this module takes it as the start of the interval. AWS does not document at
//! which minutes intervals start: in its three sample responses (SES API reference, AWS CLI, boto3)
//! they start at minutes :08, :02 and :13. So two responses can have different intervals.
//!
//! If the intervals are the same, a new point replaces the stored one. If they differ, new points
//! overlap stored ones, and each mail must still count once:
//!
//! - Points that were complete when they were imported are kept. The end of the last one is the
//!   frontier.
//! - If a new point crosses the frontier, only the part after the frontier is stored.
//! - Points that were incomplete are set to zero if a new point overlaps them.

use std::collections::{BTreeMap, BTreeSet};

use bouncewatch_schemas::send_counts::{SendCountRow, SendCountValues};

use crate::send_counts::existing::{StoredCounts, is_complete};

/// Length of a point.
pub(super) const POINT_MS: i64 = 15 * 60 * 1000;
/// Time range of a response.
const RESPONSE_RANGE_MS: i64 = 14 * 24 * 3_600_000;

/// Result of [`reconcile`].
#[derive(Debug, Default)]
pub(super) struct Reconciled {
    /// Points to store.
    pub(super) points: Vec<SendCountRow>,
    /// Incomplete points of earlier imports, set to zero because new points replace them.
    pub(super) superseded: Vec<SendCountRow>,
    /// Number of points that are skipped because stored points already count their mails.
    pub(super) covered: u64,
}

/// Reconciles the points of a response of SES, received at `now`, with the stored points of its account and region.
pub(super) fn reconcile(
    stored: &StoredCounts,
    mut response: Vec<SendCountRow>,
    now: i64,
) -> Reconciled {
    let mut result = Reconciled::default();
    response.sort();
    let Some(first) = response.first() else { return result };
    let (own, other): (Vec<&SendCountRow>, Vec<&SendCountRow>) =
        stored.series(first.series_key()).partition(|point| point.origin == first.origin);
    let (complete, incomplete): (Vec<&SendCountRow>, Vec<&SendCountRow>) =
        own.into_iter().partition(|point| is_complete(point));
    let frontier = complete.iter().map(|point| point.end).max().unwrap_or(i64::MIN);
    let other = Intervals::new(&other);
    let settled = Intervals::new(&complete);
    let overlapping: Vec<&SendCountRow> =
        response.iter().filter(|point| settled.overlaps(point)).collect();
    for point in &response {
        let is_stored =
            stored.point(point.point_key()).is_some_and(|stored| !stored.counts.is_zero());
        // the first point starts before the two weeks of the response: its counts are incomplete
        let is_truncated = point.begin < now.saturating_sub(RESPONSE_RANGE_MS);
        if is_stored && !is_truncated {
            result.points.push(point.clone());
        } else if is_stored || other.overlaps(point) {
            result.covered += 1;
        } else if point.begin >= frontier || !settled.overlaps(point) {
            result.points.push(point.clone());
        } else if let Some(rest) = part_after(frontier, point, &complete, &overlapping) {
            result.points.push(rest);
        } else {
            result.covered += 1;
        }
    }
    let keys: BTreeSet<u64> = result.points.iter().map(SendCountRow::point_key).collect();
    let new = Intervals::new(&result.points.iter().collect::<Vec<_>>());
    let is_superseded =
        |point: &&&SendCountRow| new.overlaps(point) && !keys.contains(&point.point_key());
    let superseded = incomplete.iter().filter(is_superseded).map(|point| SendCountRow {
        counts: SendCountValues::default(),
        received_at: now,
        ..(*point).clone()
    });
    result.superseded = superseded.collect();
    result
}

/// The part of a point after the frontier; `None` if no mails remain.
///
/// Its counts are the mails of the response since the last common gap, minus the mails of the
/// stored points since then. Without a common gap, they are a share of the point, proportional to
/// time.
fn part_after(
    frontier: i64,
    point: &SendCountRow,
    complete: &[&SendCountRow],
    response: &[&SendCountRow],
) -> Option<SendCountRow> {
    if point.end <= frontier {
        return None;
    }
    let gap = last_common_gap(point, complete, response);
    let count = |value: fn(&SendCountRow) -> i64| -> i64 {
        let Some(gap) = gap else {
            let (part, all) = (point.end - frontier, point.end - point.begin);
            return (value(point) * part + all / 2) / all;
        };
        let is_since_gap = |row: &&SendCountRow| row.begin >= gap && row.end <= point.end;
        let sum = |rows: &[&SendCountRow]| -> i64 {
            rows.iter().copied().filter(is_since_gap).map(value).sum()
        };
        (sum(response) - sum(complete)).clamp(0, value(point))
    };
    let counts = SendCountValues {
        attempts: count(|row| row.counts.attempts),
        bounces: Some(count(|row| row.counts.bounces.unwrap_or_default())),
        complaints: Some(count(|row| row.counts.complaints.unwrap_or_default())),
        rejects: Some(count(|row| row.counts.rejects.unwrap_or_default())),
    };
    let rest = SendCountRow { begin: frontier, counts, ..point.clone() };
    (!counts.is_zero()).then_some(rest)
}

/// The last time at or before the start of `point` that lies within no stored point and no point of
/// the response. `None` if it is before the two weeks of the response.
fn last_common_gap(
    point: &SendCountRow,
    complete: &[&SendCountRow],
    response: &[&SendCountRow],
) -> Option<i64> {
    let response_start = point.received_at.saturating_sub(RESPONSE_RANGE_MS);
    let mut moment = point.begin;
    loop {
        let rows = complete.iter().chain(response);
        let crossing = rows.filter(|row| row.begin < moment && row.end > moment);
        match crossing.map(|row| row.begin).min() {
            None => return (moment >= response_start).then_some(moment),
            Some(begin) if begin < response_start => return None,
            Some(begin) => moment = begin,
        }
    }
}

/// Intervals that do not overlap each other, as a map from begin to end.
struct Intervals(BTreeMap<i64, i64>);

impl Intervals {
    fn new(points: &[&SendCountRow]) -> Self {
        let mut intervals = BTreeMap::new();
        for point in points {
            let end = intervals.entry(point.begin).or_insert(point.end);
            *end = point.end.max(*end);
        }
        Self(intervals)
    }

    /// Whether an interval overlaps a point. Checks only the last interval that starts before the
    /// end of the point: earlier ones end before it starts.
    fn overlaps(&self, point: &SendCountRow) -> bool {
        self.0.range(..point.end).next_back().is_some_and(|(_, end)| *end > point.begin)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::send_counts::existing::tests::point;

    const MINUTE: i64 = 60_000;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    /// Time of the first mail.
    const START: i64 = 1_790_000_000_000 / DAY * DAY;

    fn statistics(begin: i64, attempts: i64, received_at: i64) -> SendCountRow {
        let mut point = point(begin, begin + POINT_MS, attempts, received_at);
        point.origin = "ses-statistics:eu-west-1".to_owned();
        let zero = Some(0);
        point.counts = SendCountValues { attempts, bounces: zero, complaints: zero, rejects: zero };
        point
    }

    /// Response of SES at `now`. Intervals start at `phase` modulo 15 minutes.
    fn response(mails: &[i64], now: i64, phase: i64) -> Vec<SendCountRow> {
        let mut counts: BTreeMap<i64, i64> = BTreeMap::new();
        for mail in mails.iter().filter(|mail| **mail < now && **mail >= now - RESPONSE_RANGE_MS) {
            *counts.entry((mail - phase).div_euclid(POINT_MS) * POINT_MS + phase).or_default() += 1;
        }
        counts.into_iter().map(|(begin, count)| statistics(begin, count, now)).collect()
    }

    /// Points with mail after the responses of several calls (time, phase) were imported in order.
    fn imported(mails: &[i64], calls: &[(i64, i64)]) -> Vec<SendCountRow> {
        let mut rows: Vec<SendCountRow> = Vec::new();
        for (now, phase) in calls {
            let mut stored = StoredCounts::new(rows.clone());
            let result = reconcile(&stored, response(mails, *now, *phase), *now);
            for point in result.points.into_iter().chain(result.superseded) {
                stored.apply(point);
            }
            rows.extend(stored.into_changed());
        }
        bouncewatch_schemas::send_counts::effective(rows)
            .into_iter()
            .filter(|point| !point.counts.is_zero())
            .collect()
    }

    fn attempts(points: &[SendCountRow]) -> i64 {
        points.iter().map(|point| point.counts.attempts).sum()
    }

    fn assert_no_overlap(points: &[SendCountRow]) {
        for pair in points.windows(2) {
            assert!(pair[0].end <= pair[1].begin, "{pair:?}");
        }
    }

    /// Times of mails, from the gaps between them.
    fn mails(gaps: &[i64]) -> Vec<i64> {
        let mut at = START;
        let mail = |gap: &i64| {
            at += gap;
            at
        };
        gaps.iter().map(mail).collect()
    }

    /// Time and phase of calls, at most two weeks apart.
    fn calls() -> impl Strategy<Value = Vec<(i64, i64)>> {
        let call = (1..40_i64, 0..15_i64).prop_map(|(quarters, phase)| (quarters * 7, phase));
        proptest::collection::vec(call, 1..12).prop_map(|calls| {
            let mut now = START;
            let call = |(minutes, phase): (i64, i64)| {
                now += minutes * MINUTE;
                (now, phase * MINUTE)
            };
            calls.into_iter().map(call).collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn same_intervals_give_exact_counts(
            gaps in proptest::collection::vec(0..40 * MINUTE, 0..200), calls in calls(), phase in 0..15_i64,
        ) {
            let mails = mails(&gaps);
            let calls: Vec<_> = calls.iter().map(|(now, _)| (*now, phase * MINUTE)).collect();
            let (now, phase) = calls[calls.len() - 1];
            let summary = |points: Vec<SendCountRow>| -> Vec<(i64, i64)> {
                points.iter().map(|point| (point.begin, point.counts.attempts)).collect()
            };
            prop_assert_eq!(summary(imported(&mails, &calls)), summary(response(&mails, now, phase)));
        }

        #[test]
        fn other_intervals_count_each_mail_once_if_there_are_pauses(
            gaps in proptest::collection::vec(prop_oneof![8 => 0..2 * MINUTE, 1 => 31 * MINUTE..90 * MINUTE], 0..200),
            calls in calls(),
        ) {
            let mails = mails(&gaps);
            let points = imported(&mails, &calls);
            assert_no_overlap(&points);
            let (now, _) = calls[calls.len() - 1];
            prop_assert_eq!(attempts(&points), attempts(&response(&mails, now, 0)));
        }

        #[test]
        fn without_pauses_the_error_is_at_most_one_mail_per_call(calls in calls(), every in 3..60_i64) {
            let (now, _) = calls[calls.len() - 1];
            let sent = |mail: i64| START - 2 * DAY + mail * every * 1000;
            let mails: Vec<i64> = (0..200_000).map(sent).take_while(|mail| *mail < now).collect();
            let points = imported(&mails, &calls);
            assert_no_overlap(&points);
            let error = attempts(&points) - attempts(&response(&mails, now, 0));
            prop_assert!(error.unsigned_abs() <= calls.len() as u64, "{error}");
        }
    }

    #[test]
    fn points_that_overlap_an_imported_file_are_covered() {
        let now = START + DAY;
        let stored = StoredCounts::new(vec![point(START, START + HOUR, 100, now)]);
        let begins = [-POINT_MS, -MINUTE, 0, HOUR - POINT_MS, HOUR - MINUTE, HOUR];
        let response = begins.map(|begin| statistics(START + begin, 3, now)).to_vec();
        let result = reconcile(&stored, response, now);
        let points: Vec<i64> = result.points.iter().map(|point| point.begin - START).collect();
        assert_eq!((points, result.covered), (vec![-POINT_MS, HOUR], 4));
    }

    #[test]
    fn point_truncated_by_the_two_weeks_keeps_its_stored_counts() {
        let now = START + RESPONSE_RANGE_MS + MINUTE;
        let stored = StoredCounts::new(vec![statistics(START, 9, START + DAY)]);
        let result = reconcile(&stored, vec![statistics(START, 2, now)], now);
        assert_eq!((result.points.len(), result.covered), (0, 1));
    }
}
