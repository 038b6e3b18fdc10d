//! Times in arbitrary order, by day. No I/O.

use bouncewatch_schemas::time::{DAY_MS, day_of};

use crate::timeline::times::within_day;

/// Times in arbitrary order, by day: 4 bytes per time, because a day of a large store has millions.
#[derive(Debug, Default, Clone)]
pub(in crate::scan) struct TimesByDay {
    /// Days since the epoch, and milliseconds since the start of the day. Most have one day.
    days: Vec<(i64, Vec<u32>)>,
}

impl TimesByDay {
    /// Adds a time, in epoch milliseconds.
    pub(in crate::scan) fn push(&mut self, time: i64) {
        self.of_day(day_of(time)).push(within_day(time));
    }

    /// Adds all times of `other`.
    pub(super) fn append(&mut self, other: Self) {
        for (day, times) in other.days {
            let own = self.of_day(day);
            if own.is_empty() {
                *own = times;
            } else {
                own.extend(times);
            }
        }
    }

    /// The times of a day, which is added if it has none.
    fn of_day(&mut self, day: i64) -> &mut Vec<u32> {
        let at = self.days.iter().position(|(known, _)| *known == day).unwrap_or_else(|| {
            self.days.reserve_exact(1);
            self.days.push((day, Vec::new()));
            self.days.len() - 1
        });
        &mut self.days[at].1
    }

    /// Returns the first time, in epoch milliseconds.
    pub(super) fn first(&self) -> Option<i64> {
        let first = |(day, times): &(i64, Vec<u32>)| {
            times.iter().min().map(|time| day * DAY_MS + i64::from(*time))
        };
        self.days.iter().filter_map(first).min()
    }

    pub(in crate::scan) fn is_empty(&self) -> bool {
        self.days.is_empty()
    }

    /// Returns the days, each once, and the milliseconds since the start of the day.
    pub(super) fn into_days(self) -> impl Iterator<Item = (i64, Vec<u32>)> {
        self.days.into_iter()
    }
}

impl FromIterator<i64> for TimesByDay {
    fn from_iter<I: IntoIterator<Item = i64>>(times: I) -> Self {
        let mut by_day = Self::default();
        times.into_iter().for_each(|time| by_day.push(time));
        by_day
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_their_day() {
        let mut times = TimesByDay::from_iter([2 * DAY_MS + 7, -1, 2 * DAY_MS + 5, 2 * DAY_MS + 7]);
        assert_eq!(times.first(), Some(-1));
        times.append(TimesByDay::from_iter([3 * DAY_MS, 2 * DAY_MS - 1, 3 * DAY_MS - 1]));
        let days: Vec<_> = times.into_days().collect();
        let last = 86_399_999;
        let expected = [(2, vec![7, 5, 7, last]), (-1, vec![last]), (3, vec![0]), (1, vec![last])];
        assert_eq!(days, expected);
        assert!(TimesByDay::default().is_empty());
        assert_eq!(TimesByDay::default().first(), None);
    }
}
