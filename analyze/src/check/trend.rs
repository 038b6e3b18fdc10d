//! Where a rate is going: at which pace it is fed, what it was a window ago, and when it will cross a threshold. Pure.

use serde::Serialize;

use crate::check::confidence::{rate, wilson};
use crate::timeline::model::{Denominator, Timeline};
use crate::timeline::windows::{Counts, Located, Measured, Span, Window, begin, count_out};

/// The long stretch of a pace is this part of its window: two hours of a day, fourteen of a week.
const LONG: i64 = 12;
/// The short one is this part of the long one, as in the SRE workbook's alerts on several windows ("Alerting on SLOs",
/// 6): it tells whether what the long one shows still goes on.
const SHORT: i64 = 12;
/// Longest window that is compared with the window before it: a longer one would double what is loaded.
const BEFORE_MAX: i64 = 7 * bouncewatch_schemas::time::DAY_MS;

/// How fast a rate is fed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pace {
    /// The last twelfth of the window.
    pub long: Stretch,
    /// The last twelfth of that.
    pub short: Stretch,
    /// The smaller burn rate of both: over 1, it was bad and still is. Unknown where one is.
    pub burn: Option<f64>,
}

/// The last part of a window.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the fields are those of the JSON, which the README describes")]
pub struct Stretch {
    pub seconds: f64,
    pub count: u64,
    pub attempts: u64,
    pub rate: Option<f64>,
    /// The rate as a multiple of the critical threshold: 1 would bring the window there if it went on.
    pub burn: Option<f64>,
}

/// The window before a window.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Before {
    /// What was counted.
    pub count: u64,
    /// Out of what.
    pub attempts: u64,
    /// Its rate.
    pub rate: Option<f64>,
}

/// Moments at which stretches, and the window before, begin; those of a volume window only where its own begin is known.
pub fn moments(timeline: &Timeline, window: &Window, to: i64) -> Vec<i64> {
    let Some(Located::At(from)) = begin(timeline, window, to) else { return Vec::new() };
    let [long, short] = stretches(from, to);
    let before = matches!(window.span(), Span::Millis(ms) if ms <= BEFORE_MAX);
    let before = before.then(|| from.saturating_sub(to.saturating_sub(from)));
    [to.saturating_sub(long), to.saturating_sub(short)].into_iter().chain(before).collect()
}

/// How far back the comparison with the window before looks.
pub fn back(windows: &[Window]) -> i64 {
    let length = |window: &Window| match window.span() {
        Span::Millis(ms) if ms <= BEFORE_MAX => Some(2 * ms),
        _ => None,
    };
    windows.iter().filter_map(length).max().unwrap_or_default()
}

fn stretches(from: i64, to: i64) -> [i64; 2] {
    let long = (to.saturating_sub(from) / LONG).max(1);
    [long, (long / SHORT).max(1)]
}

/// The pace of a rate in a window; none where its begin or its attempts are not known.
pub fn pace(
    timeline: &Timeline,
    measured: &Measured,
    to: i64,
    of: fn(&Counts) -> u64,
    critical: f64,
) -> Option<Pace> {
    let (from, denominator) = (measured.from?, measured.denominator?);
    let [long, short] = stretches(from, to).map(|length| {
        let counts = counts_of(timeline, denominator, to.saturating_sub(length), to);
        let (count, attempts) = (of(&counts), counts.attempts.unwrap_or_default());
        let rate = rate(count, attempts);
        #[expect(clippy::cast_precision_loss, reason = "a span of time stays below 2^52 ms")]
        let seconds = length as f64 / 1_000.0;
        Stretch { seconds, count, attempts, rate, burn: rate.map(|rate| rate / critical) }
    });
    let burn = long.burn.zip(short.burn).map(|(long, short)| long.min(short));
    Some(Pace { long, short, burn })
}

/// What the window before a window of up to a week held.
pub fn before(
    timeline: &Timeline,
    window: &Window,
    measured: &Measured,
    to: i64,
    of: fn(&Counts) -> u64,
) -> Option<Before> {
    let (from, denominator) = (measured.from?, measured.denominator?);
    let Span::Millis(length) = window.span() else { return None };
    // a window that was cut by `counted_from` has nothing before it
    if length > BEFORE_MAX || to.saturating_sub(from) != length {
        return None;
    }
    let counts = counts_of(timeline, denominator, from.saturating_sub(length), from);
    let (count, attempts) = (of(&counts), counts.attempts?);
    Some(Before { count, attempts, rate: rate(count, attempts) })
}

fn counts_of(timeline: &Timeline, denominator: Denominator, after: i64, to: i64) -> Counts {
    count_out(timeline, denominator, after, to).counts
}

