//! Parameters of `history`.

use crate::history::subject::HistorySubject;
use bouncewatch_store::StoreFiles;

/// Parameters of `history`.
#[derive(Debug, Clone)]
pub struct HistoryRequest {
    /// Files of the store.
    pub store: StoreFiles,
    /// The address or message.
    pub subject: HistorySubject,
    /// Start of the period (exclusive), epoch milliseconds; `None` for all events.
    pub from: Option<i64>,
    /// End of the period (inclusive).
    pub to: i64,
    /// Minimum number of addresses of a provider incident; 0: incidents are not detected.
    pub mass_guard: usize,
    /// Maximum number of events; the newest are kept.
    pub top: usize,
}
