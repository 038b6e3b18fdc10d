//! Imported send counts: number of sent messages per interval. No I/O.

/// Sent messages of a scope by interval. Intervals do not overlap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SendCounts {
    intervals: Vec<Interval>,
}

/// Send count of one interval. The derived order sorts by `last` first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Interval {
    /// Last millisecond of the interval, epoch milliseconds.
    last: i64,
    start: i64,
    attempts: u64,
    /// Attempts of this interval and all before it.
    cumulative: u64,
}

impl SendCounts {
    /// Returns an empty set of send counts.
    pub const fn new() -> Self {
        Self { intervals: Vec::new() }
    }

    /// Returns the send counts of intervals `[start, end)` with their attempts, in any order.
    pub fn from_intervals(intervals: impl IntoIterator<Item = (i64, i64, u64)>) -> Self {
        let interval = |(start, end, attempts): (i64, i64, u64)| Interval {
            last: end.saturating_sub(1),
            start,
            attempts,
            cumulative: 0,
        };
        let mut intervals: Vec<Interval> = intervals.into_iter().map(interval).collect();
        intervals.sort_unstable();
        let mut cumulative = 0;
        for interval in &mut intervals {
            cumulative += interval.attempts;
            interval.cumulative = cumulative;
        }
        Self { intervals }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.intervals.is_empty()
    }

    /// Returns the attempts of the intervals with their last millisecond at or before `to`. An interval counts at its
    /// end, because the count of a running interval is incomplete.
    pub fn upto(&self, to: i64) -> u64 {
        let at = self.ended(to);
        at.checked_sub(1).and_then(|at| self.intervals.get(at)).map_or(0, |last| last.cumulative)
    }

    /// Returns the attempts of the intervals with their last millisecond in `(after, to]`.
    pub fn between(&self, after: i64, to: i64) -> u64 {
        self.upto(to).saturating_sub(self.upto(after))
    }

    /// Whether the last millisecond of an interval is in `(after, to]`.
    pub fn has_any(&self, after: i64, to: i64) -> bool {
        self.ended(to) > self.ended(after)
    }

    /// Returns the start of the interval with the n-th last attempt at or before `to`. If there are
    /// fewer attempts, returns the start of the first interval; without attempts, `None`.
    pub fn nth_last(&self, n: u64, to: i64) -> Option<i64> {
        let until = self.upto(to);
        if until == 0 {
            return None;
        }
        let skipped = until.saturating_sub(n);
        let at = self.intervals.partition_point(|interval| interval.cumulative <= skipped);
        self.intervals.get(at).map(|interval| interval.start)
    }

    /// Returns the start of the first interval.
    pub fn first(&self) -> Option<i64> {
        self.intervals.iter().map(|interval| interval.start).min()
    }

    /// Number of intervals with their last millisecond at or before `to`.
    fn ended(&self, to: i64) -> usize {
        self.intervals.partition_point(|interval| interval.last <= to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interval_counts_at_its_last_millisecond() {
        let send_counts =
            SendCounts::from_intervals([(100, 200, 7), (0, 100, 5), (200, 300, 0), (300, 400, 1)]);
        for (after, to, expected) in
            [(0, 99, 5), (0, 98, 0), (99, 199, 7), (-1, 400, 13), (199, 399, 1), (400, 500, 0)]
        {
            assert_eq!(send_counts.between(after, to), expected, "({after}, {to}]");
        }
        assert!(send_counts.has_any(199, 299) && !send_counts.has_any(199, 298));
    }

    #[test]
    fn nth_last_attempt_is_located_at_the_start_of_its_interval() {
        let send_counts =
            SendCounts::from_intervals([(100, 200, 7), (0, 100, 5), (200, 300, 0), (300, 400, 1)]);
        for (n, to, expected) in [
            (1, 500, Some(300)),
            (2, 500, Some(100)),
            (8, 500, Some(100)),
            (9, 500, Some(0)),
            (99, 500, Some(0)),
            (1, 50, None),
        ] {
            assert_eq!(send_counts.nth_last(n, to), expected, "{n} at {to}");
        }
    }
}
