//! Changes of timelines.

use std::collections::BTreeMap;

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
    /// Added and removed times by outcome code.
    pub(super) lists: BTreeMap<i32, (Vec<i64>, Vec<i64>)>,
}

impl TimelineDelta {
    /// Adds changed times of an outcome in a scope.
    pub(in crate::scan) fn add(
        &mut self,
        scope: ScopeValues,
        outcome: i32,
        times: Vec<i64>,
        sign: Sign,
    ) {
        let change = self.scopes.entry(scope).or_default();
        let first = |known: Option<i64>| known.into_iter().chain(times.iter().copied()).min();
        if sign == Sign::Plus && outcome == Outcome::Send.code() {
            change.first_send = first(change.first_send);
        }
        if sign == Sign::Plus && outcome == Outcome::Delivery.code() {
            change.first_delivery = first(change.first_delivery);
        }
        let (plus, minus) = change.lists.entry(outcome).or_default();
        let list = match sign {
            Sign::Plus => plus,
            Sign::Minus => minus,
        };
        if list.is_empty() {
            *list = times;
        } else {
            list.extend(times);
        }
    }
}
