//! Verdicts of a check by scope, to find the verdicts of an alert.

use std::collections::BTreeMap;

use crate::alert::evaluation::scope_map;
use crate::alert::notification::Notification;
use crate::alert::state::{DENOMINATOR, ScopeMap};
use crate::check::{CheckReport, Verdict};

/// Index of the verdicts of a check by scope. A check can have tens of thousands of verdicts and
/// alerts.
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

    /// Returns the verdicts with the scope and the metric of an alert, with their positions. A
    /// denominator alert belongs to all metrics of its scope.
    pub(super) fn of_alert(
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

    /// Whether the alert `narrow` counts the same mail as `broad`, which has fewer dimensions.
    /// Example: an account has only one configuration set.
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
    /// Windows that reached a level since the alert was raised come first: a short window with few
    /// attempts can have a higher rate without reaching a level.
    pub(super) fn worst(&self, notification: &Notification) -> Option<&'c Verdict> {
        let windows = &notification.alert.windows;
        let is_of_alert = |verdict: &Verdict| windows.contains_key(&verdict.window);
        let rate = |verdict: &Verdict| verdict.rate.unwrap_or_default();
        self.of_alert(notification).map(|(_, verdict)| verdict).reduce(|worst, verdict| {
            let order = (is_of_alert(verdict).cmp(&is_of_alert(worst)))
                .then(verdict.level.cmp(&worst.level))
                .then(rate(verdict).total_cmp(&rate(worst)));
            if order.is_gt() { verdict } else { worst }
        })
    }
}
