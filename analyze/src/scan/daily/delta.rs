//! Changes of timelines.

use std::collections::BTreeMap;

use crate::scan::daily::times_by_day::TimesByDay;
use crate::scan::presence::Presence;
use crate::timeline::{Outcome, ScopeValues};

/// Code of attempted (message, recipient) pairs, in place of the code of an outcome.
pub(in crate::scan) const PAIRS_CODE: i32 = -1;

/// Direction of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::scan) enum Sign {
    /// Times are added.
    Plus,
    /// Times are removed.
    Minus,
}

/// Changes that the rows of some days make to the timelines of scopes.
#[derive(Debug, Default)]
pub(in crate::scan) struct TimelineDelta {
    /// Changes by scope.
    pub(in crate::scan) scopes: BTreeMap<ScopeValues, ScopeDelta>,
    /// Presence of the dimensions of a message in the rows of the days, copies included.
    pub(in crate::scan) presences: Vec<Presence>,
}

/// Changes of the timeline of one scope.
#[derive(Debug, Default)]
pub(in crate::scan) struct ScopeDelta {
    /// First known send, also of older rows of the same messages.
    pub(super) first_send: Option<i64>,
    /// First known delivery.
    pub(super) first_delivery: Option<i64>,
    /// Outcome codes, each with its changes. A scope has few, and there are many scopes.
    pub(super) lists: Vec<(i32, ChangedTimes)>,
}

/// Added and removed times of an outcome.
#[derive(Debug, Default)]
pub(super) struct ChangedTimes {
    pub(super) plus: TimesByDay,
    pub(super) minus: TimesByDay,
}

impl TimelineDelta {
    /// Adds changed times of an outcome in a scope.
    pub(in crate::scan) fn add(
        &mut self,
        scope: ScopeValues,
        outcome: i32,
        times: TimesByDay,
        sign: Sign,
    ) {
        let change = self.scopes.entry(scope).or_default();
        let first = |known: Option<i64>| known.into_iter().chain(times.first()).min();
        if sign == Sign::Plus && outcome == Outcome::Send.code() {
            change.first_send = first(change.first_send);
        }
        if sign == Sign::Plus && outcome == Outcome::Delivery.code() {
            change.first_delivery = first(change.first_delivery);
        }
        let lists = &mut change.lists;
        let at = lists.iter().position(|(code, _)| *code == outcome).unwrap_or_else(|| {
            lists.push((outcome, ChangedTimes::default()));
            lists.len() - 1
        });
        let changed = &mut lists[at].1;
        match sign {
            Sign::Plus => changed.plus.append(times),
            Sign::Minus => changed.minus.append(times),
        }
    }
}
