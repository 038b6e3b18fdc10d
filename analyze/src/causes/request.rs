//! Parameters of `causes`.

use crate::causes::grouping::CauseGrouping;
use bouncewatch_store::StoreFiles;

/// Parameters of `causes`.
#[derive(Debug, Clone)]
pub struct CausesRequest {
    /// Files of the store.
    pub store: StoreFiles,
    /// Start of the period (exclusive), epoch milliseconds.
    pub from: i64,
    /// End of the period (inclusive), epoch milliseconds.
    pub to: i64,
    /// Groupings; if empty, by cause.
    pub groupings: Vec<CauseGrouping>,
    /// Maximum number of groups per grouping (those with the most bounces); `None` for all.
    pub top: Option<usize>,
    /// Minimum number of addresses of a provider incident; 0: incidents are not detected.
    pub mass_guard: usize,
    /// Verified domains; SES does not count mail to them.
    pub own_domains: Vec<String>,
}

impl CausesRequest {
    /// Returns the start of the previous period (exclusive).
    pub(super) fn previous_from(&self) -> i64 {
        self.from.saturating_sub(self.to - self.from)
    }
}
