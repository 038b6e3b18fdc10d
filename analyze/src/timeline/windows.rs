//! Counts of events in rolling windows over the timeline of a scope. Exact to the millisecond, no I/O.

use bouncewatch_schemas::time::day_of;

use crate::timeline::attempts::AttemptCounter;
use crate::timeline::denominator::Denominator;
use crate::timeline::outcome::Outcome;
use crate::timeline::scope_timeline::Timeline;
use crate::timeline::times::{HourSet, TimePosition};
use crate::timeline::window::{Window, WindowSpan};

/// Counts of a window by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is the count of the outcome of its name")]
pub struct WindowCounts {
    pub sends: u64,
    pub deliveries: u64,
    pub hard: u64,
    pub soft: u64,
    pub undetermined: u64,
    pub suppressed: u64,
    pub auto_replies: u64,
    pub complaints: u64,
    pub delays: u64,
    pub rejects: u64,
    pub rendering_failures: u64,
    pub incoming_bounces: u64,
    /// Bounces in the bounce rate.
    pub bounces: u64,
    /// Attempted (message, recipient) pairs; `None` if unknown.
    pub attempts: Option<u64>,
}

/// A window that ends at a given time, with its counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeasuredWindow {
    /// Start of the window; `None` for a volume window without attempts.
    pub from: Option<i64>,
    /// Events after this time are counted.
    pub after: i64,
    /// The counts.
    pub counts: WindowCounts,
    /// Source of the attempts; `None` if they are unknown.
    pub denominator: Option<Denominator>,
}

/// Measures a window that ends at `to` (inclusive).
///
/// # Panics
/// If it starts or ends in a day of which only the count is known; see [`window_start_hours`].
pub fn measure_window(timeline: &Timeline, window: &Window, to: i64) -> MeasuredWindow {
    match window.span() {
        WindowSpan::Millis(ms) => {
            let counted = timeline.counted_from.map_or(i64::MIN, |from| from.saturating_sub(1));
            measure_span(timeline, to.saturating_sub(ms).max(counted).min(to), to)
        }
        WindowSpan::Attempts(n) => {
            let counter = AttemptCounter::best(timeline, i64::MIN, to);
            match counter.and_then(|counter| counter.nth_last(n, to)) {
                // includes the first attempt and every other event of its millisecond
                Some(TimePosition::At(first)) => MeasuredWindow {
                    from: Some(first),
                    ..count_events(timeline, counter, first - 1, to)
                },
                // without attempts, count every known event
                None => {
                    MeasuredWindow { from: None, ..count_events(timeline, counter, i64::MIN, to) }
                }
                Some(TimePosition::InDay(day, _)) => {
                    panic!(
                        "a window of {n} attempts starts in day {day}, of which only the count is known"
                    )
                }
            }
        }
    }
}

/// Measures `(after, to]` with the best denominator of this span.
pub fn measure_span(timeline: &Timeline, after: i64, to: i64) -> MeasuredWindow {
    count_events(timeline, AttemptCounter::best(timeline, after, to), after, to)
}

/// Measures `(after, to]` with the denominator of a longer span.
pub fn measure_with_denominator(
    timeline: &Timeline,
    denominator: Denominator,
    after: i64,
    to: i64,
) -> MeasuredWindow {
    count_events(timeline, Some(AttemptCounter::new(timeline, denominator)), after, to)
}

fn count_events(
    timeline: &Timeline,
    counter: Option<AttemptCounter<'_>>,
    after: i64,
    to: i64,
) -> MeasuredWindow {
    let of = |outcome| timeline.of(outcome).between(after, to);
    MeasuredWindow {
        from: Some(after),
        after,
        denominator: counter.map(|counter| counter.denominator),
        counts: WindowCounts {
            sends: of(Outcome::Send),
            deliveries: of(Outcome::Delivery),
            hard: of(Outcome::Hard),
            soft: of(Outcome::Soft),
            undetermined: of(Outcome::Undetermined),
            suppressed: of(Outcome::Suppressed) + of(Outcome::SuppressedCounted),
            auto_replies: of(Outcome::AutoReply),
            complaints: of(Outcome::Complaint),
            delays: of(Outcome::Delay),
            rejects: of(Outcome::Reject),
            rendering_failures: of(Outcome::RenderingFailure),
            incoming_bounces: of(Outcome::IncomingBounce),
            bounces: Outcome::bounces(timeline.service).iter().copied().map(of).sum(),
            attempts: counter.map(|counter| counter.between(after, to)),
        },
    }
}

/// Whether a window has no sends but deliveries, so that its attempts are (message, recipient) pairs.
pub fn needs_pairs(timeline: &Timeline, window: &Window, to: i64) -> bool {
    let after = match window.span() {
        WindowSpan::Millis(ms) => to.saturating_sub(ms),
        WindowSpan::Attempts(_) => i64::MIN,
    };
    AttemptCounter::best(timeline, after, to).is_some_and(|one| one.denominator.is_of_pairs())
}

