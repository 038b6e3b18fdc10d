//! Volumes that were imported: how much was sent in spans of time, told by others than events. Pure.

/// How much of a scope's mail was sent in spans that do not overlap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Volumes {
    points: Vec<Point>,
}

/// One span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Point {
    /// Its last millisecond, epoch milliseconds.
    last: i64,
    begin: i64,
    attempts: u64,
    /// Attempts of all points up to this one.
    upto: u64,
}

impl Volumes {
    /// No volumes.
    pub const fn new() -> Self {
        Self { points: Vec::new() }
    }

    /// Volumes of spans `[begin, end)` with their attempts, in any order.
    pub fn of(spans: impl IntoIterator<Item = (i64, i64, u64)>) -> Self {
        let point = |(begin, end, attempts): (i64, i64, u64)| Point {
            last: end.saturating_sub(1),
            begin,
            attempts,
            upto: 0,
        };
        let mut points: Vec<Point> = spans.into_iter().map(point).collect();
        points.sort_unstable();
        let mut upto = 0;
        for point in &mut points {
            upto += point.attempts;
            point.upto = upto;
        }
        Self { points }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// Attempts of the spans that end at or before `to`. A span counts where it ends: what is still running is not known.
    pub fn upto(&self, to: i64) -> u64 {
        let at = self.points.partition_point(|point| point.last <= to);
        at.checked_sub(1).and_then(|at| self.points.get(at)).map_or(0, |point| point.upto)
    }

    /// Attempts of the spans that end in `(after, to]`.
    pub fn between(&self, after: i64, to: i64) -> u64 {
        self.upto(to).saturating_sub(self.upto(after))
    }

    /// Whether a span ends in `(after, to]`.
    pub fn has_any(&self, after: i64, to: i64) -> bool {
        let upto = |to: i64| self.points.partition_point(|point| point.last <= to);
        upto(to) > upto(after)
    }

    /// Where the span begins in which the n-th last attempt at or before `to` lies; the first span's begin where there
    /// are fewer.
    pub fn nth_last(&self, n: u64, to: i64) -> Option<i64> {
        let until = self.upto(to);
        if until == 0 {
            return None;
        }
        let wanted = until.saturating_sub(n);
        let at = self.points.partition_point(|point| point.upto <= wanted);
        self.points.get(at).map(|point| point.begin)
    }

    /// Begin of the first span.
    pub fn first(&self) -> Option<i64> {
        self.points.iter().map(|point| point.begin).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_counts_where_it_ends() {
        let volumes = Volumes::of([(100, 200, 7), (0, 100, 5), (200, 300, 0), (300, 400, 1)]);
        for (after, to, expected) in
            [(0, 99, 5), (0, 98, 0), (99, 199, 7), (-1, 400, 13), (199, 399, 1), (400, 500, 0)]
        {
            assert_eq!(volumes.between(after, to), expected, "({after}, {to}]");
        }
        assert!(volumes.has_any(199, 299) && !volumes.has_any(199, 298));
        for (n, to, expected) in [
            (1, 500, Some(300)),
            (2, 500, Some(100)),
            (8, 500, Some(100)),
            (9, 500, Some(0)),
            (99, 500, Some(0)),
            (1, 50, None),
        ] {
            assert_eq!(volumes.nth_last(n, to), expected, "{n} at {to}");
        }
    }
}
