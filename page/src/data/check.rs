//! Result of `check`.

pub use bouncewatch_schemas::level::AlertLevel as Level;
use serde::Deserialize;

use super::scope::Scope;

/// Result of `check`.
#[derive(Debug, Deserialize)]
pub struct CheckData {
    pub as_of: String,
    pub status: Level,
    pub feed: FeedData,
    #[serde(default)]
    pub sending: SendingData,
    pub verdicts: Vec<Verdict>,
    #[serde(default)]
    pub incidents: Vec<IncidentData>,
}

/// What AWS reported about the account.
#[derive(Debug, Default, Deserialize)]
pub struct SendingData {
    pub statuses: Vec<SendingStatus>,
}

/// The last status of the account, or of a part of it.
#[derive(Debug, Deserialize)]
pub struct SendingStatus {
    pub scope: Scope,
    /// `enabled` or `disabled`.
    pub status: String,
    pub since: String,
    #[serde(default)]
    pub changed_by: Option<String>,
    pub reason: Option<String>,
}

impl SendingStatus {
    /// The part of the account as text: `tenant shop`; account and region if it is all of it.
    pub(crate) fn part(&self) -> String {
        if self.scope.is_account() {
            return self.scope.account();
        }
        let below = self.scope.0.iter().skip(2);
        let text = |(name, value): &(String, Option<String>)| {
            format!("{} {}", name.replace('_', " "), value.as_deref().unwrap_or_default())
        };
        below.map(text).collect::<Vec<_>>().join(", ")
    }
}

impl SendingData {
    /// The parts that may not send, with their positions.
    pub(crate) fn disabled(&self) -> impl Iterator<Item = (usize, &SendingStatus)> {
        self.statuses.iter().enumerate().filter(|(_, one)| one.status == "disabled")
    }
}

/// A provider incident of the last 24 hours.
#[derive(Debug, Deserialize)]
pub struct IncidentData {
    pub provider: String,
    pub text: Option<String>,
    pub addresses: u64,
    pub hold_until: String,
    pub remedy: String,
}

/// Health of the feed.
#[derive(Debug, Deserialize)]
pub struct FeedData {
    pub newest_event_at: Option<String>,
    pub silent_seconds: Option<i64>,
    pub stale: bool,
    #[serde(default)]
    pub missing: Vec<String>,
}

/// One rate with its level.
#[derive(Debug, Clone, Deserialize)]
pub struct Verdict {
    pub metric: String,
    pub level: Level,
    pub scope: Scope,
    pub window: String,
    pub basis: String,
    pub from: Option<String>,
    pub to: String,
    pub count: u64,
    pub attempts: Option<u64>,
    pub denominator: Option<String>,
    pub rate: Option<f64>,
    pub interval: Option<[f64; 2]>,
    pub warning: f64,
    pub critical: f64,
    pub minimum_volume: u64,
    #[serde(rename = "sure")]
    pub significant: bool,
    pub headroom: Option<Headroom>,
    pub incoming_bounces: Option<u64>,
    pub mature: Option<f64>,
    pub with_feedback: Option<WithFeedback>,
    pub before: Option<PreviousPeriod>,
    pub pace: Option<Pace>,
    pub crosses_warning_at: Option<String>,
    pub crosses_critical_at: Option<String>,
    #[serde(default)]
    pub contributors: Vec<Contributor>,
}

/// How many more bounces or complaints reach a threshold.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Headroom {
    pub warning: u64,
    pub critical: u64,
}

/// Complaint rate of mail to providers that send complaint feedback.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct WithFeedback {
    pub attempts: u64,
    pub rate: Option<f64>,
}

/// The previous period.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct PreviousPeriod {
    pub count: u64,
    pub attempts: u64,
    pub rate: Option<f64>,
}

/// Recent rates of a window.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Pace {
    pub long: RecentRate,
    pub short: RecentRate,
    pub burn: Option<f64>,
}

/// Rate of the last part of a window.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct RecentRate {
    pub seconds: f64,
    pub count: u64,
    pub attempts: u64,
    pub rate: Option<f64>,
    pub burn: Option<f64>,
}

/// A part of a scope with its share of the count.
#[derive(Debug, Clone, Deserialize)]
pub struct Contributor {
    pub by: String,
    pub value: Option<String>,
    pub count: u64,
    pub attempts: Option<u64>,
    pub rate_without: Option<f64>,
}

impl Verdict {
    /// Whether it is the bounce rate.
    pub fn is_bounce(&self) -> bool {
        self.metric == "bounce_rate"
    }

    /// `bounce rate` or `complaint rate`.
    pub fn metric_name(&self) -> String {
        self.metric.replace('_', " ")
    }

    /// Noun of the count: `bounces` or `complaints`.
    pub fn noun(&self) -> &'static str {
        if self.is_bounce() { "bounces" } else { "complaints" }
    }
}
