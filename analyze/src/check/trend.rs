//! Projection of a rate: its recent pace, the previous period, and when it reaches a threshold. No I/O.

use serde::Serialize;

use crate::check::confidence::{rate, wilson};
use crate::timeline::{
    Denominator, MeasuredWindow, TimePosition, Timeline, Window, WindowCounts, WindowSpan,
    measure_with_denominator, window_start,
};

/// The long pace covers this part of the window: 2 h of 24 h, 14 h of 7 d.
const LONG_PACE_DIVISOR: i64 = 12;
/// The short pace covers this part of the long one, as in Google's SRE Workbook ("Alerting on SLOs", multiwindow
/// alerts). It shows whether the long pace still continues.
const SHORT_PACE_DIVISOR: i64 = 12;
/// Longest window that is compared with its previous period; a longer one would load twice as much history.
const PREVIOUS_PERIOD_MAX_MS: i64 = 7 * bouncewatch_schemas::time::DAY_MS;

/// Recent rates of a window.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pace {
    /// The last twelfth of the window.
    pub long: RecentRate,
    /// The last twelfth of `long`.
    pub short: RecentRate,
    /// The smaller burn rate of both: above 1, both paces exceed the critical threshold. `None` if one is unknown.
    pub burn: Option<f64>,
}

/// Rate of the last part of a window.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the JSON, see docs/src/numbers.md")]
pub struct RecentRate {
    pub seconds: f64,
    pub count: u64,
    pub attempts: u64,
    pub rate: Option<f64>,
    /// Rate divided by the critical threshold: at 1, the rate of the window approaches the threshold.
    pub burn: Option<f64>,
}

/// The window of the same length before a window.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PreviousPeriod {
    /// Bounces or complaints.
    pub count: u64,
    /// Attempts.
    pub attempts: u64,
    /// Rate; `None` without attempts.
    pub rate: Option<f64>,
}

/// Returns the times at which the paces and the previous period of a window start. A volume window has none if its
/// start is unknown.
pub fn boundaries(timeline: &Timeline, window: &Window, to: i64) -> Vec<i64> {
    let Some(TimePosition::At(from)) = window_start(timeline, window, to) else {
        return Vec::new();
    };
    let [long, short] = pace_lengths(from, to);
    let has_previous =
        matches!(window.span(), WindowSpan::Millis(ms) if ms <= PREVIOUS_PERIOD_MAX_MS);
    let previous = has_previous.then(|| from.saturating_sub(to.saturating_sub(from)));
    [to.saturating_sub(long), to.saturating_sub(short)].into_iter().chain(previous).collect()
}

/// Returns how far before the end of the windows the previous periods start, in milliseconds.
pub fn lookback_ms(windows: &[Window]) -> i64 {
    let length = |window: &Window| match window.span() {
        WindowSpan::Millis(ms) if ms <= PREVIOUS_PERIOD_MAX_MS => Some(2 * ms),
        _ => None,
    };
    windows.iter().filter_map(length).max().unwrap_or_default()
}

/// Returns the start of a window of up to a week that ends at `to`, and of its previous period.
pub fn with_previous_start(window: &Window, to: i64) -> Option<(i64, i64)> {
    match window.span() {
        WindowSpan::Millis(ms) if ms <= PREVIOUS_PERIOD_MAX_MS => {
            Some((to.saturating_sub(ms), to.saturating_sub(ms.saturating_mul(2))))
        }
        _ => None,
    }
}

/// Lengths of the long and the short pace, milliseconds.
fn pace_lengths(from: i64, to: i64) -> [i64; 2] {
    let long = (to.saturating_sub(from) / LONG_PACE_DIVISOR).max(1);
    [long, (long / SHORT_PACE_DIVISOR).max(1)]
}

/// Returns the pace of a rate in a window that ends at `to`; `None` if its start or its denominator is unknown.
///
/// `count` selects what is counted; `critical` is the critical threshold.
pub fn pace(
    timeline: &Timeline,
    measured: &MeasuredWindow,
    to: i64,
    count: fn(&WindowCounts) -> u64,
    critical: f64,
) -> Option<Pace> {
    let (from, denominator) = (measured.from?, measured.denominator?);
    let [long, short] = pace_lengths(from, to).map(|length| {
        let counts = counts_in(timeline, denominator, to.saturating_sub(length), to);
        let (count, attempts) = (count(&counts), counts.attempts.unwrap_or_default());
        let rate = rate(count, attempts);
        #[expect(clippy::cast_precision_loss, reason = "a span of time stays below 2^52 ms")]
        let seconds = length as f64 / 1_000.0;
        RecentRate { seconds, count, attempts, rate, burn: rate.map(|rate| rate / critical) }
    });
    let burn = long.burn.zip(short.burn).map(|(long, short)| long.min(short));
    Some(Pace { long, short, burn })
}

