//! Alert state: alerts between runs, and the last notification of each channel. `state_file` stores
//! it as one JSON file; `transition` computes its changes. The serde names are a contract.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::alert::timestamp::Timestamp;
use crate::brake::state::BrakePhase;
use crate::check::level::AlertLevel;

/// Version of the file.
pub const VERSION: u32 = 1;

/// Dimensions of a scope and their values, independent of the order in the grouping.
pub type ScopeMap = BTreeMap<String, Option<String>>;

/// Identity of an alert. All windows of a rate share one alert: a rate that reaches a threshold in
/// one window after the other raises only one alert.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AlertKey {
    /// Service: `ses` or `workmail`.
    pub service: String,
    /// `bounce_rate`, `complaint_rate`, [`DENOMINATOR`], [`FEED`], [`SENDING`] or [`BRAKE`].
    pub metric: String,
    /// Scope; empty for the feed.
    pub scope: ScopeMap,
}

/// Metric of an alert about a scope with an unknown denominator.
pub const DENOMINATOR: &str = "denominator";
/// Metric of an alert about a stale feed.
pub const FEED: &str = "feed";
/// Metric of an alert about a part of the account for which SES does not allow sending.
pub const SENDING: &str = "sending";
/// Metric of an alert about a pause or a failure of the brake.
pub const BRAKE: &str = "brake";

/// Content of the state file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertState {
    /// Version of the file.
    pub version: u32,
    /// Time of the last run, by service.
    pub runs: BTreeMap<String, Timestamp>,
    /// Active alerts, and cleared alerts with a channel that is not notified yet; sorted by key.
    #[serde(rename = "alarms")]
    pub alerts: Vec<Alert>,
    /// Phase of the brake, by target.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub brake: BTreeMap<String, BrakePhase>,
}

impl Default for AlertState {
    fn default() -> Self {
        Self { version: VERSION, runs: BTreeMap::new(), alerts: Vec::new(), brake: BTreeMap::new() }
    }
}

/// One alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Identity.
    #[serde(flatten)]
    pub key: AlertKey,
    /// Worst level of its windows.
    pub level: AlertLevel,
    /// Time from which it has this level.
    pub since: Timestamp,
    /// Time at which it was raised.
    pub raised_at: Timestamp,
    /// Worst level since it was raised.
    pub worst: AlertLevel,
    /// Time at which it was cleared, if it is.
    pub cleared_at: Option<Timestamp>,
    /// Time of the last run that evaluated it.
    #[serde(rename = "seen_at")]
    pub evaluated_at: Timestamp,
    /// Highest rate since it was raised.
    pub peak: Option<Peak>,
    /// Windows that reached a level since it was raised.
    pub windows: BTreeMap<String, WindowState>,
    /// Last notification by channel.
    #[serde(rename = "told")]
    pub notified: BTreeMap<String, ChannelState>,
}

/// State of one window of an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowState {
    /// Level; it falls after `clear_after` without reaching it.
    pub level: AlertLevel,
    /// Time from which it has this level.
    pub since: Timestamp,
    /// Last fall since the alert was raised.
    pub fell: Option<Fall>,
    /// For each level up to `level` that is not reached now: the time since which it is not.
    pub below_since: BTreeMap<AlertLevel, Timestamp>,
}

/// Fall of a window to a lower level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fall {
    /// Level before.
    pub from: AlertLevel,
    /// Time of the fall.
    pub at: Timestamp,
}

/// Last notification of a channel about an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelState {
    /// Level of the last notification; lowered without a notification when the alert falls to a
    /// lower level.
    pub level: AlertLevel,
    /// Time of the last notification.
    pub at: Timestamp,
    /// Time of the first notification since the alert was raised.
    pub since: Timestamp,
    /// True if a window fell and reached its level again since the first notification: notify again.
    #[serde(rename = "again")]
    pub reached_again: bool,
}

/// Highest rate of an alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Peak {
    /// Rate, a fraction.
    pub rate: f64,
    /// Bounces or complaints.
    pub count: u64,
    /// Attempts.
    pub attempts: u64,
    /// Window of the rate.
    pub window: String,
    /// Time of the run.
    pub at: Timestamp,
}
