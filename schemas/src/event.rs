//! The normalised event, one row for each event and recipient.

use std::borrow::Cow;

use crate::bounce::BounceClass;
use crate::cause::Cause;
use crate::identity::{EventIdentity, message_key};

pub use crate::kind::{Channel, EventKind, Service};

/// A row of the event table, borrowed from the text that it was read from. Times are milliseconds since 1970-01-01 UTC.
///
/// Each field is the column of the same name in [`crate::table::COLUMNS`].
#[derive(Debug, Clone)]
#[expect(
    missing_docs,
    reason = "each field is the column of the same name, which `table::COLUMNS` documents"
)]
pub struct EventRow<'a> {
    pub kind: EventKind,
    pub service: Service,
    pub channel: Channel,
    pub event_at: i64,
    pub sent_at: Option<i64>,
    pub published_at: Option<i64>,
    pub received_at: i64,
    pub message_id: &'a str,
    pub feedback_id: Option<&'a str>,
    pub recipient: Option<&'a str>,
    pub reported_recipient: Option<&'a str>,
    pub recipient_domain: Option<&'a str>,
    pub provider: Option<&'static str>,
    pub source: Option<&'a str>,
    pub source_domain: Option<&'a str>,
    pub identity: Option<&'a str>,
    pub configuration_set: Option<&'a str>,
    pub account: Option<&'a str>,
    pub region: Option<&'a str>,
    pub tenant: Option<&'a str>,
    pub tags: &'a [(Cow<'a, str>, Cow<'a, str>)],
    pub source_ip: Option<&'a str>,
    pub outgoing_ip: Option<&'a str>,
    pub remote_mta: Option<&'a str>,
    pub reporting_mta: Option<&'a str>,
    pub bounce_type: Option<&'a str>,
    pub bounce_subtype: Option<&'a str>,
    pub complaint_type: Option<&'a str>,
    pub complaint_subtype: Option<&'a str>,
    pub delay_type: Option<&'a str>,
    pub class: Option<BounceClass>,
    pub counts: bool,
    pub smtp_code: Option<u16>,
    pub enhanced_status: Option<&'a str>,
    pub diagnostic: Option<&'a str>,
    pub cause: Option<Cause>,
    pub cause_rule: Option<&'a str>,
    pub processing_ms: Option<i64>,
    pub expires_at: Option<i64>,
    pub link: Option<&'a str>,
    pub origin: &'a str,
}

impl EventRow<'static> {
    /// A row of SES and event publishing in which all other fields are empty. Base of rows with few fields.
    pub const fn of_kind(kind: EventKind) -> Self {
        Self {
            kind,
            service: Service::Ses,
            channel: Channel::EventPublishing,
            event_at: 0,
            sent_at: None,
            published_at: None,
            received_at: 0,
            message_id: "",
            feedback_id: None,
            recipient: None,
            reported_recipient: None,
            recipient_domain: None,
            provider: None,
            source: None,
            source_domain: None,
            identity: None,
            configuration_set: None,
            account: None,
            region: None,
            tenant: None,
            tags: &[],
            source_ip: None,
            outgoing_ip: None,
            remote_mta: None,
            reporting_mta: None,
            bounce_type: None,
            bounce_subtype: None,
            complaint_type: None,
            complaint_subtype: None,
            delay_type: None,
            class: None,
            counts: false,
            smtp_code: None,
            enhanced_status: None,
            diagnostic: None,
            cause: None,
            cause_rule: None,
            processing_ms: None,
            expires_at: None,
            link: None,
            origin: "",
        }
    }
}

impl EventRow<'_> {
    /// The key of the message; see [`crate::identity`].
    pub fn message_key(&self) -> u64 {
        message_key(self.message_id)
    }

    /// The key of the event; see [`crate::identity`]. `buffer` is scratch space; reuse it from row to row.
    pub fn event_key(&self, buffer: &mut Vec<u8>) -> u64 {
        self.identity().event_key(buffer)
    }

    /// Bytes of all texts of the row: most of its memory.
    pub fn text_bytes(&self) -> usize {
        let texts = [
            self.feedback_id,
            self.recipient,
            self.reported_recipient,
            self.recipient_domain,
            self.source,
            self.source_domain,
            self.identity,
            self.configuration_set,
            self.account,
            self.region,
            self.tenant,
            self.source_ip,
            self.outgoing_ip,
            self.remote_mta,
            self.reporting_mta,
            self.bounce_type,
            self.bounce_subtype,
            self.complaint_type,
            self.complaint_subtype,
            self.delay_type,
            self.enhanced_status,
            self.diagnostic,
            self.link,
        ];
        let texts: usize = texts.iter().flatten().map(|text| text.len()).sum();
        let tags: usize = self.tags.iter().map(|(key, value)| key.len() + value.len()).sum();
        texts + tags + self.message_id.len() + self.origin.len()
    }

    /// The fields that can be part of the identity.
    pub fn identity(&self) -> EventIdentity<'_> {
        EventIdentity {
            message_key: self.message_key(),
            service: self.service.as_str(),
            kind: self.kind.as_str(),
            recipient: self.recipient,
            event_at: self.event_at,
            feedback_id: self.feedback_id,
            bounce_type: self.bounce_type,
            delay_type: self.delay_type,
            link: self.link,
        }
    }
}
