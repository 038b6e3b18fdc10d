//! The points of SES's statistics, fitted in beside those of earlier answers. Pure.
//!
//! AWS documents that a point has 15 minutes and that two weeks are told, but of its timestamp only that it is the "time
//! of the data point" (API reference of SES, `SendDataPoint`). It is taken as the begin. Where the quarters of an hour
//! begin is not documented either: in AWS's three samples of an answer they begin at minutes :08, :02 and :13 (and
//! every 15 minutes from there), in the first of them the request was made at such a minute (API reference, AWS CLI,
//! boto3). So it is not relied on that the next answer has the same quarters. Where it has, a point replaces itself.
//! Where it has not, its points overlap those that are there, and each mail must still count once:
//!
//! - what was complete when it was told stays, up to the frontier: the end of the last such point;
//! - of a point that lies across the frontier the part behind it is taken;
//! - what was not complete when it was told, and is overlapped by a point that is taken, is set to nothing.

use std::collections::{BTreeMap, BTreeSet};

use bouncewatch_schemas::volume::{Volume, VolumeCounts};

use crate::send_counts::existing::{Room, is_settled};

/// Length of a point.
pub(super) const POINT_MS: i64 = 15 * 60 * 1000;
/// How far back an answer reaches.
const TOLD_MS: i64 = 14 * 24 * 3_600_000;

/// What is made of an answer.
#[derive(Debug, Default)]
pub(super) struct Fitted {
    /// Points to take.
    pub(super) points: Vec<Volume>,
    /// Points of earlier answers that count no more.
    pub(super) superseded: Vec<Volume>,
    /// Points whose mails other points tell of.
    pub(super) covered: u64,
}

/// Fits an answer in; its points are of one account and region, and were told at `now`.
pub(super) fn fit(room: &Room, mut answer: Vec<Volume>, now: i64) -> Fitted {
    let mut fitted = Fitted::default();
    answer.sort();
    let Some(first) = answer.first() else { return fitted };
    let held: Vec<&Volume> = room.series(first.series_key()).collect();
    let is_ours = |point: &&&Volume| point.origin == first.origin;
    let (ours, others): (Vec<&Volume>, Vec<&Volume>) =
        held.iter().copied().partition(|point| is_ours(&point));
    let (settled, open): (Vec<&Volume>, Vec<&Volume>) =
        ours.into_iter().partition(|point| is_settled(point));
    let frontier = settled.iter().map(|point| point.end).max().unwrap_or(i64::MIN);
    let others = Spans::of(&others);
    let told = Spans::of(&settled);
    // what overlaps nothing is taken as it is
    let known: Vec<&Volume> = answer.iter().filter(|point| told.overlap(point)).collect();
    for point in &answer {
        let is_held = room.point(point.point_key()).is_some_and(|held| !held.counts.is_nothing());
        // what the two weeks cut is told in part
        let is_cut = point.begin < now.saturating_sub(TOLD_MS);
        if is_held && !is_cut {
            fitted.points.push(point.clone());
        } else if is_held || others.overlap(point) {
            fitted.covered += 1;
        } else if point.begin >= frontier || !told.overlap(point) {
            fitted.points.push(point.clone());
        } else if let Some(rest) = behind(point, frontier, &settled, &known) {
            fitted.points.push(rest);
        } else {
            fitted.covered += 1;
        }
    }
    let kept: BTreeSet<u64> = fitted.points.iter().map(Volume::point_key).collect();
    let taken = Spans::of(&fitted.points.iter().collect::<Vec<_>>());
    let is_past = |point: &&&Volume| taken.overlap(point) && !kept.contains(&point.point_key());
    let past = open.iter().filter(is_past).map(|point| Volume {
        counts: VolumeCounts::default(),
        received_at: now,
        ..(*point).clone()
    });
    fitted.superseded = past.collect();
    fitted
}

