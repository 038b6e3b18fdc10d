//! Verdicts of a check that belong to the alert of a notification.

use crate::alert::evaluation::scope_map;
use crate::alert::notification::Notification;
use crate::alert::state::DENOMINATOR;
use crate::check::{CheckReport, Verdict};

/// Returns true if a verdict has the scope and the metric of an alert. All metrics share the denominator of a scope.
pub(super) fn is_verdict_of(notification: &Notification, verdict: &Verdict) -> bool {
    let key = &notification.alert.key;
    (key.metric == verdict.metric || key.metric == DENOMINATOR)
        && scope_map(&verdict.scope) == key.scope
}

/// Returns the verdict of an alert with the worst level, then the highest rate; `None` if the scope has no events.
///
/// Windows that reached a level since the alert was raised precede all others: the rate of a short window with few
/// attempts can be higher than any rate of the alert.
pub(super) fn worst_verdict<'c>(
    check: &'c CheckReport,
    notification: &Notification,
) -> Option<&'c Verdict> {
    let windows = &notification.alert.windows;
    let is_of_alert = |verdict: &Verdict| windows.contains_key(&verdict.window);
    let rate = |verdict: &Verdict| verdict.rate.unwrap_or_default();
    let verdicts = check.verdicts.iter().filter(|verdict| is_verdict_of(notification, verdict));
    verdicts.reduce(|worst, verdict| {
        let order = (is_of_alert(verdict).cmp(&is_of_alert(worst)))
            .then(verdict.level.cmp(&worst.level))
            .then(rate(verdict).total_cmp(&rate(worst)));
        if order.is_gt() { verdict } else { worst }
    })
}
