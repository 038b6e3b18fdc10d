//! Selects the denominator of a window, and counts attempts with it.

use bouncewatch_schemas::event::Service;

use crate::timeline::denominator::Denominator;
use crate::timeline::outcome::Outcome;
use crate::timeline::scope_timeline::Timeline;
use crate::timeline::send_counts::SendCounts;
use crate::timeline::times::{TimePosition, Times};

/// Counts attempts of a scope with one denominator.
#[derive(Debug, Clone, Copy)]
pub(super) struct AttemptCounter<'a> {
    pub(super) denominator: Denominator,
    /// Times of individual attempts.
    times: &'a Times,
    /// Imported send counts, and the last millisecond (inclusive) up to which they are used.
    send_counts: Option<(&'a SendCounts, i64)>,
}

/// No individual attempts.
static NO_TIMES: Times = Times::new();

impl<'a> AttemptCounter<'a> {
    /// Returns the counter for a denominator.
    pub(super) fn new(timeline: &'a Timeline, denominator: Denominator) -> Self {
        let times = match denominator {
            Denominator::Sends | Denominator::SendCountsAndSends => timeline.of(Outcome::Send),
            Denominator::DeliveriesAndBounces | Denominator::SentAndBounced => {
                &timeline.delivered_or_bounced
            }
            Denominator::SendCounts => &NO_TIMES,
        };
        let send_counts = match denominator {
            Denominator::SendCounts => Some((&timeline.send_counts, i64::MAX)),
            Denominator::SendCountsAndSends => {
                // from the first known Send event on, Send events are counted
                let until = timeline.first_send.map_or(i64::MAX, |first| first - 1);
                Some((&timeline.send_counts, until))
            }
            _ => None,
        };
        Self { denominator, times, send_counts }
    }

    /// Returns the counter for the best denominator of `(after, to]`; `None` if attempts are unknown.
    ///
    /// The first denominator that applies is used:
    ///
    /// 1. The span contains sends: sends, and imported send counts before the first known send.
    /// 2. The span contains deliveries: deliveries and final bounces.
    /// 3. The span contains imported send counts: imported send counts.
    /// 4. The scope has one of these at or before `to`: the first one in this order.
    ///
    /// The choice depends on the span only, not on how much history is loaded.
    ///
    /// The log of WorkMail has one line per recipient: either sent or bounced.
    pub(super) fn best(timeline: &'a Timeline, after: i64, to: i64) -> Option<Self> {
        let counter = |denominator| Some(Self::new(timeline, denominator));
        let is_known = |first: Option<i64>| first.is_some_and(|first| first <= to);
        if timeline.service == Service::WorkMail {
            return is_known(timeline.first_send)
                .then(|| Self::new(timeline, Denominator::SentAndBounced));
        }
        let send_counts = &timeline.send_counts;
        if timeline.of(Outcome::Send).between(after, to) > 0 {
            let first = timeline.first_send.unwrap_or(i64::MIN);
            return counter(if send_counts.has_any(after, first.saturating_sub(1)) {
                Denominator::SendCountsAndSends
            } else {
                Denominator::Sends
            });
        }
        if timeline.of(Outcome::Delivery).between(after, to) > 0 {
            return counter(Denominator::DeliveriesAndBounces);
        }
        if send_counts.has_any(after, to) {
            return counter(Denominator::SendCounts);
        }
        if is_known(timeline.first_send) {
            return counter(Denominator::Sends);
        }
        if is_known(timeline.first_delivery) {
            return counter(Denominator::DeliveriesAndBounces);
        }
        if is_known(send_counts.first()) { counter(Denominator::SendCounts) } else { None }
    }

    /// Returns the attempts at or before `to`.
    pub(super) fn upto(&self, to: i64) -> u64 {
        let imported = self.send_counts.map_or(0, |(counts, until)| counts.upto(to.min(until)));
        self.times.upto(to) + imported
    }

    /// Returns the attempts in `(after, to]`.
    pub(super) fn between(&self, after: i64, to: i64) -> u64 {
        self.upto(to).saturating_sub(self.upto(after))
    }

