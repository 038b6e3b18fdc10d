//! Results of a scan.

use std::collections::{BTreeMap, BTreeSet};

use bouncewatch_schemas::time::day_of;

use crate::timeline::{ScopeValues, Timeline};

/// Timelines of one grouping, by scope.
pub(crate) type Timelines = BTreeMap<ScopeValues, Timeline>;

/// A part of history.
#[derive(Debug)]
pub(crate) struct History {
    /// Timelines of each grouping of the query, in the order of the query.
    pub(crate) by_grouping: Vec<Timelines>,
}

/// Days with individual times loaded; of other days only counts are loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ExactDays {
    /// All days.
    All,
    /// The days in which windows start or end.
    Days(BTreeSet<i64>),
}

impl ExactDays {
    /// Returns the days of these times.
    pub(crate) fn of(times: impl IntoIterator<Item = i64>) -> Self {
        Self::Days(times.into_iter().map(day_of).collect())
    }

    /// Whether a day is one of them.
    pub(super) fn contains(&self, day: i64) -> bool {
        match self {
            Self::All => true,
            Self::Days(days) => days.contains(&day),
        }
    }

    /// Adds days, and returns whether one of them was missing.
    pub(super) fn add(&mut self, more: impl IntoIterator<Item = i64>) -> bool {
        match self {
            Self::All => false,
            Self::Days(days) => {
                let before = days.len();
                days.extend(more);
                days.len() > before
            }
        }
    }
}
