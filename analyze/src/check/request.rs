//! Parameters of a check.

use bouncewatch_schemas::event::Service;
use bouncewatch_store::StoreFiles;

use crate::check::thresholds::{ThresholdRules, Thresholds};
use crate::incidents::IncidentSearch;
use crate::timeline::{Basis, Dimension, Grouping, Window};

/// Parameters of a check.
#[derive(Debug, Clone)]
pub struct CheckRequest {
    /// Folder of the store.
    pub store: StoreFiles,
    /// Service to evaluate.
    pub service: Service,
    /// Time of the evaluation, epoch milliseconds.
    pub at: i64,
    /// Windows that end at `at`.
    pub windows: Vec<Window>,
    /// Time that assigns events to windows: event time or send time.
    pub basis: Basis,
    /// Groupings below account and region.
    pub groupings: Vec<Grouping>,
    /// Events before this time are ignored, epoch milliseconds.
    pub counted_from: Option<i64>,
    /// Dimensions by which contributors are listed.
    pub contributors: Vec<Dimension>,
    /// Verified domains; SES does not count mail to them.
    pub own_domains: Vec<String>,
    /// Thresholds of the bounce rate.
    pub bounce: Thresholds,
    /// Thresholds of the complaint rate.
    pub complaint: Thresholds,
    /// Minimum attempts for the rate alone to set the level; below it, the interval must also be
    /// above the threshold.
    pub minimum_volume: u64,
    /// Thresholds and minimum volumes of single scopes.
    pub rules: ThresholdRules,
    /// Time without events after which the feed is stale, milliseconds.
    pub stale_after: i64,
    /// Search for provider incidents of the last 24 hours; `None` for `WorkMail`.
    pub incidents: Option<IncidentSearch>,
}