/// Returns the previous period of a window of up to a week.
pub fn previous_period(
    timeline: &Timeline,
    window: &Window,
    measured: &MeasuredWindow,
    to: i64,
    count: fn(&WindowCounts) -> u64,
) -> Option<PreviousPeriod> {
    let (from, denominator) = (measured.from?, measured.denominator?);
    let WindowSpan::Millis(length) = window.span() else { return None };
    // a window that `counted_from` shortens has no previous period
    if length > PREVIOUS_PERIOD_MAX_MS || to.saturating_sub(from) != length {
        return None;
    }
    let counts = counts_in(timeline, denominator, from.saturating_sub(length), from);
    let (count, attempts) = (count(&counts), counts.attempts?);
    Some(PreviousPeriod { count, attempts, rate: rate(count, attempts) })
}

fn counts_in(timeline: &Timeline, denominator: Denominator, after: i64, to: i64) -> WindowCounts {
    measure_with_denominator(timeline, denominator, after, to).counts
}

/// Totals of a window that ends at `to`.
#[derive(Debug, Clone, Copy)]
pub struct WindowTotals {
    /// Bounces or complaints.
    pub count: u64,
    /// Attempts.
    pub attempts: u64,
    /// Length of the window, milliseconds.
    pub length_ms: i64,
    /// End of the window, epoch milliseconds.
    pub to: i64,
}

