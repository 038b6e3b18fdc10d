//! Results of the analyses of a page.

use crate::causes::CausesReport;
use crate::check::CheckReport;
use crate::check::reconcile::Reconciliation;
use crate::page::groups::GroupTable;
use crate::report::RateReport;
use crate::suppress::SuppressionCounts;

/// Results of the analyses of a page.
#[derive(Debug)]
#[expect(missing_docs, reason = "each field is the result of the command of its name")]
pub struct PageReports {
    pub check: CheckReport,
    pub report: RateReport,
    /// Tables of the groupings that have groups.
    pub groups: Vec<GroupTable>,
    pub causes: Option<CausesReport>,
    pub reconcile: Option<Reconciliation>,
    pub suppress: Option<SuppressionCounts>,
    /// Number of stored rows, including duplicates.
    pub stored_rows: u64,
    /// Time of the first event of the service, epoch milliseconds.
    pub first_event_at: Option<i64>,
    /// Dimension and value of the group; `None` if the page has all groups.
    pub each: Option<(String, Option<String>)>,
}
