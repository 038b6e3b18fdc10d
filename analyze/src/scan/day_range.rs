//! Days that are scanned together.

use bouncewatch_schemas::time::DAY_MS;

use crate::error::AnalyzeError;
use crate::scan::store_scan::StoreScan;

/// Days that are scanned together.
#[derive(Debug)]
pub(super) struct DayRange {
    pub(super) first_day: i64,
    pub(super) last_day: i64,
    /// Indexes of the groupings that need these days.
    pub(super) groupings: Vec<usize>,
    /// Number of stored rows, copies included.
    pub(super) rows: u64,
}

impl DayRange {
    /// Returns the range from `first_day` to `last_day` (inclusive).
    pub(super) fn new(
        scan: &StoreScan,
        first_day: i64,
        last_day: i64,
        groupings: Vec<usize>,
    ) -> Result<Self, AnalyzeError> {
        let rows = scan.stored_rows(first_day, last_day)?;
        Ok(Self { first_day, last_day, groupings, rows })
    }

    /// Returns the time at which the range starts.
    pub(super) fn start(&self) -> i64 {
        self.first_day.saturating_mul(DAY_MS)
    }
}