/// Returns when the rate of a window reaches a threshold if the pace continues and old mail leaves the window evenly,
/// in epoch milliseconds.
///
/// `None` if the threshold is reached already, the pace is not significantly above it, or the time is more than one
/// window length away.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "counts and spans stay far below 2^52, and the result is checked against the window"
)]
pub fn projected_crossing(window: &WindowTotals, pace: &RecentRate, threshold: f64) -> Option<i64> {
    let &WindowTotals { count, attempts, length_ms, to } = window;
    let is_reached = rate(count, attempts)? >= threshold;
    let is_significant = wilson(pace.count, pace.attempts)?[0] > threshold;
    if is_reached || !is_significant || length_ms <= 0 || pace.seconds <= 0.0 {
        return None;
    }
    // per millisecond
    let arriving = |number: u64| number as f64 / (pace.seconds * 1_000.0);
    let leaving = |number: u64| number as f64 / length_ms as f64;
    let missing = threshold * attempts as f64 - count as f64;
    let gained = (arriving(pace.count) - leaving(count))
        - threshold * (arriving(pace.attempts) - leaving(attempts));
    let wait_ms = (missing / gained).ceil();
    (gained > 0.0 && wait_ms <= length_ms as f64).then(|| to.saturating_add(wait_ms as i64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::Outcome;
    use crate::timeline::measure_window;
    use bouncewatch_schemas::event::Service;

    const HOUR: i64 = 3_600_000;

    fn recent(hours: i64, count: u64, attempts: u64) -> RecentRate {
        #[expect(clippy::cast_precision_loss, reason = "small test values")]
        let seconds = (hours * HOUR) as f64 / 1_000.0;
        RecentRate { seconds, count, attempts, rate: rate(count, attempts), burn: None }
    }

    #[test]
    fn projected_crossing_equals_a_simulation() {
        for (count, attempts, pace, threshold) in [
            (200, 10_000, recent(2, 300, 1_000), 0.05),
            (200, 10_000, recent(2, 300, 1_000), 0.10),
            (10, 100, recent(2, 900, 1_000), 0.5),
        ] {
            let window = WindowTotals { count, attempts, length_ms: 24 * HOUR, to: 0 };
            let at = projected_crossing(&window, &pace, threshold).unwrap();
            // per minute, part of the old mail leaves the window and new mail arrives
            let share = |minutes: i64, of: u64, new: u64| {
                #[expect(clippy::cast_precision_loss, reason = "small test values")]
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
    fn projected_crossing_is_none_if_reached_or_pace_is_low_or_not_significant() {
        let none = |count: u64, pace: &RecentRate| {
            let window = WindowTotals { count, attempts: 100, length_ms: 24 * HOUR, to: 0 };
            assert_eq!(projected_crossing(&window, pace, 0.05), None);
        };
        // reached already; pace below the threshold; pace not significant; pace without attempts
        none(10, &recent(2, 300, 1_000));
        none(1, &recent(2, 30, 1_000));
        none(1, &recent(2, 1, 5));
        none(1, &recent(2, 0, 0));
    }

    #[test]
    fn pace_covers_the_last_twelfth_of_the_window() {
        let mut timeline = Timeline::new(Service::Ses);
        let minutes = |from: i64, until: i64| (from..until).map(|minute| minute * 60_000 + 1);
        timeline.times.insert(Outcome::Send, minutes(0, 48 * 60).collect());
        timeline.times.insert(Outcome::Hard, minutes(47 * 60, 48 * 60).collect());
        timeline.first_send = Some(1);
        let to = 48 * HOUR;
        let window: Window = "24h".parse().unwrap();
        let measured = measure_window(&timeline, &window, to);
        let pace = pace(&timeline, &measured, to, |counts| counts.bounces, 0.10).unwrap();
        assert_eq!((pace.long.count, pace.long.attempts), (60, 120));
        assert_eq!((pace.short.count, pace.short.attempts), (10, 10));
        assert_eq!(pace.burn, Some(5.0));
        let previous =
            previous_period(&timeline, &window, &measured, to, |counts| counts.bounces).unwrap();
        assert_eq!((previous.count, previous.attempts), (0, 1_440));
    }

    #[test]
    fn burn_is_the_smaller_one_of_both_paces() {
        let mut timeline = Timeline::new(Service::Ses);
        let minutes = |from: i64, until: i64| (from..until).map(|minute| minute * 60_000 + 1);
        timeline.times.insert(Outcome::Send, minutes(0, 24 * 60).collect());
        timeline.times.insert(Outcome::Hard, minutes(22 * 60, 23 * 60).collect());
        timeline.first_send = Some(1);
        let burn = |window: &str| {
            let measured = measure_window(&timeline, &window.parse().unwrap(), 24 * HOUR);
            pace(&timeline, &measured, 24 * HOUR, |counts| counts.bounces, 0.10).unwrap()
        };
        assert_eq!(burn("24h").long.burn, Some(5.0));
        assert_eq!(burn("24h").burn, Some(0.0));
        // the pace of a short window is not empty
        assert_eq!(burn("5ms").long.seconds.to_bits(), 0.001_f64.to_bits());
    }

    #[test]
    fn previous_period_ends_at_the_start_of_a_window_of_at_most_a_week() {
        let (week, to) = (7 * 24 * HOUR, 60 * 24 * HOUR);
        let mut timeline = Timeline::new(Service::Ses);
        let sends = [to - 2 * week, to - 2 * week + 1, to - week, to - week + 1, to];
        timeline.times.insert(Outcome::Send, sends.into_iter().collect());
        timeline.first_send = Some(to - 2 * week);
        let attempts = |timeline: &Timeline, window: &str| {
            let window: Window = window.parse().unwrap();
            let measured = measure_window(timeline, &window, to);
            let period = previous_period(timeline, &window, &measured, to, |counts| counts.bounces);
            period.map(|period| period.attempts)
        };
        assert_eq!(attempts(&timeline, "7d"), Some(2));
        assert_eq!(attempts(&timeline, "8d"), None);
        assert_eq!(attempts(&timeline, "volume:2"), None);
        timeline.counted_from = Some(to - week + 1);
        assert_eq!(attempts(&timeline, "7d"), Some(2));
        timeline.counted_from = Some(to - week + 2);
        assert_eq!(attempts(&timeline, "7d"), None);
    }

    #[test]
    fn projected_crossing_is_the_first_millisecond_at_the_threshold() {
        let window = WindowTotals { count: 0, attempts: 1_000, length_ms: 1_000, to: 0 };
        let pace =
            RecentRate { seconds: 1.0, count: 1_000, attempts: 1_000, rate: Some(1.0), burn: None };
        assert_eq!(projected_crossing(&window, &pace, 0.3335), Some(334));
    }
}
