//! Results of a scan.

use std::collections::BTreeMap;

use bouncewatch_schemas::time::day_of;

use crate::timeline::times::HourSet;
use crate::timeline::{ScopeValues, Timeline};

/// Timelines of one grouping, by scope.
pub(crate) type Timelines = BTreeMap<ScopeValues, Timeline>;

/// A part of history.
#[derive(Debug)]
pub(crate) struct History {
    /// Timelines of each grouping of the query, in the order of the query.
    pub(crate) by_grouping: Vec<Timelines>,
}

/// Hours with individual times loaded; of other hours only counts are loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ExactHours {
    /// All hours.
    All,
    /// Hours by day. Of days that are not listed, only the count of the day is loaded.
    OfDays(BTreeMap<i64, HourSet>),
}

impl ExactHours {
    /// Returns the hours of these times, at which windows start or end.
    pub(crate) fn of(times: impl IntoIterator<Item = i64>) -> Self {
        let mut exact = Self::OfDays(BTreeMap::new());
        exact.add_times(times);
        exact
    }

    /// Returns days of which counts by hour are needed, but no individual times.
    pub(crate) fn counts_of(days: impl IntoIterator<Item = i64>) -> Self {
        Self::OfDays(days.into_iter().map(|day| (day, HourSet::NONE)).collect())
    }

    /// Returns the hours of a day with individual times; `None` if the count of the day is enough.
    pub(super) fn of_day(&self, day: i64) -> Option<HourSet> {
        match self {
            Self::All => Some(HourSet::ALL),
            Self::OfDays(days) => days.get(&day).copied(),
        }
    }

    /// Adds the hours of times, and returns whether one of them was missing.
    pub(super) fn add_times(&mut self, times: impl IntoIterator<Item = i64>) -> bool {
        self.add_hours(times.into_iter().map(|time| (day_of(time), HourSet::of(time))))
    }

    /// Adds hours of days, and returns whether one of them was missing. Without hours, counts by hour are loaded.
    pub(super) fn add_hours(&mut self, hours: impl IntoIterator<Item = (i64, HourSet)>) -> bool {
        hours.into_iter().fold(false, |is_new, (day, hours)| is_new | self.add(day, hours))
    }

    fn add(&mut self, day: i64, hours: HourSet) -> bool {
        let Self::OfDays(days) = self else { return false };
        let before = days.get(&day).copied();
        let all = before.map_or(hours, |before| before.union(hours));
        days.insert(day, all);
        before != Some(all)
    }
}
