//! Failures that are loaded once for several queries of a scan. No polars.

use std::sync::Arc;

use crate::scan::event::ScannedEvent;
use crate::scan::event_rows::{EventRows, RowFields};

/// Fixed-size fields of a failure.
#[derive(Debug, Clone, Copy)]
pub(super) struct FailureFields {
    pub(super) event: ScannedEvent,
    pub(super) smtp_code: Option<i32>,
}

impl RowFields for FailureFields {
    fn keys(&self) -> (u64, u64) {
        self.event.keys()
    }

    fn merge(&mut self, copy: Self) {
        self.event.merge(copy.event);
        self.smtp_code = self.smtp_code.max(copy.smtp_code);
    }
}

/// All failures of some days, copies included.
#[derive(Debug)]
pub(super) struct LoadedFailures {
    pub(super) first_day: i64,
    pub(super) last_day: i64,
    /// Names of the texts.
    pub(super) names: Vec<String>,
    pub(super) rows: EventRows<FailureFields>,
}

/// The failures that a scan has loaded.
#[derive(Debug, Default)]
pub(super) struct FailureCache {
    pub(super) loaded: Option<Arc<LoadedFailures>>,
    /// First and last day of a span that has too many failures to load.
    pub(super) too_many: Option<(i64, i64)>,
}
