//! Single bounces, complaints and delays.

use bouncewatch_schemas::event::EventKind;

use crate::timeline::{Dimension, Outcome};

/// Parameters of a query for failures.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FailureQuery<'a> {
    pub(crate) kinds: &'a [EventKind],
    /// Dimensions with values to return.
    pub(crate) dimensions: &'a [Dimension],
    /// Only events after this time; `None` for the complete history.
    pub(crate) after: Option<i64>,
    /// Only events at or before this time.
    pub(crate) to: i64,
}

/// One event, its copies merged.
#[derive(Debug, Clone)]
pub(crate) struct Failure<'r> {
    pub(crate) kind: EventKind,
    pub(crate) outcome: Outcome,
    pub(crate) at: i64,
    /// Message key.
    pub(crate) message: u64,
    pub(crate) bounce_type: Option<&'r str>,
    pub(crate) bounce_subtype: Option<&'r str>,
    pub(crate) delay_type: Option<&'r str>,
    pub(crate) complaint_type: Option<&'r str>,
    pub(crate) smtp_code: Option<u16>,
    pub(crate) enhanced_status: Option<&'r str>,
    pub(crate) diagnostic: Option<&'r str>,
    pub(crate) remote_mta: Option<&'r str>,
    pub(crate) recipient: Option<&'r str>,
    pub(crate) recipient_domain: Option<&'r str>,
    /// Values of the dimensions of the query, in their order; the values of a tag are joined with
    /// [`crate::scan::TAG_SEPARATOR`].
    pub(crate) values: Vec<Option<&'r str>>,
}
