//! Parameters of a page.

use crate::causes::CausesRequest;
use crate::check::CheckRequest;
use crate::check::reconcile::ReconcileRequest;
use crate::report::ReportRequest;
use crate::suppress::SuppressRequest;
use crate::timeline::{Dimension, Grouping};

/// Parameters of a page. All analyses read the store of the check and end at its time.
#[derive(Debug, Clone)]
pub struct PageRequest {
    /// The check. Groups and rates over time use its first window.
    pub check: CheckRequest,
    /// Rates of the account over time.
    pub report: ReportRequest,
    /// Groupings; each has a table of groups.
    pub groupings: Vec<Grouping>,
    /// Dimension with one page per value. If set, each grouping starts with account, region and
    /// this dimension.
    pub each: Option<Dimension>,
    /// Maximum number of groups in a table.
    pub top: usize,
    /// Causes of bounces; `None` for WorkMail.
    pub causes: Option<CausesRequest>,
    /// Reconciliation; `None` for WorkMail.
    pub reconcile: Option<ReconcileRequest>,
    /// Addresses to suppress; `None` for WorkMail.
    pub suppress: Option<SuppressRequest>,
}

impl PageRequest {
    /// Returns the check of the groups: only the first window, without contributors.
    pub(super) fn group_check(&self) -> CheckRequest {
        CheckRequest {
            groupings: self.groupings.clone(),
            windows: self.check.windows.iter().take(1).cloned().collect(),
            contributors: Vec::new(),
            incidents: None,
            ..self.check.clone()
        }
    }
}
