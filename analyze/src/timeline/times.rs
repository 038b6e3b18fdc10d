//! Sorted event times; for days that need no individual times, only a count. No I/O.
//!
//! A window is exact to the millisecond, but only the days in which it starts and ends need individual times. For the
//! days between them the count is enough, so a long history needs little memory.

use std::collections::BTreeMap;

use bouncewatch_schemas::time::{DAY_MS, day_of};

/// Sorted event times, epoch milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Times {
    days: Vec<Day>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Day {
    /// Days since the epoch.
    number: i64,
    /// Number of times before this day.
    before: u64,
    times: DayTimes,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum DayTimes {
    /// Milliseconds since the start of the day, sorted: 4 bytes per event.
    Exact(Vec<u32>),
    /// Number of times.
    Count(u64),
}

/// Position of an attempt in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimePosition {
    /// At this time, epoch milliseconds.
    At(i64),
    /// In this day (days since the epoch), of which only the count is known.
    InDay(i64),
}

impl DayTimes {
    fn count(&self) -> u64 {
        match self {
            Self::Exact(times) => times.len() as u64,
            Self::Count(count) => *count,
        }
    }
}

impl Times {
    /// Returns an empty list of times.
    pub const fn new() -> Self {
        Self { days: Vec::new() }
    }

    /// Returns the number of times at or before `to`.
    ///
    /// # Panics
    /// If `to` is within a day of which only the count is known, so that the number is unknown.
    pub fn upto(&self, to: i64) -> u64 {
        let day = day_of(to);
        let at = self.days.partition_point(|one| one.number < day);
        match self.days.get(at) {
            None => self.number(),
            Some(one) if one.number > day => one.before,
            Some(one) => {
                let within = within_day(to);
                let inside = match &one.times {
                    DayTimes::Exact(times) => times.partition_point(|time| *time <= within) as u64,
                    DayTimes::Count(count) => {
                        assert!(
                            i64::from(within) == DAY_MS - 1,
                            "{to} is within day {day}, of which only the count is known"
                        );
                        *count
                    }
                };
                one.before + inside
            }
        }
    }

    /// Returns the number of times in `(after, to]`.
    pub fn between(&self, after: i64, to: i64) -> u64 {
        self.upto(to).saturating_sub(self.upto(after))
    }

    /// Returns the number of times.
    pub fn number(&self) -> u64 {
        self.days.last().map_or(0, |last| last.before + last.times.count())
    }

    /// Whether there are no times.
    pub fn is_empty(&self) -> bool {
        self.days.is_empty()
    }

    /// Returns the position of the n-th last time at or before `to`. If there are fewer times,
    /// returns the position of the first; without times, `None`.
    pub fn nth_last(&self, n: u64, to: i64) -> Option<TimePosition> {
        let until = self.upto(to);
        if until == 0 {
            return None;
        }
        let skipped = until.saturating_sub(n);
        let at = self.days.partition_point(|one| one.before <= skipped).checked_sub(1)?;
        let one = self.days.get(at)?;
        Some(match &one.times {
            DayTimes::Count(_) => TimePosition::InDay(one.number),
            DayTimes::Exact(times) => {
                let within = times.get(usize::try_from(skipped - one.before).ok()?)?;
                TimePosition::At(one.number * DAY_MS + i64::from(*within))
            }
        })
    }
}

/// Returns the milliseconds since the start of the day of `time`.
pub(crate) fn within_day(time: i64) -> u32 {
    u32::try_from(time.rem_euclid(DAY_MS)).expect("a day has fewer milliseconds than u32::MAX")
}

impl FromIterator<i64> for Times {
    fn from_iter<I: IntoIterator<Item = i64>>(times: I) -> Self {
        let mut builder = TimesBuilder::default();
        for time in times {
            builder.add(day_of(time), &[within_day(time)], &[]);
        }
        builder.finish()
    }
}

