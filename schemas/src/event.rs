//! The normalised event: one value per event and recipient, and its identity.

use std::borrow::Cow;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::bounce::BounceClass;
use crate::cause::Cause;

words! {
    /// What happened.
    Kind {
        /// SES accepted the message for this recipient.
        Send = "send",
        /// The remote server accepted it.
        Delivery = "delivery",
        /// It came back, hard or soft.
        Bounce = "bounce",
        /// The recipient's provider reported it as spam.
        Complaint = "complaint",
        /// SES is still trying.
        DeliveryDelay = "delivery_delay",
        /// SES refused to send it (a virus).
        Reject = "reject",
        /// The template could not be rendered.
        RenderingFailure = "rendering_failure",
        /// Opened by someone.
        Open = "open",
        /// A link was clicked.
        Click = "click",
        /// Subscription preferences changed.
        Subscription = "subscription",
        /// WorkMail: a message was handed in.
        Submission = "submission",
        /// WorkMail: somebody else's message to us bounced.
        IncomingBounce = "incoming_bounce",
        /// WorkMail: the organisation received a message.
        Received = "received",
        /// WorkMail: a message reached a mailbox.
        MailboxDelivery = "mailbox_delivery",
        /// WorkMail: a mail flow rule was applied.
        RuleApplied = "rule_applied",
        /// WorkMail: a copy went to the journal.
        Journaling = "journaling",
        /// WorkMail: a DMARC policy was applied.
        DmarcPolicy = "dmarc_policy",
    }
}

words! {
    /// The service that reports.
    Service {
        /// Amazon SES.
        Ses = "ses",
        /// Amazon WorkMail.
        WorkMail = "workmail",
    }
}

words! {
    /// The way by which an event was reported.
    Channel {
        /// Feedback notifications of a verified identity.
        IdentityFeedback = "identity_feedback",
        /// Events of a configuration set.
        EventPublishing = "event_publishing",
        /// The mail event log of WorkMail.
        WorkMailLog = "workmail_log",
    }
}

/// One row of the event table, borrowed from the text it was read from. Times are epoch milliseconds.
///
/// `crate::table` says what each column means.
#[derive(Debug, Clone)]
#[expect(
    missing_docs,
    reason = "each field is the column of the same name, which `table::COLUMNS` documents"
)]
pub struct EventRow<'a> {
    pub kind: Kind,
    pub service: Service,
    pub channel: Channel,
    pub event_at: i64,
    pub sent_at: Option<i64>,
    pub published_at: Option<i64>,
    pub received_at: i64,
    pub message_id: &'a str,
    pub feedback_id: Option<&'a str>,
    pub recipient: Option<&'a str>,
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

impl EventRow<'_> {
    /// Hash of the message: rows of one message share it.
    pub fn message_key(&self) -> u64 {
        message_key(self.message_id)
    }

    /// Hash of what makes this event this event, whenever and however it came (invariant I-3; design 3). With
    /// [`Self::message_key`] it is 128 bits wide: two events share both by chance once in 10^38 pairs.
    ///
    /// `buffer` is scratch space that callers reuse.
    pub fn event_key(&self, buffer: &mut Vec<u8>) -> u64 {
        buffer.clear();
        let mut part = |bytes: &[u8]| {
            buffer.extend_from_slice(bytes);
            buffer.push(0);
        };
        part(self.service.as_str().as_bytes());
        part(self.kind.as_str().as_bytes());
        part(self.recipient.unwrap_or_default().as_bytes());
        match self.kind {
            Kind::Bounce => {
                part(self.bounce_type.unwrap_or_default().to_ascii_lowercase().as_bytes());
            }
            Kind::DeliveryDelay => {
                part(&self.event_at.to_le_bytes());
                part(self.delay_type.unwrap_or_default().as_bytes());
            }
            Kind::Open | Kind::Click | Kind::Subscription => {
                part(&self.event_at.to_le_bytes());
                part(self.link.unwrap_or_default().as_bytes());
            }
            Kind::RuleApplied => part(self.link.unwrap_or_default().as_bytes()),
            Kind::Send
            | Kind::Delivery
            | Kind::Complaint
            | Kind::Reject
            | Kind::RenderingFailure
            | Kind::Submission
            | Kind::IncomingBounce
            | Kind::Received
            | Kind::MailboxDelivery
            | Kind::Journaling
            | Kind::DmarcPolicy => {}
        }
        xxh3_64_with_seed(buffer, message_key(self.message_id))
    }
}

fn message_key(message_id: &str) -> u64 {
    xxh3_64(message_id.as_bytes())
}