/// The part of a point behind the frontier, if it has mail.
fn behind(point: &Volume, frontier: i64, settled: &[&Volume], known: &[&Volume]) -> Option<Volume> {
    if point.end <= frontier {
        return None;
    }
    let common = common_gap(point, settled, known);
    let count = |of: fn(&Volume) -> i64| -> i64 {
        let before = |row: &&Volume| common.is_some_and(|common| row.begin >= common);
        if common.is_some() {
            // both tell all mails since a moment across which neither has a point
            let is_up_to = |row: &&Volume| before(row) && row.end <= point.end;
            let sum =
                |rows: &[&Volume]| -> i64 { rows.iter().copied().filter(is_up_to).map(of).sum() };
            return (sum(known) - sum(settled)).clamp(0, of(point));
        }
        // mails without a pause: those of a part are as many as its time
        let (part, whole) = (point.end - frontier, point.end - point.begin);
        (of(point) * part + whole / 2) / whole
    };
    let counts = VolumeCounts {
        attempts: count(|row| row.counts.attempts),
        bounces: Some(count(|row| row.counts.bounces.unwrap_or_default())),
        complaints: Some(count(|row| row.counts.complaints.unwrap_or_default())),
        rejects: Some(count(|row| row.counts.rejects.unwrap_or_default())),
    };
    let rest = Volume { begin: frontier, counts, ..point.clone() };
    (!counts.is_nothing()).then_some(rest)
}

/// The last moment before a point across which neither the points that are there nor those of the answer lie, and
/// since which both tell everything.
fn common_gap(point: &Volume, settled: &[&Volume], known: &[&Volume]) -> Option<i64> {
    // when it was told
    let now = point.received_at;
    let mut moment = point.begin;
    let first = now.saturating_sub(TOLD_MS);
    loop {
        // the earliest begin of what lies across the moment
        let across = settled.iter().chain(known);
        let across = across.filter(|row| row.begin < moment && row.end > moment);
        match across.map(|row| row.begin).min() {
            None => return (moment >= first).then_some(moment),
            Some(begin) if begin < first => return None,
            Some(begin) => moment = begin,
        }
    }
}

/// Spans of points, to find out what overlaps them.
struct Spans(BTreeMap<i64, i64>);

impl Spans {
    fn of(points: &[&Volume]) -> Self {
        let mut spans = BTreeMap::new();
        for point in points {
            let end = spans.entry(point.begin).or_insert(point.end);
            *end = point.end.max(*end);
        }
        Self(spans)
    }

