//! Rates of the groups of a grouping.

use serde::Deserialize;

use super::check::Level;
use super::scope::Scope;

/// Groups of one grouping.
#[derive(Debug, Deserialize)]
pub struct GroupData {
    pub by: Vec<String>,
    pub window: String,
    pub scopes: u64,
    pub scopes_shown: u64,
    pub above_warning: u64,
    pub warning: f64,
    pub critical: f64,
    pub rows: Vec<GroupRow>,
    pub others: Option<OtherGroups>,
}

/// One group.
#[derive(Debug, Deserialize)]
pub struct GroupRow {
    pub scope: Scope,
    pub level: Level,
    #[serde(rename = "sure")]
    pub significant: bool,
    pub count: u64,
    pub attempts: Option<u64>,
    pub rate: Option<f64>,
    pub interval: Option<[f64; 2]>,
    pub until_critical: Option<u64>,
    pub complaints: Option<u64>,
    pub complaint_rate: Option<f64>,
    pub outcomes: Option<GroupOutcomes>,
    #[serde(default)]
    pub trend: Vec<Option<f64>>,
}

/// Outcomes of the mail of a group.
#[derive(Debug, Deserialize)]
pub struct GroupOutcomes {
    pub deliveries: u64,
    pub delivery_rate: Option<f64>,
    pub hard: u64,
    pub soft: u64,
    pub delays: u64,
    pub delay_rate: Option<f64>,
}

/// Sum of the groups that are not shown.
#[derive(Debug, Deserialize)]
pub struct OtherGroups {
    pub scopes: u64,
    pub bounces: u64,
    pub attempts: Option<u64>,
}

impl GroupData {
    /// Whether the groups are mailbox providers.
    pub fn is_by_provider(&self) -> bool {
        self.by.last().is_some_and(|name| name == "provider")
    }

    /// Names of the dimensions as text: `configuration set`, `campaign`.
    pub fn title(&self) -> String {
        let name = |by: &String| by.trim_start_matches("tag:").replace('_', " ");
        // all groups of a page of --each have the same value of the first dimension
        let is_same = |row: &GroupRow| {
            row.scope.0.get(2) == self.rows.first().and_then(|first| first.scope.0.get(2))
        };
        let skipped = usize::from(self.by.len() > 1 && self.rows.iter().all(is_same));
        self.by.iter().skip(skipped).map(name).collect::<Vec<_>>().join(", ")
    }
}
