//! Parameters of `causes`.

use crate::causes::grouping::CauseGrouping;
use bouncewatch_store::StoreFiles;

/// Parameters of `causes`.
#[derive(Debug, Clone)]
pub struct CausesRequest {
    /// The folder of the store.
    pub store: StoreFiles,
    /// Start of the span (exclusive), epoch milliseconds.
    pub from: i64,
    /// End of the span (inclusive).
    pub to: i64,
    /// Groupings; if empty, by cause.
    pub groupings: Vec<CauseGrouping>,
    /// Maximum number of groups per grouping, those with most bounces; `None` for all.
    pub top: Option<usize>,
    /// Minimum number of addresses of a provider incident; 0: incidents are not detected.
    pub mass_guard: usize,
    /// Domains to which SES does not count mail.
    pub own_domains: Vec<String>,
}

impl CausesRequest {
    /// Returns the start of the previous period (exclusive).
    pub(super) fn previous_from(&self) -> i64 {
        self.from.saturating_sub(self.to - self.from)
    }
}
