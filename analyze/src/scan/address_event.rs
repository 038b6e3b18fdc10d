//! One event of a recipient or message.

use bouncewatch_schemas::event::Service;

use crate::scan::failure::Failure;

/// Mail of a query for single events.
#[derive(Debug, Clone, Copy)]
pub(crate) enum MailSelection<'a> {
    /// Mail to one recipient, given in each form in which the store can contain the address.
    Recipient(&'a [String]),
    /// One message to all its recipients, by message ID.
    Message(&'a str),
}

/// One event of any kind, its copies merged.
#[derive(Debug, Clone)]
pub(crate) struct AddressEvent<'r> {
    pub(crate) service: Service,
    /// Fields that the classifier reads, for events of every kind; without dimensions.
    pub(crate) fields: Failure<'r>,
    pub(crate) message_id: &'r str,
    pub(crate) class: Option<&'r str>,
    pub(crate) complaint_subtype: Option<&'r str>,
    pub(crate) reported_recipient: Option<&'r str>,
    pub(crate) source: Option<&'r str>,
    pub(crate) configuration_set: Option<&'r str>,
    /// Values of the tag `campaign`, joined with [`crate::scan::TAG_SEPARATOR`].
    pub(crate) campaign: Option<&'r str>,
    pub(crate) link: Option<&'r str>,
    pub(crate) expires_at: Option<i64>,
}

/// Numbers of rows with redacted recipients, copies included.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RedactedRows {
    /// Recipients that were dropped at ingest, or forgotten.
    pub(crate) dropped: u64,
    /// Recipients that are stored as keyed hashes.
    pub(crate) hashed: u64,
}
