//! Alert state + evaluation of a run -> next alert state. No I/O; the time of the run is the only
//! clock.
//!
//! A level rises at once. It falls after `clear_after` without interruption in which it is not
//! reached. An alert has the worst level of its windows. If a further window reaches a level that
//! was notified, no notification follows. If a window falls and reaches its level again, one does
//! (see `notification`).

use std::collections::BTreeMap;

use crate::alert::evaluation::{Condition, Evaluation, FeedState, NO_WINDOW};
use crate::alert::policy::{AlertPolicy, AlertScope};
use crate::alert::state::{
    Alert, AlertKey, AlertState, BRAKE, DENOMINATOR, FEED, Fall, Peak, SENDING, WindowState,
};
use crate::alert::timestamp::Timestamp;
use crate::check::level::AlertLevel;

/// Alerts that no run evaluated for this time are dropped: the settings no longer name their window or grouping.
const FORGET_AFTER_MS: i64 = 30 * bouncewatch_schemas::time::DAY_MS;

/// Error of a run that is earlier than the last run: it changes no state and sends no notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfOrder {
    /// Time of the last run, epoch milliseconds.
    pub last: i64,
}

/// Maximum time by which the last run can be later than this run; beyond it, its clock was wrong.
const CLOCK_AHEAD_MAX_MS: i64 = 3_600_000;

/// Returns the state without the runs and alerts of a service, and the time of its last run, if
/// that run is more than an hour after `now`: its clock was ahead. With this run in the state, all
/// runs up to that time would be out of order and send no alerts.
pub fn without_run_ahead(state: &AlertState, service: &str, now: i64) -> Option<(AlertState, i64)> {
    let last = state.runs.get(service)?.0;
    if last <= now.saturating_add(CLOCK_AHEAD_MAX_MS) {
        return None;
    }
    let mut state = state.clone();
    state.runs.remove(service);
    state.alerts.retain(|alert| alert.key.service != service);
    Some((state, last))
}

/// Returns the alert state after a run.
///
/// # Errors
/// If the run is earlier than the last run of its service.
pub fn next_state(
    state: &AlertState,
    evaluation: &Evaluation,
    policy: &AlertPolicy,
) -> Result<AlertState, OutOfOrder> {
    if let Some(last) = state.runs.get(&evaluation.service)
        && evaluation.at < last.0
    {
        return Err(OutOfOrder { last: last.0 });
    }
    let mut alerts: BTreeMap<AlertKey, Alert> =
        state.alerts.iter().map(|alert| (alert.key.clone(), alert.clone())).collect();
    for (key, windows) in &evaluation.conditions {
        let is_raised = |condition: &Condition| match condition {
            Condition::Level { reached, .. } => *reached > AlertLevel::Ok,
            Condition::Unknown => false,
        };
        if !alerts.contains_key(key) && windows.values().any(is_raised) {
            alerts.insert(key.clone(), new_alert(key, evaluation.at));
        }
    }
    for alert in alerts.values_mut().filter(|alert| is_evaluated(&alert.key, evaluation)) {
        update_alert(alert, evaluation, policy);
    }
    let is_kept = |alert: &Alert| {
        alert.key.service != evaluation.service
            || evaluation.at - alert.evaluated_at.0 <= FORGET_AFTER_MS
    };
    let alerts = alerts.into_values().filter(is_kept).collect();
    let mut next = AlertState { alerts, ..state.clone() };
    next.runs.insert(evaluation.service.clone(), Timestamp(evaluation.at));
    Ok(next)
}

/// Returns true if a run evaluates an alert.
fn is_evaluated(key: &AlertKey, evaluation: &Evaluation) -> bool {
    let AlertScope { groupings, .. } = &evaluation.scope;
    let has_dimensions = |grouping: &Vec<String>| {
        grouping.len() == key.scope.len()
            && grouping.iter().all(|dimension| key.scope.contains_key(dimension))
    };
    let is_included = match key.metric.as_str() {
        // a run without --brake does not evaluate it
        BRAKE => evaluation.conditions.contains_key(key),
        _ => !is_rate(key) || groupings.iter().any(has_dimensions),
    };
    key.service == evaluation.service && is_included
}

/// Whether an alert is about a rate, which needs a feed, windows and groupings.
fn is_rate(key: &AlertKey) -> bool {
    !matches!(key.metric.as_str(), FEED | SENDING | BRAKE)
}

fn new_alert(key: &AlertKey, at: i64) -> Alert {
    Alert {
        key: key.clone(),
        level: AlertLevel::Ok,
        since: Timestamp(at),
        raised_at: Timestamp(at),
        worst: AlertLevel::Ok,
        cleared_at: None,
        evaluated_at: Timestamp(at),
        peak: None,
        windows: BTreeMap::new(),
        notified: BTreeMap::new(),
    }
}