    /// Whether one of them overlaps a point. They do not overlap each other, so that the last one before its end is
    /// the one to look at.
    fn overlap(&self, point: &Volume) -> bool {
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
    /// When the first mail of these tests is sent.
    const START: i64 = 1_790_000_000_000 / DAY * DAY;

    fn statistics(begin: i64, attempts: i64, received_at: i64) -> Volume {
        let mut point = point(begin, begin + POINT_MS, attempts, received_at);
        point.origin = "ses-statistics:eu-west-1".to_owned();
        let none = Some(0);
        point.counts = VolumeCounts { attempts, bounces: none, complaints: none, rejects: none };
        point
    }

    /// What SES tells at a moment, its quarters beginning at a moment modulo 15 minutes.
    fn answer(mails: &[i64], now: i64, phase: i64) -> Vec<Volume> {
        let mut counts: BTreeMap<i64, i64> = BTreeMap::new();
        for mail in mails.iter().filter(|mail| **mail < now && **mail >= now - TOLD_MS) {
            *counts.entry((mail - phase).div_euclid(POINT_MS) * POINT_MS + phase).or_default() += 1;
        }
        counts.into_iter().map(|(begin, count)| statistics(begin, count, now)).collect()
    }

    /// Takes answers one after the other into an empty room.
    fn taken(mails: &[i64], calls: &[(i64, i64)]) -> Vec<Volume> {
        let mut rows: Vec<Volume> = Vec::new();
        for (now, phase) in calls {
            let mut room = Room::new(rows.clone());
            let fitted = fit(&room, answer(mails, *now, *phase), *now);
            for point in fitted.points.into_iter().chain(fitted.superseded) {
                room.take(point);
            }
            rows.extend(room.into_changed());
        }
        bouncewatch_schemas::volume::effective(rows)
            .into_iter()
            .filter(|point| !point.counts.is_nothing())
            .collect()
    }

    fn attempts(points: &[Volume]) -> i64 {
        points.iter().map(|point| point.counts.attempts).sum()
    }

    fn assert_apart(points: &[Volume]) {
        for pair in points.windows(2) {
            assert!(pair[0].end <= pair[1].begin, "{pair:?}");
        }
    }

    /// The moments of mails, from gaps between them.
    fn mails(gaps: &[i64]) -> Vec<i64> {
        let mut at = START;
        let mail = |gap: &i64| {
            at += gap;
            at
        };
        gaps.iter().map(mail).collect()
    }

    /// Moments of calls, none later than two weeks after the one before.
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

        /// As long as the quarters stay, every number is that of the last answer that told it.
        #[test]
        fn with_the_same_quarters_every_number_is_exact(
            gaps in proptest::collection::vec(0..40 * MINUTE, 0..200), calls in calls(), phase in 0..15_i64,
        ) {
            let mails = mails(&gaps);
            let calls: Vec<_> = calls.iter().map(|(now, _)| (*now, phase * MINUTE)).collect();
            let (now, phase) = calls[calls.len() - 1];
            let strip = |points: Vec<Volume>| -> Vec<(i64, i64)> {
                points.iter().map(|point| (point.begin, point.counts.attempts)).collect()
            };
            prop_assert_eq!(strip(taken(&mails, &calls)), strip(answer(&mails, now, phase)));
        }

        /// Whatever the quarters are, points are apart, and mails with pauses count once each.
        #[test]
        fn with_other_quarters_each_mail_counts_once(
            gaps in proptest::collection::vec(prop_oneof![8 => 0..2 * MINUTE, 1 => 31 * MINUTE..90 * MINUTE], 0..200),
            calls in calls(),
        ) {
            let mails = mails(&gaps);
            let points = taken(&mails, &calls);
            assert_apart(&points);
            let (now, _) = calls[calls.len() - 1];
            prop_assert_eq!(attempts(&points), attempts(&answer(&mails, now, 0)));
        }

        /// Without any pause parts are estimated, and stay near the truth however often it is asked.
        #[test]
        fn without_a_pause_it_is_near(calls in calls(), every in 3..60_i64) {
            let (now, _) = calls[calls.len() - 1];
            let sent = |mail: i64| START - 2 * DAY + mail * every * 1000;
            let mails: Vec<i64> = (0..200_000).map(sent).take_while(|mail| *mail < now).collect();
            let points = taken(&mails, &calls);
            assert_apart(&points);
            let off = attempts(&points) - attempts(&answer(&mails, now, 0));
            prop_assert!(off.unsigned_abs() <= calls.len() as u64, "{off}");
        }
    }

    #[test]
    fn what_a_file_told_is_not_told_again() {
        let now = START + DAY;
        let file = point(START, START + HOUR, 100, now);
        let room = Room::new(vec![file]);
        let begins = [-POINT_MS, -MINUTE, 0, HOUR - POINT_MS, HOUR - MINUTE, HOUR];
        let answer = begins.map(|begin| statistics(START + begin, 3, now)).to_vec();
        let fitted = fit(&room, answer, now);
        let taken: Vec<i64> = fitted.points.iter().map(|point| point.begin - START).collect();
        assert_eq!((taken, fitted.covered), (vec![-POINT_MS, HOUR], 4));
    }

    #[test]
    fn what_the_two_weeks_cut_stays_as_it_was() {
        let begin = START;
        let now = begin + TOLD_MS + MINUTE;
        let room = Room::new(vec![statistics(begin, 9, begin + DAY)]);
        let fitted = fit(&room, vec![statistics(begin, 2, now)], now);
        assert_eq!((fitted.points.len(), fitted.covered), (0, 1));
    }
}
