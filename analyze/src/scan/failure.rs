//! Single bounces, complaints and delays.

use std::collections::BTreeSet;

use bouncewatch_schemas::event::EventKind;
use bouncewatch_schemas::table;
use bouncewatch_schemas::time::day_of;

use crate::scan::event::ScannedEvent;
use crate::timeline::{Dimension, Outcome};

/// Text columns of a failure, in the order in which [`Failure::new`] takes them.
pub(super) const FAILURE_TEXTS: [&str; 10] = [
    table::KIND,
    table::BOUNCE_TYPE,
    table::BOUNCE_SUBTYPE,
    table::DELAY_TYPE,
    table::COMPLAINT_TYPE,
    table::ENHANCED_STATUS,
    table::DIAGNOSTIC,
    table::REMOTE_MTA,
    table::RECIPIENT,
    table::RECIPIENT_DOMAIN,
];

/// Parameters of a query for failures.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FailureQuery<'a> {
    /// Of [`EventKind::FAILURE_KINDS`].
    pub(crate) kinds: &'a [EventKind],
    /// Select failures of these recipients, and all complaints; `None` for all failures.
    pub(crate) recipients: Option<&'a BTreeSet<String>>,
    /// Dimensions with values to return.
    pub(crate) dimensions: &'a [Dimension],
    /// Only events after this time; `None` for the complete history.
    pub(crate) after: Option<i64>,
    /// Only events at or before this time.
    pub(crate) to: i64,
}

impl FailureQuery<'_> {
    /// The first and the last day that can have rows of the query: one more day on both sides, because the times of copies
    /// differ by seconds, possibly across midnight.
    pub(super) fn days(&self) -> (i64, i64) {
        let first = self.after.map_or(i64::MIN, |after| day_of(after).saturating_sub(1));
        (first, day_of(self.to).saturating_add(1))
    }

    /// Whether an event at a time is in the span of the query.
    pub(super) fn is_in_span(&self, at: i64) -> bool {
        at <= self.to && self.after.is_none_or(|after| at > after)
    }

    /// Whether a failure is of a kind and a recipient of the query. The recipients of a complaint are not compared: a
    /// report can list several.
    pub(super) fn is_for(&self, failure: &Failure<'_>) -> bool {
        let is_of_recipient = |recipients: &BTreeSet<String>| {
            failure.kind == EventKind::Complaint
                || failure.recipient.is_some_and(|recipient| recipients.contains(recipient))
        };
        self.kinds.contains(&failure.kind) && self.recipients.is_none_or(is_of_recipient)
    }
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

impl<'r> Failure<'r> {
    /// Returns an event with the texts of [`FAILURE_TEXTS`] and without dimensions; `None` if its kind is unknown.
    pub(super) fn new(
        event: ScannedEvent,
        smtp_code: Option<i32>,
        texts: [Option<&'r str>; FAILURE_TEXTS.len()],
    ) -> Option<Self> {
        let [
            kind,
            bounce_type,
            bounce_subtype,
            delay_type,
            complaint_type,
            enhanced_status,
            diagnostic,
            remote_mta,
            recipient,
            recipient_domain,
        ] = texts;
        Some(Self {
            kind: EventKind::parse(kind?)?,
            outcome: event.outcome,
            at: event.at,
            message: event.message,
            bounce_type,
            bounce_subtype,
            delay_type,
            complaint_type,
            smtp_code: smtp_code.and_then(|code| u16::try_from(code).ok()),
            enhanced_status,
            diagnostic,
            remote_mta,
            recipient,
            recipient_domain,
            values: Vec::new(),
        })
    }
}
