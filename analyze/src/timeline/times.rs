//! Sorted event times; for periods that need no individual times, only a count. No I/O.
//!
//! A window is exact to the millisecond, but only the hours in which it starts and ends need individual times. For the
//! other hours of these days, and for the days between them, the count is enough, so a long history needs little memory.

use std::collections::BTreeMap;

use bouncewatch_schemas::time::{DAY_MS, day_of};

/// Sorted event times, epoch milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Times {
    periods: Vec<TimesOfPeriod>,
}

/// A day, or an hour of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Period {
    /// Epoch milliseconds.
    start: i64,
    length: i64,
}

impl Period {
    /// A day, in days since the epoch.
    fn day(day: i64) -> Self {
        Self { start: day.saturating_mul(DAY_MS), length: DAY_MS }
    }

    /// An hour of a day, from 0.
    pub(crate) fn hour(day: i64, hour: u32) -> Self {
        let start = day.saturating_mul(DAY_MS).saturating_add(i64::from(hour) * HOUR_MS);
        Self { start, length: HOUR_MS }
    }

    /// Whether a part of it is between two times (inclusive).
    pub(crate) fn overlaps(self, from: i64, to: i64) -> bool {
        self.start <= to && self.last() >= from
    }

    /// The last millisecond.
    fn last(self) -> i64 {
        self.start.saturating_add(self.length - 1)
    }
}

/// Length of an hour.
pub(crate) const HOUR_MS: i64 = 3_600_000;
/// Hours of a day.
pub(crate) const HOURS: u32 = 24;

/// Some hours of a day: a bit for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HourSet(u32);

impl HourSet {
    /// No hour, or none that is known.
    pub(crate) const NONE: Self = Self(0);
    /// All hours.
    pub(crate) const ALL: Self = Self((1 << HOURS) - 1);

    /// The hour of a time.
    pub(crate) fn of(time: i64) -> Self {
        Self(1 << hour_of(time))
    }

    /// The hours of both sets.
    pub(crate) fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether it has an hour.
    pub(crate) fn contains(self, hour: u32) -> bool {
        self.0 >> hour & 1 != 0
    }
}