    /// Returns the position of the n-th last attempt at or before `to`; that of the first attempt if there are fewer.
    pub(super) fn nth_last(&self, n: u64, to: i64) -> Option<TimePosition> {
        let individual = self.times.upto(to);
        match self.send_counts {
            // an interval counts completely: the position is its start
            Some((counts, until)) if individual < n => counts
                .nth_last(n - individual, to.min(until))
                .map(TimePosition::At)
                .or_else(|| self.times.nth_last(n, to)),
            _ => self.times.nth_last(n, to),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;

    use super::*;

    /// Send events, and imported send counts as (start, length, attempts), in milliseconds.
    fn timeline(sends: &[i64], intervals: &[(i64, i64, u64)]) -> Timeline {
        let mut timeline = Timeline::new(Service::Ses);
        timeline.times.insert(Outcome::Send, sends.iter().copied().collect());
        timeline.first_send = sends.iter().min().copied();
        let intervals = intervals.iter().map(|(start, length, n)| (*start, start + length, *n));
        timeline.send_counts = SendCounts::from_intervals(intervals);
        timeline
    }

    fn attempts(timeline: &Timeline, after: i64, to: i64) -> (Option<Denominator>, Option<u64>) {
        let counter = AttemptCounter::best(timeline, after, to);
        (counter.map(|one| one.denominator), counter.map(|one| one.between(after, to)))
    }

    #[test]
    fn send_counts_end_one_millisecond_before_the_first_send() {
        // the last millisecond of the interval is 99
        for (first_send, denominator, expected) in [
            (99, Denominator::Sends, 1),
            (100, Denominator::SendCountsAndSends, 8),
            (101, Denominator::SendCountsAndSends, 8),
        ] {
            let timeline = timeline(&[first_send], &[(0, 100, 7)]);
            let got = attempts(&timeline, -1, 200);
            assert_eq!(got, (Some(denominator), Some(expected)), "first send at {first_send}");
        }
        // with an earlier second interval, the denominator does not depend on the first send
        for (first_send, expected) in [(98, 6), (99, 6), (100, 13), (101, 13)] {
            let timeline = timeline(&[first_send], &[(-50, 50, 5), (0, 100, 7)]);
            let got = attempts(&timeline, -51, 200);
            let denominator = Some(Denominator::SendCountsAndSends);
            assert_eq!(got, (denominator, Some(expected)), "first send at {first_send}");
        }
    }

    #[test]
    fn deliveries_come_before_send_counts_and_known_ones_give_a_denominator() {
        let mut timeline = timeline(&[], &[(0, 100, 7)]);
        timeline.times.insert(Outcome::Delivery, std::iter::once(50).collect());
        timeline.delivered_or_bounced = [50, 120].into_iter().collect();
        timeline.first_delivery = Some(50);
        let pairs = Some(Denominator::DeliveriesAndBounces);
        assert_eq!(attempts(&timeline, -1, 200), (pairs, Some(2)));
        // a window without deliveries and intervals
        assert_eq!(attempts(&timeline, 110, 130), (pairs, Some(1)));
        // the end of an empty window
        assert_eq!(attempts(&timeline, 50, 50), (pairs, Some(0)));
        assert_eq!(attempts(&timeline, 49, 49), (Some(Denominator::SendCounts), Some(0)));
        let sent = self::timeline(&[50], &[]);
        assert_eq!(attempts(&sent, 50, 50), (Some(Denominator::Sends), Some(0)));
        assert_eq!(attempts(&sent, 49, 49), (None, None));
    }

    #[test]
    fn sends_are_counted_back_before_send_counts() {
        let sent = timeline(&[120, 150], &[(0, 50, 5), (50, 50, 7), (100, 50, 3)]);
        let counter = AttemptCounter::new(&sent, Denominator::SendCountsAndSends);
        for (n, expected) in [(1, 150), (2, 120), (3, 50), (9, 50), (10, 0), (100, 0)] {
            assert_eq!(counter.nth_last(n, 200), Some(TimePosition::At(expected)), "{n}");
        }
        // a part of a scope without sends of its own
        let imported = timeline(&[], &[(0, 50, 5)]);
        let counter = AttemptCounter::new(&imported, Denominator::SendCountsAndSends);
        assert_eq!(counter.between(-1, 200), 5);
    }

    proptest::proptest! {
        /// Referee: each send counts at its time; each interval counts at its last millisecond if no send happened
        /// until then.
        #[test]
        fn attempts_equal_a_brute_force_count(
            sends in vec(0i64..40, 0..4),
            lengths in vec((1i64..8, 0i64..8, 0u64..5), 0..5),
            after in -5i64..50,
            length in 0i64..50,
        ) {
            let to = after + length;
            let mut start = 0;
            let mut intervals = Vec::new();
            for (length, gap, attempts) in lengths {
                intervals.push((start, length, attempts));
                start += length + gap;
            }
            let timeline = timeline(&sends, &intervals);
            let is_in = |time: i64| time > after && time <= to;
            let sent = sends.iter().filter(|time| is_in(**time)).count() as u64;
            let ends = |until: i64| {
                let ended = intervals.iter().map(|(start, length, n)| (start + length - 1, *n));
                ended.filter(move |(last, _)| is_in(*last) && *last < until).collect::<Vec<_>>()
            };
            let sum = |ends: &[(i64, u64)]| ends.iter().map(|(_, attempts)| attempts).sum::<u64>();
            let first_send = sends.iter().min().copied();
            let (imported, before_sends) = (ends(i64::MAX), ends(first_send.unwrap_or(i64::MIN)));
            let expected = if sent > 0 && !before_sends.is_empty() {
                (Some(Denominator::SendCountsAndSends), Some(sent + sum(&before_sends)))
            } else if sent > 0 {
                (Some(Denominator::Sends), Some(sent))
            } else if !imported.is_empty() {
                (Some(Denominator::SendCounts), Some(sum(&imported)))
            } else if first_send.is_some_and(|first| first <= to) {
                (Some(Denominator::Sends), Some(0))
            } else if intervals.first().is_some_and(|(first, _, _)| *first <= to) {
                (Some(Denominator::SendCounts), Some(0))
            } else {
                (None, None)
            };
            proptest::prop_assert_eq!(attempts(&timeline, after, to), expected);
        }
    }
}