/// When a rate of `count` out of `attempts`, in a window of `length` milliseconds that ends at `to`, will reach a
/// threshold, if what comes goes on at a pace and what leaves the window leaves it evenly. None where it is there already,
/// where the pace is not surely over the threshold, or where the window has passed before.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "counts and spans stay far below 2^52, and the result is checked against the window"
)]
pub fn crossing(
    count: u64,
    attempts: u64,
    length: i64,
    to: i64,
    pace: &Stretch,
    threshold: f64,
) -> Option<i64> {
    let is_there = rate(count, attempts)? >= threshold;
    let is_sure = wilson(pace.count, pace.attempts)?[0] > threshold;
    if is_there || !is_sure || length <= 0 || pace.seconds <= 0.0 {
        return None;
    }
    let per_ms = |number: u64| number as f64 / (pace.seconds * 1_000.0);
    let leaving = |number: u64| number as f64 / length as f64;
    let missing = threshold * attempts as f64 - count as f64;
    let gained = (per_ms(pace.count) - leaving(count))
        - threshold * (per_ms(pace.attempts) - leaving(attempts));
    let after = (missing / gained).ceil();
    (gained > 0.0 && after <= length as f64).then(|| to.saturating_add(after as i64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::model::Outcome;
    use crate::timeline::windows::measure;
    use bouncewatch_schemas::event::Service;

    const HOUR: i64 = 3_600_000;

    fn stretch(hours: i64, count: u64, attempts: u64) -> Stretch {
        #[expect(clippy::cast_precision_loss, reason = "a test")]
        let seconds = (hours * HOUR) as f64 / 1_000.0;
        Stretch { seconds, count, attempts, rate: rate(count, attempts), burn: None }
    }

    #[test]
    fn crossings_equal_a_simulation() {
        for (count, attempts, pace, threshold) in [
            (200, 10_000, stretch(2, 300, 1_000), 0.05),
            (200, 10_000, stretch(2, 300, 1_000), 0.10),
            (10, 100, stretch(2, 900, 1_000), 0.5),
        ] {
            let length = 24 * HOUR;
            let at = crossing(count, attempts, length, 0, &pace, threshold).unwrap();
            // minute by minute: some of the old goes, some of the new comes
            let share = |minutes: i64, of: u64, new: u64| {
                #[expect(clippy::cast_precision_loss, reason = "a test")]
                let (minutes, of, new) = (minutes as f64, of as f64, new as f64);
                of * (1.0 - minutes / (24.0 * 60.0)) + new * minutes / 120.0
            };
            let reached = |minutes: i64| {
                share(minutes, count, pace.count) / share(minutes, attempts, pace.attempts)
                    >= threshold
            };
            let first = (0..10_000).find(|minutes| reached(*minutes)).unwrap();
            assert!((at - first * 60_000).abs() <= 60_000, "{at} {first}");
        }
    }

    #[test]
    fn what_does_not_cross() {
        let day = 24 * HOUR;
        // it is there; the pace is below; too little to be sure
        assert_eq!(crossing(10, 100, day, 0, &stretch(2, 300, 1_000), 0.05), None);
        assert_eq!(crossing(1, 100, day, 0, &stretch(2, 30, 1_000), 0.05), None);
        assert_eq!(crossing(1, 100, day, 0, &stretch(2, 1, 5), 0.05), None);
        assert_eq!(crossing(1, 100, day, 0, &stretch(2, 0, 0), 0.05), None);
    }

    #[test]
    fn a_pace_is_the_last_part_of_a_window() {
        let mut timeline = Timeline::new(Service::Ses);
        let minutes = |from: i64, until: i64| (from..until).map(|minute| minute * 60_000 + 1);
        timeline.times.insert(Outcome::Send, minutes(0, 48 * 60).collect());
        timeline.times.insert(Outcome::Hard, minutes(47 * 60, 48 * 60).collect());
        timeline.first_send = Some(1);
        let to = 48 * HOUR;
        let window: Window = "24h".parse().unwrap();
        let measured = measure(&timeline, &window, to);
        let pace = pace(&timeline, &measured, to, |counts| counts.bounces, 0.10).unwrap();
        assert_eq!((pace.long.count, pace.long.attempts), (60, 120));
        assert_eq!((pace.short.count, pace.short.attempts), (10, 10));
        assert_eq!(pace.burn, Some(5.0));
        let before = before(&timeline, &window, &measured, to, |counts| counts.bounces).unwrap();
        assert_eq!((before.count, before.attempts), (0, 1_440));
    }
}