/// The hour of a time within its day, from 0.
fn hour_of(time: i64) -> u32 {
    u32::try_from(time.rem_euclid(DAY_MS) / HOUR_MS).expect("a day has 24 hours")
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct TimesOfPeriod {
    period: Period,
    /// Number of times before this period.
    before: u64,
    times: PeriodTimes,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum PeriodTimes {
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
    /// In this day (days since the epoch), in an hour of which the individual times are not known.
    InDay(i64, HourSet),
}

impl PeriodTimes {
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
        Self { periods: Vec::new() }
    }

    /// Returns the number of times at or before `to`.
    ///
    /// # Panics
    /// If `to` is within a period of which only the count is known, so that the number is unknown.
    pub fn upto(&self, to: i64) -> u64 {
        let at = self.periods.partition_point(|one| one.period.last() < to);
        match self.periods.get(at) {
            None => self.number(),
            Some(one) if one.period.start > to => one.before,
            Some(one) => {
                let inside = match &one.times {
                    PeriodTimes::Exact(times) => {
                        let within = within_day(to);
                        times.partition_point(|time| *time <= within) as u64
                    }
                    PeriodTimes::Count(count) => {
                        assert!(
                            one.period.last() == to,
                            "{to} is within {:?}, of which only the count is known",
                            one.period
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
        self.periods.last().map_or(0, |last| last.before + last.times.count())
    }

    /// Whether there are no times.
    pub fn is_empty(&self) -> bool {
        self.periods.is_empty()
    }

    /// Returns the position of the n-th last time at or before `to`. If there are fewer times,
    /// returns the position of the first; without times, `None`.
    pub fn nth_last(&self, n: u64, to: i64) -> Option<TimePosition> {
        let until = self.upto(to);
        if until == 0 {
            return None;
        }
        let skipped = until.saturating_sub(n);
        let at = self.periods.partition_point(|one| one.before <= skipped).checked_sub(1)?;
        let one = self.periods.get(at)?;
        let day = day_of(one.period.start);
        Some(match &one.times {
            PeriodTimes::Count(_) => {
                let is_hour = one.period.length == HOUR_MS;
                let hours = if is_hour { HourSet::of(one.period.start) } else { HourSet::NONE };
                TimePosition::InDay(day, hours)
            }
            PeriodTimes::Exact(times) => {
                let within = times.get(usize::try_from(skipped - one.before).ok()?)?;
                TimePosition::At(day * DAY_MS + i64::from(*within))
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

/// Builds [`Times`] from additions and removals by day and by hour, in any order.
#[derive(Debug, Default)]
pub struct TimesBuilder {
    days: BTreeMap<i64, DayChanges>,
}

#[derive(Debug, Default)]
struct DayChanges {
    of_day: Changes,
    /// By hour; empty if the day is not divided.
    of_hours: BTreeMap<u32, Changes>,
}

/// Changes of a period. If it has counts, its times are known only in part.
#[derive(Debug, Default)]
struct Changes {
    added: Vec<u32>,
    removed: Vec<u32>,
    added_count: u64,
    removed_count: u64,
}

impl Changes {
    fn add(&mut self, added: &[u32], removed: &[u32]) {
        if self.added_count + self.removed_count > 0 {
            self.added_count += added.len() as u64;
            self.removed_count += removed.len() as u64;
        } else {
            self.added.extend_from_slice(added);
            self.removed.extend_from_slice(removed);
        }
    }

    fn finish(self) -> PeriodTimes {
        let count = self.added_count.saturating_sub(self.removed_count);
        if count > 0 {
            PeriodTimes::Count(count)
        } else {
            PeriodTimes::Exact(subtract(self.added, self.removed))
        }
    }
}

impl TimesBuilder {
    /// Adds and removes times of a day, in milliseconds since its start.
    pub fn add(&mut self, day: i64, added: &[u32], removed: &[u32]) {
        self.days.entry(day).or_default().of_day.add(added, removed);
    }

    /// Adds and removes times of a day that needs only a count. For one day, use this or the other methods.
    pub fn add_counts(&mut self, day: i64, added: u64, removed: u64) {
        let changes = &mut self.days.entry(day).or_default().of_day;
        changes.added_count += added;
        changes.removed_count += removed;
    }

    /// Adds and removes times of an hour, in milliseconds since the start of the day.
    pub(crate) fn add_hour(&mut self, day: i64, hour: u32, added: &[u32], removed: &[u32]) {
        let hours = &mut self.days.entry(day).or_default().of_hours;
        hours.entry(hour).or_default().add(added, removed);
    }

    /// Adds and removes times of an hour that needs only a count. For one hour, use this or [`Self::add_hour`].
    pub(crate) fn add_hour_counts(&mut self, day: i64, hour: u32, added: u64, removed: u64) {
        let hours = &mut self.days.entry(day).or_default().of_hours;
        let changes = hours.entry(hour).or_default();
        changes.added_count += added;
        changes.removed_count += removed;
    }

    /// Returns the remaining times.
    pub fn finish(self) -> Times {
        let mut periods = Vec::with_capacity(self.days.len());
        let mut before = 0;
        let mut add = |period, changes: Changes| {
            let times = changes.finish();
            let count = times.count();
            if count > 0 {
                periods.push(TimesOfPeriod { period, before, times });
                before += count;
            }
        };
        for (day, DayChanges { of_day, mut of_hours }) in self.days {
            if of_hours.is_empty() {
                add(Period::day(day), of_day);
                continue;
            }
            for (times, is_added) in [(of_day.added, true), (of_day.removed, false)] {
                for time in times {
                    let (one, none) = (std::slice::from_ref(&time), &[][..]);
                    let (added, removed) = if is_added { (one, none) } else { (none, one) };
                    of_hours.entry(hour_of(i64::from(time))).or_default().add(added, removed);
                }
            }
            for (hour, changes) in of_hours {
                add(Period::hour(day, hour), changes);
            }
        }
        Times { periods }
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
        assert_eq!(times.nth_last(4, i64::MAX), Some(TimePosition::InDay(0, HourSet::NONE)));
        assert_eq!(times.nth_last(100, i64::MAX), Some(TimePosition::InDay(0, HourSet::NONE)));
        assert_eq!(times.nth_last(1, -1), None);
    }

    #[test]
    #[should_panic(expected = "only the count is known")]
    fn position_within_a_day_with_only_a_count_panics() {
        let mut builder = TimesBuilder::default();
        builder.add_counts(0, 4, 0);
        builder.finish().upto(7);
    }

    #[test]
    fn hours_of_a_day_can_have_counts_or_times() {
        let at = |hour: i64, ms: u32| u32::try_from(HOUR_MS * hour).unwrap() + ms;
        let mut builder = TimesBuilder::default();
        // a part of the times of the second hour is known
        builder.add(1, &[at(2, 7), at(3, 2)], &[at(3, 1)]);
        builder.add_hour_counts(1, 2, 4, 0);
        builder.add_hour(1, 3, &[at(3, 0), at(3, 1)], &[]);
        builder.add_hour_counts(1, 23, 1, 0);
        let built = builder.finish();
        let start = DAY_MS + 3 * HOUR_MS;
        for (to, expected) in [
            (DAY_MS - 1, 0),
            (DAY_MS + 2 * HOUR_MS - 1, 0),
            (start - 1, 5),
            (start, 6),
            (start + 2, 7),
            (start + HOUR_MS, 7),
            (2 * DAY_MS - 1, 8),
            (2 * DAY_MS, 8),
        ] {
            assert_eq!(built.upto(to), expected, "{to}");
        }
        assert_eq!(built.nth_last(2, start + 2), Some(TimePosition::At(start)));
        let hour = HourSet::of(start - HOUR_MS);
        assert_eq!(built.nth_last(3, start + 2), Some(TimePosition::InDay(1, hour)));
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