/// Returns the number of known attempts at or before `to`.
pub fn attempts_until(timeline: &Timeline, to: i64) -> u64 {
    AttemptCounter::best(timeline, i64::MIN, to).map_or(0, |counter| counter.upto(to))
}

/// Returns the start of a window that ends at `to`; `None` for a volume window without attempts.
pub fn window_start(timeline: &Timeline, window: &Window, to: i64) -> Option<TimePosition> {
    match window.span() {
        WindowSpan::Millis(ms) => Some(TimePosition::At(to.saturating_sub(ms))),
        WindowSpan::Attempts(n) => AttemptCounter::best(timeline, i64::MIN, to)?.nth_last(n, to),
    }
}

/// Returns the day in which a window that ends at `to` starts, and its hour. Individual times of that hour and of the hour
/// of `to` must be loaded before the window can be measured. Without an hour, the counts by hour must be loaded first.
pub fn window_start_hours(timeline: &Timeline, window: &Window, to: i64) -> Option<(i64, HourSet)> {
    Some(match window_start(timeline, window, to)? {
        TimePosition::At(time) => (day_of(time), HourSet::of(time)),
        TimePosition::InDay(day, hours) => (day, hours),
    })
}

#[cfg(test)]
mod tests {
    use bouncewatch_schemas::event::Service;

    use super::*;
    use crate::timeline::times::Times;

    fn times(times: &[i64]) -> Times {
        times.iter().copied().collect()
    }

    fn timeline(sends: &[i64], hard: &[i64]) -> Timeline {
        let mut timeline = Timeline::new(Service::Ses);
        timeline.times.insert(Outcome::Send, times(sends));
        timeline.first_send = sends.iter().min().copied();
        timeline.times.insert(Outcome::Hard, times(hard));
        timeline
    }

    #[test]
    fn window_excludes_its_start_and_includes_its_end() {
        let timeline = timeline(&[0, 1_000, 2_000], &[1_000, 2_000]);
        let window: Window = "1s".parse().unwrap();
        let at = |to| {
            let measured = measure_window(&timeline, &window, to);
            (measured.counts.attempts, measured.counts.bounces)
        };
        assert_eq!(at(999), (Some(1), 0));
        assert_eq!(at(1_000), (Some(1), 1));
        assert_eq!(at(1_999), (Some(1), 1));
        assert_eq!(at(2_000), (Some(1), 1));
        assert_eq!(at(5_000), (Some(0), 0));
    }

    #[test]
    fn volume_window_starts_at_an_attempt() {
        let timeline = timeline(&[10, 20, 20, 30], &[5, 20, 40]);
        let at = |n: usize, to| {
            let measured = measure_window(&timeline, &format!("volume:{n}").parse().unwrap(), to);
            (measured.from, measured.counts.attempts, measured.counts.bounces)
        };
        assert_eq!(at(1, 50), (Some(30), Some(1), 1));
        // two attempts in the same millisecond: both are in the window
        assert_eq!(at(2, 50), (Some(20), Some(3), 2));
        assert_eq!(at(100, 50), (Some(10), Some(4), 2));
        assert_eq!(at(1, 9), (None, None, 1));
    }

    #[test]
    fn window_uses_the_best_denominator_of_its_span() {
        // the last send is at 20, deliveries continue
        let mut timeline = timeline(&[10, 20], &[35]);
        timeline.times.insert(Outcome::Delivery, times(&[11, 21, 31, 32]));
        timeline.delivered_or_bounced = times(&[11, 21, 31, 32, 35]);
        let at = |window: &str, to| {
            let measured = measure_window(&timeline, &window.parse().unwrap(), to);
            (measured.denominator, measured.counts.attempts)
        };
        assert_eq!(at("1s", 40), (Some(Denominator::Sends), Some(2)));
        assert_eq!(at("10ms", 40), (Some(Denominator::DeliveriesAndBounces), Some(3)));
        assert_eq!(at("5ms", 60), (Some(Denominator::Sends), Some(0)));
        assert_eq!(at("5ms", 9), (None, None));
        assert_eq!(at("volume:1", 40), (Some(Denominator::Sends), Some(1)));
    }

    #[test]
    fn window_counts_the_bounces_of_its_service() {
        for (service, bounces, attempts) in [(Service::Ses, 2, 1), (Service::WorkMail, 3, 3)] {
            let mut timeline = Timeline::new(service);
            timeline.times = Outcome::ALL.map(|outcome| (outcome, times(&[10]))).into();
            timeline.first_send = Some(10);
            timeline.delivered_or_bounced = times(&[10, 10, 10]);
            let expected = WindowCounts {
                sends: 1,
                deliveries: 1,
                hard: 1,
                soft: 1,
                undetermined: 1,
                suppressed: 2,
                auto_replies: 1,
                complaints: 1,
                delays: 1,
                rejects: 1,
                rendering_failures: 1,
                incoming_bounces: 1,
                bounces,
                attempts: Some(attempts),
            };
            assert_eq!(measure_span(&timeline, 9, 10).counts, expected, "{service:?}");
        }
    }