fn update_alert(alert: &mut Alert, evaluation: &Evaluation, policy: &AlertPolicy) {
    let conditions = evaluation.conditions.get(&alert.key);
    // a scope without events is OK in all windows
    let no_events = Condition::level(AlertLevel::Ok);
    let mut windows: Vec<&String> = conditions.into_iter().flat_map(BTreeMap::keys).collect();
    let no_window = [NO_WINDOW.to_owned()];
    let all = if is_rate(&alert.key) { &evaluation.scope.windows[..] } else { &no_window };
    windows.extend(all.iter().filter(|_| conditions.is_none()));
    let mut reached_again: Option<Timestamp> = None;
    // the peak of a cleared alert is kept until all channels are notified, unless the alert is raised again
    let cleared_peak = if alert.level == AlertLevel::Ok { alert.peak.take() } else { None };
    for window in windows {
        let condition = conditions.and_then(|all| all.get(window)).unwrap_or(&no_events);
        reached_again =
            reached_again.max(update_window(alert, window, condition, evaluation, policy));
    }
    let level = alert.windows.values().map(|window| window.level).max().unwrap_or(AlertLevel::Ok);
    let at = Timestamp(evaluation.at);
    if level == AlertLevel::Ok && alert.peak.is_none() {
        alert.peak = cleared_peak;
    }
    if alert.level == AlertLevel::Ok && level > AlertLevel::Ok {
        alert.raised_at = at;
        alert.worst = level;
        alert.cleared_at = None;
        // drop the history from before the alert was cleared
        alert.windows.retain(|_, window| window.level > AlertLevel::Ok);
        alert.windows.values_mut().for_each(|window| window.fell = None);
    }
    if level != alert.level {
        alert.since = at;
    }
    if level < alert.level {
        if level == AlertLevel::Ok {
            alert.cleared_at = Some(at);
        }
        // a fall from critical to warning is not notified; lower the notified level so that the next rise is
        for notified in alert.notified.values_mut().filter(|_| level > AlertLevel::Ok) {
            notified.level = notified.level.min(level);
        }
    }
    // only channels that were notified before the window fell
    for notified in
        alert.notified.values_mut().filter(|notified| reached_again >= Some(notified.since))
    {
        notified.reached_again = true;
    }
    alert.level = level;
    alert.worst = alert.worst.max(level);
    alert.evaluated_at = at;
}

/// Updates one window. Returns the time of its last fall if it reaches the level again that it fell from.
fn update_window(
    alert: &mut Alert,
    name: &str,
    condition: &Condition,
    evaluation: &Evaluation,
    policy: &AlertPolicy,
) -> Option<Timestamp> {
    let at = Timestamp(evaluation.at);
    let known = alert.windows.get_mut(name);
    let Condition::Level { reached, sustained, rate } = condition else {
        // an unknown level interrupts `clear_after`
        if let Some(window) = known {
            window.below_since.clear();
        }
        return None;
    };
    let before = known.as_ref().map_or(AlertLevel::Ok, |window| window.level);
    let now = (*reached).max((*sustained).min(before));
    let reached_again = match known {
        None if now == AlertLevel::Ok => return None,
        None => {
            let window =
                WindowState { level: now, since: at, fell: None, below_since: BTreeMap::new() };
            alert.windows.insert(name.to_owned(), window);
            None
        }
        Some(window) if now >= before => {
            window.below_since.clear();
            if now > before {
                (window.level, window.since) = (now, at);
            }
            window.fell.filter(|fell| now > before && now <= fell.from).map(|fell| fell.at)
        }
        Some(window) if is_rate(&alert.key) && evaluation.feed == FeedState::Stale => {
            window.below_since.clear();
            None
        }
        Some(window) => {
            lower_window(window, now, &alert.key.metric, evaluation.at, policy);
            None
        }
    };
    if let Some(rate) = rate
        && now > AlertLevel::Ok
        && alert.peak.as_ref().is_none_or(|peak| rate.rate > peak.rate)
    {
        alert.peak = Some(Peak { at, ..rate.clone() });
    }
    reached_again
}

/// Lowers a window from the levels that were not reached for `clear_after`.
fn lower_window(
    window: &mut WindowState,
    now: AlertLevel,
    metric: &str,
    at: i64,
    policy: &AlertPolicy,
) {
    let levels: &[AlertLevel] = match metric {
        FEED | DENOMINATOR => &[AlertLevel::Unknown],
        _ => &[AlertLevel::Warning, AlertLevel::Critical],
    };
    let current = levels.iter().filter(|level| **level <= window.level);
    let mut remaining = AlertLevel::Ok;
    for level in current.copied() {
        if now >= level {
            window.below_since.remove(&level);
            remaining = level;
            continue;
        }
        let since = *window.below_since.entry(level).or_insert(Timestamp(at));
        if at - since.0 < policy.clear_after_ms {
            remaining = level;
        }
    }
    if remaining < window.level {
        window.below_since.retain(|level, _| *level <= remaining);
        // a fall in several steps counts as one fall from the highest level
        let from = window.fell.map_or(window.level, |fell| fell.from.max(window.level));
        window.fell = Some(Fall { from, at: Timestamp(at) });
        (window.level, window.since) = (remaining, Timestamp(at));
    }
}