/// Builds [`Times`] from additions and removals by day, in any order.
#[derive(Debug, Default)]
pub struct TimesBuilder {
    days: BTreeMap<i64, DayChanges>,
}

#[derive(Debug, Default)]
struct DayChanges {
    added: Vec<u32>,
    removed: Vec<u32>,
    added_count: u64,
    removed_count: u64,
}

impl TimesBuilder {
    /// Adds and removes times of a day, in milliseconds since its start.
    pub fn add(&mut self, day: i64, added: &[u32], removed: &[u32]) {
        let changes = self.days.entry(day).or_default();
        changes.added.extend_from_slice(added);
        changes.removed.extend_from_slice(removed);
    }

    /// Adds and removes times of a day that needs only a count. For one day, use this or
    /// [`Self::add`], not both.
    pub fn add_counts(&mut self, day: i64, added: u64, removed: u64) {
        let changes = self.days.entry(day).or_default();
        changes.added_count += added;
        changes.removed_count += removed;
    }

    /// Returns the remaining times.
    pub fn finish(self) -> Times {
        let mut days = Vec::with_capacity(self.days.len());
        let mut before = 0;
        for (day, changes) in self.days {
            let count = changes.added_count.saturating_sub(changes.removed_count);
            let times = if count > 0 {
                DayTimes::Count(count)
            } else {
                DayTimes::Exact(subtract(changes.added, changes.removed))
            };
            let count = times.count();
            if count > 0 {
                days.push(Day { number: day, before, times });
                before += count;
            }
        }
        Times { days }
    }
}

/// Returns the times of a day, sorted, without the removed ones. Each removal removes one time,
/// even if several are equal.
pub(crate) fn subtract(mut times: Vec<u32>, mut removed: Vec<u32>) -> Vec<u32> {
    times.sort_unstable();
    if removed.is_empty() {
        return times;
    }
    removed.sort_unstable();
    let mut removed = removed.into_iter().peekable();
    times.retain(|time| {
        while removed.next_if(|one| one < time).is_some() {}
        removed.next_if_eq(time).is_none()
    });
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removal_removes_one_of_several_equal_times() {
        let mut builder = TimesBuilder::default();
        builder.add(1, &[5, 3, 5], &[]);
        builder.add(1, &[9], &[5, 4]);
        builder.add_counts(0, 4, 1);
        builder.add_counts(2, 1, 1);
        let times = builder.finish();
        assert_eq!(times.number(), 6);
        assert_eq!(times.between(DAY_MS - 1, DAY_MS + 5), 2);
        assert_eq!(times.upto(DAY_MS - 1), 3);
        assert_eq!(times.nth_last(3, i64::MAX), Some(TimePosition::At(DAY_MS + 3)));
        assert_eq!(times.nth_last(4, i64::MAX), Some(TimePosition::InDay(0)));
        assert_eq!(times.nth_last(100, i64::MAX), Some(TimePosition::InDay(0)));
        assert_eq!(times.nth_last(1, -1), None);
    }

    #[test]
    #[should_panic(expected = "only the count is known")]
    fn position_within_a_day_with_only_a_count_panics() {
        let mut builder = TimesBuilder::default();
        builder.add_counts(0, 4, 0);
        builder.finish().upto(7);
    }

    proptest::proptest! {
        #[test]
        fn positions_equal_a_brute_force_count(
            times in proptest::collection::vec(-3 * DAY_MS..3 * DAY_MS, 0..60),
            to in -4 * DAY_MS..4 * DAY_MS,
            n in 1usize..70,
        ) {
            let got: Times = times.iter().copied().collect();
            let mut until: Vec<i64> = times.into_iter().filter(|time| *time <= to).collect();
            until.sort_unstable();
            proptest::prop_assert_eq!(got.upto(to), until.len() as u64);
            let nth_last = until.get(until.len().saturating_sub(n));
            let expected = nth_last.map(|time| TimePosition::At(*time));
            proptest::prop_assert_eq!(got.nth_last(n as u64, to), expected);
        }
    }
}
