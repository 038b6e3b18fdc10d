//! Pending and delivered notifications of each channel. No I/O.
//!
//! A channel is notified when an alert is raised, worsens, is still active after `renotify_after`,
//! is cleared, or was missed.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::alert::evaluation::Evaluation;
use crate::alert::policy::AlertPolicy;
use crate::alert::state::{Alert, AlertKey, AlertState, ChannelState};
use crate::alert::timestamp::Timestamp;
use crate::check::level::AlertLevel;

/// Reason of a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertChange {
    /// The alert is new.
    Raised,
    /// The level rose, or a window reached its level again.
    Worsened,
    /// The alert is still active.
    Reminded,
    /// The alert ended.
    Cleared,
    /// The alert was raised and cleared while the channel failed.
    Missed,
}

impl AlertChange {
    /// Value in the JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::Worsened => "worsened",
            Self::Reminded => "reminded",
            Self::Cleared => "cleared",
            Self::Missed => "missed",
        }
    }
}

/// A notification about one alert.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// Reason.
    pub change: AlertChange,
    /// Previous notification of the channel about the alert.
    pub previous: Option<ChannelState>,
    /// The alert.
    pub alert: Alert,
}

/// Returns the pending notifications of a channel after a run, sorted by the keys of their alerts.
pub fn pending_notifications(
    state: &AlertState,
    channel: &str,
    evaluation: &Evaluation,
    policy: &AlertPolicy,
) -> Vec<Notification> {
    let is_evaluated = |alert: &&Alert| {
        alert.key.service == evaluation.service && alert.evaluated_at == Timestamp(evaluation.at)
    };
    let notification = |alert: &Alert| {
        let previous = alert.notified.get(channel).copied();
        let change = pending_change(alert, previous, evaluation.at, policy)?;
        Some(Notification { change, previous, alert: alert.clone() })
    };
    state.alerts.iter().filter(is_evaluated).filter_map(notification).collect()
}

fn pending_change(
    alert: &Alert,
    previous: Option<ChannelState>,
    at: i64,
    policy: &AlertPolicy,
) -> Option<AlertChange> {
    let is_raised = alert.level > AlertLevel::Ok;
    let Some(previous) = previous else {
        return Some(if is_raised { AlertChange::Raised } else { AlertChange::Missed });
    };
    let is_reminder_due =
        || policy.renotify_after_ms.is_some_and(|after| at - previous.at.0 >= after);
    match (previous.level > AlertLevel::Ok, is_raised) {
        (false, false) => None,
        (false, true) => Some(AlertChange::Raised),
        (true, false) => Some(AlertChange::Cleared),
        (true, true) if alert.level > previous.level || previous.reached_again => {
            Some(AlertChange::Worsened)
        }
        (true, true) => is_reminder_due().then_some(AlertChange::Reminded),
    }
}

/// Records that a channel accepted notifications at time `at`, epoch milliseconds.
pub fn mark_delivered(
    state: &mut AlertState,
    channel: &str,
    notifications: &[Notification],
    at: i64,
) {
    let by_key: BTreeMap<&AlertKey, &Notification> =
        notifications.iter().map(|one| (&one.alert.key, one)).collect();
    for alert in &mut state.alerts {
        let Some(notification) = by_key.get(&alert.key) else { continue };
        let previous = notification.previous.filter(|previous| previous.level > AlertLevel::Ok);
        let since = previous.map_or(Timestamp(at), |previous| previous.since);
        let level = notification.alert.level;
        let delivered = ChannelState { level, at: Timestamp(at), since, reached_again: false };
        alert.notified.insert(channel.to_owned(), delivered);
    }
}

/// Drops each cleared alert after all channels were notified that it cleared: `channels` of this
/// run, and channels of other runs that were notified of the alert.
pub fn drop_cleared(state: &mut AlertState, channels: &[String]) {
    let is_notified = |alert: &Alert, channel: &String| {
        alert.notified.get(channel).is_some_and(|notified| notified.level == AlertLevel::Ok)
    };
    state.alerts.retain(|alert| {
        let mut channels = channels.iter().chain(alert.notified.keys());
        alert.level > AlertLevel::Ok || !channels.all(|channel| is_notified(alert, channel))
    });
}
