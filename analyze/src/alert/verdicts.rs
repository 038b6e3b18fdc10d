//! Verdicts of a check by scope, to find those that belong to the alert of a notification.

use std::collections::BTreeMap;

use crate::alert::evaluation::scope_map;
use crate::alert::notification::Notification;
use crate::alert::state::{DENOMINATOR, ScopeMap};
use crate::check::{CheckReport, Verdict};

/// The verdicts of a check by scope. There can be tens of thousands, and as many notifications.
#[derive(Debug)]
pub(super) struct VerdictIndex<'c> {
    /// The check.
    pub(super) check: &'c CheckReport,
    /// Positions in the list of verdicts.
    by_scope: BTreeMap<ScopeMap, Vec<usize>>,
}

impl<'c> VerdictIndex<'c> {
    pub(super) fn new(check: &'c CheckReport) -> Self {
        let mut by_scope: BTreeMap<ScopeMap, Vec<usize>> = BTreeMap::new();
        for (position, verdict) in check.verdicts.iter().enumerate() {
            by_scope.entry(scope_map(&verdict.scope)).or_default().push(position);
        }
        Self { check, by_scope }
    }

    /// Returns the verdicts with the scope and the metric of an alert, with their positions. All metrics share the
    /// denominator of a scope.
    pub(super) fn of(
        &self,
        notification: &Notification,
    ) -> impl Iterator<Item = (usize, &'c Verdict)> {
        let key = &notification.alert.key;
        let positions = self.by_scope.get(&key.scope).into_iter().flatten().copied();
        let verdict = |position| Some((position, self.check.verdicts.get(position)?));
        positions
            .filter_map(verdict)
            .filter(|(_, verdict)| key.metric == verdict.metric || key.metric == DENOMINATOR)
    }

    /// Whether an alert of a group counts the same mail as an alert of fewer dimensions: the group is the only one of
    /// its scope, for example the only configuration set of an account.
    pub(super) fn is_same_mail(&self, broad: &Notification, narrow: &Notification) -> bool {
        let numbers = |one| {
            let verdict: &Verdict = self.worst(one)?;
            Some((&verdict.window, verdict.level, verdict.count, verdict.attempts?))
        };
        let (outer, inner) = (&broad.alert.key.scope, &narrow.alert.key.scope);
        outer.len() < inner.len()
            && outer.iter().all(|(name, value)| inner.get(name) == Some(value))
            && broad.alert.key.metric == narrow.alert.key.metric
            && numbers(broad).is_some_and(|of_broad| Some(of_broad) == numbers(narrow))
    }

    /// Returns the verdict of an alert with the worst level, then the highest rate; `None` if the scope has no events.
    ///
    /// Windows that reached a level since the alert was raised precede all others: the rate of a short window with few
    /// attempts can be higher than any rate of the alert.
    pub(super) fn worst(&self, notification: &Notification) -> Option<&'c Verdict> {
        let windows = &notification.alert.windows;
        let is_of_alert = |verdict: &Verdict| windows.contains_key(&verdict.window);
        let rate = |verdict: &Verdict| verdict.rate.unwrap_or_default();
        self.of(notification).map(|(_, verdict)| verdict).reduce(|worst, verdict| {
            let order = (is_of_alert(verdict).cmp(&is_of_alert(worst)))
                .then(verdict.level.cmp(&worst.level))
                .then(rate(verdict).total_cmp(&rate(worst)));
            if order.is_gt() { verdict } else { worst }
        })
    }
}
