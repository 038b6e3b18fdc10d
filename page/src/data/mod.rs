//! The JSON document of a page: the results of the commands, and the settings of the page. Unknown keys are ignored.
//!
//! The keys are those of the JSON of the commands, see `docs/src/numbers.md` and `docs/src/page.md`.
#![allow(missing_docs, reason = "the fields are the keys of the JSON, see docs/src/page.md")]

mod causes;
mod check;
mod groups;
mod scope;

use serde::Deserialize;

pub use causes::{
    CauseAdvice, CauseGroup, CausesData, CommonValue, DelayCount, Disagreement, MistypedDomain,
    NamedCount, RollupCount,
};
pub use check::{
    CheckData, Contributor, FeedData, Headroom, IncidentData, Level, Pace, PreviousPeriod,
    RecentRate, Verdict, WithFeedback,
};
pub use groups::{GroupData, GroupOutcomes, GroupRow, OtherGroups};
pub use scope::Scope;

/// The document.
#[derive(Debug, Deserialize)]
pub struct PageData {
    pub version: u32,
    pub page: PageSettings,
    pub check: CheckData,
    pub report: ReportData,
    #[serde(default)]
    pub groups: Vec<GroupData>,
    pub causes: Option<CausesData>,
    pub reconcile: Option<ReconcileData>,
    pub suppress: Option<SuppressData>,
    /// Null if there is no file with the alert state.
    pub alerts: Option<AlertsData>,
    /// Null without a snapshot of `doctor`.
    #[serde(default)]
    pub doctor: Option<DoctorData>,
    pub store: StoreData,
}

/// Settings of the page.
#[derive(Debug, Deserialize)]
pub struct PageSettings {
    pub title: Option<String>,
    pub command: String,
    pub bouncewatch: String,
    /// Last component of the location of the store.
    pub store: String,
    pub service: String,
    pub counted_from: Option<String>,
    /// Settings that differ from their defaults.
    #[serde(default)]
    pub settings: Vec<(String, String)>,
    #[serde(default)]
    pub show_senders: bool,
    /// The group of this page, if it is one of `--each`.
    pub each: Option<(String, Option<String>)>,
}

/// Rates of the account over time.
#[derive(Debug, Deserialize)]
pub struct ReportData {
    pub from: String,
    pub every_seconds: f64,
    pub rows: Vec<ReportRow>,
}

/// Rates at one time.
#[derive(Debug, Deserialize)]
pub struct ReportRow {
    pub to: String,
    pub window: String,
    pub scope: Scope,
    pub attempts: Option<u64>,
    pub denominator: Option<String>,
    pub bounces: u64,
    pub soft: u64,
    pub complaints: u64,
    pub delays: u64,
    pub bounce_rate: Option<f64>,
    pub bounce_interval: Option<[f64; 2]>,
    pub complaint_rate: Option<f64>,
    pub complaint_interval: Option<[f64; 2]>,
}

/// Result of `reconcile`.
#[derive(Debug, Deserialize)]
pub struct ReconcileData {
    pub accounts: Vec<ReconciledScope>,
}

/// Steps that lead to the rate of a scope in a window.
#[derive(Debug, Deserialize)]
pub struct ReconciledScope {
    pub scope: Scope,
    pub window: String,
    pub from: Option<String>,
    pub to: String,
    pub attempts: Vec<ReconcileStep>,
    pub bounces: Vec<ReconcileStep>,
    pub rate: Option<f64>,
    pub aws_rate: Option<f64>,
    pub difference: Option<f64>,
    pub nearest: Option<String>,
}

/// One step.
#[derive(Debug, Deserialize)]
pub struct ReconcileStep {
    pub step: String,
    pub count: u64,
    pub left: u64,
    pub rate: Option<f64>,
}

/// Counts of addresses to suppress.
#[derive(Debug, Deserialize)]
pub struct SuppressData {
    pub addresses: u64,
    pub new: u64,
    /// Addresses of provider incidents, to mail again later.
    #[serde(default)]
    pub on_hold: u64,
    pub reasons: Vec<SuppressReason>,
    pub left_out: LeftOut,
}

/// Addresses of one reason and cause.
#[derive(Debug, Deserialize)]
pub struct SuppressReason {
    pub reason: String,
    pub cause: Option<String>,
    pub count: u64,
    pub new: u64,
}

/// Permanent failures that are not in the list.
#[derive(Debug, Deserialize)]
pub struct LeftOut {
    pub dropped: u64,
    pub on_ses_list: u64,
    pub on_global_list: u64,
    pub unknown_text: u64,
}

/// Open and cleared alerts.
#[derive(Debug, Deserialize)]
pub struct AlertsData {
    pub alarms: Vec<AlertData>,
}

/// One alert of the alert state.
#[derive(Debug, Deserialize)]
pub struct AlertData {
    pub service: String,
    pub metric: String,
    pub scope: Scope,
    pub level: Level,
    pub since: String,
    pub raised_at: String,
    pub worst: Level,
    pub cleared_at: Option<String>,
    /// Last notification of any channel.
    pub notified_at: Option<String>,
    /// Number of channels with a pending notification.
    #[serde(default)]
    pub pending_channels: u64,
}

/// Findings of `doctor`.
#[derive(Debug, Deserialize)]
pub struct DoctorData {
    pub as_of: String,
    pub account: Option<String>,
    pub region: String,
    /// Number of checks without a finding.
    pub passed: u64,
    /// The worst first.
    pub findings: Vec<DoctorFinding>,
}

/// One finding.
#[derive(Debug, Deserialize)]
pub struct DoctorFinding {
    pub id: String,
    /// Null for a note.
    pub level: Option<Level>,
    pub subject: Option<String>,
    pub what: String,
    pub fix: String,
}

/// Content of the store.
#[derive(Debug, Deserialize)]
pub struct StoreData {
    pub segments: u64,
    pub rows: u64,
    pub first_day: Option<String>,
    pub last_day: Option<String>,
    /// Start of the first event that can be in a chart.
    pub history_from: Option<String>,
    pub format_version: u32,
    #[serde(default)]
    pub quarantine: Vec<QuarantineCount>,
}

/// Quarantined documents of one reason.
#[derive(Debug, Deserialize)]
pub struct QuarantineCount {
    pub reason: String,
    pub count: u64,
    pub newest: String,
}