    #[test]
    fn window_starts_at_counted_from_at_the_earliest() {
        let mut timeline = timeline(&[10, 20, 30], &[]);
        for (counted_from, from, sends) in
            [(Some(10), 9, 3), (Some(20), 19, 2), (Some(50), 30, 0), (Some(-900), -70, 3)]
        {
            timeline.counted_from = counted_from;
            let measured = measure_window(&timeline, &"100ms".parse().unwrap(), 30);
            assert_eq!((measured.from, measured.after), (Some(from), from), "{counted_from:?}");
            assert_eq!(measured.counts.sends, sends, "{counted_from:?}");
        }
    }

    #[test]
    fn denominator_depends_on_all_events_for_a_volume_window_and_on_the_span_for_a_duration() {
        let mut timeline = timeline(&[10], &[]);
        let to = 5 * 86_400_000;
        timeline.times.insert(Outcome::Delivery, times(&[to]));
        timeline.first_delivery = Some(to);
        for (text, pairs) in [("volume:1", false), ("1s", true), ("30d", false)] {
            let window: Window = text.parse().unwrap();
            assert_eq!(needs_pairs(&timeline, &window, to), pairs, "{text}");
            let denominator = measure_window(&timeline, &window, to).denominator.unwrap();
            assert_eq!(denominator.is_of_pairs(), pairs, "{text}");
        }
    }

    #[test]
    fn attempts_are_unknown_without_sends_deliveries_or_send_counts() {
        let mut timeline = Timeline::new(Service::Ses);
        timeline.times.insert(Outcome::Hard, times(&[1, 2, 3]));
        let measured = measure_window(&timeline, &"1d".parse().unwrap(), 10);
        assert_eq!(
            (measured.denominator, measured.counts.attempts, measured.counts.bounces),
            (None, None, 3)
        );
    }

    #[test]
    fn workmail_counts_every_bounce_per_sent_or_bounced_recipient() {
        let mut timeline = timeline(&[10, 20, 30], &[21]);
        timeline.service = Service::WorkMail;
        timeline.times.insert(Outcome::Soft, times(&[22]));
        timeline.times.insert(Outcome::Undetermined, times(&[55]));
        timeline.times.insert(Outcome::IncomingBounce, times(&[23, 24]));
        timeline.delivered_or_bounced = times(&[10, 20, 21, 22, 30, 55]);
        let at = |window: &str, to| {
            let measured = measure_window(&timeline, &window.parse().unwrap(), to);
            (measured.denominator, measured.counts.attempts, measured.counts.bounces)
        };
        let sent_and_bounced = Some(Denominator::SentAndBounced);
        assert_eq!(at("1s", 60), (sent_and_bounced, Some(6), 3));
        assert_eq!(at("1s", 25), (sent_and_bounced, Some(4), 2));
        // a window with bounces only, and a window before the first send
        assert_eq!(at("10ms", 60), (sent_and_bounced, Some(1), 1));
        assert_eq!(at("10ms", 9), (None, None, 0));
        assert_eq!(at("volume:3", 60), (sent_and_bounced, Some(3), 2));
        let measured = measure_window(&timeline, &"1s".parse().unwrap(), 60);
        assert_eq!((measured.counts.sends, measured.counts.incoming_bounces), (3, 2));
    }

    proptest::proptest! {
        #[test]
        fn windows_equal_a_brute_force_count(
            sends in proptest::collection::vec(0i64..2_000, 0..80),
            hard in proptest::collection::vec(0i64..2_000, 0..30),
            width in 1i64..2_500,
            n in 1usize..90,
            to in -10i64..2_500,
        ) {
            let timeline = timeline(&sends, &hard);
            let brute = |from: i64, times: &[i64]| times.iter().filter(|t| **t > from && **t <= to).count() as u64;
            let got = measure_window(&timeline, &format!("{width}ms").parse().unwrap(), to);
            proptest::prop_assert_eq!(got.counts.sends, brute(to - width, &sends));
            proptest::prop_assert_eq!(got.counts.bounces, brute(to - width, &hard));

            let mut before: Vec<i64> = sends.iter().copied().filter(|t| *t <= to).collect();
            before.sort_unstable_by(|a, b| b.cmp(a));
            let got = measure_window(&timeline, &format!("volume:{n}").parse().unwrap(), to);
            let first = before.get(n - 1).or(before.last());
            proptest::prop_assert_eq!(got.from, first.copied());
            if let Some(first) = first {
                proptest::prop_assert_eq!(got.counts.sends, brute(first - 1, &sends));
                proptest::prop_assert_eq!(got.counts.bounces, brute(first - 1, &hard));
            }
        }
    }
}
