//! The normalised event, one row for each event and recipient, and its identity.

use std::borrow::Cow;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::bounce::BounceClass;
use crate::cause::Cause;

text_enum! {
    /// Kind of an event.
    EventKind {
        /// SES accepted the message for this recipient.
        Send = "send",
        /// The recipient's server accepted the message.
        Delivery = "delivery",
        /// The message bounced; see [`BounceClass`].
        Bounce = "bounce",
        /// The recipient's provider reported the message as spam.
        Complaint = "complaint",
        /// Delivery is delayed; SES retries.
        DeliveryDelay = "delivery_delay",
        /// SES refused to send the message because it contains a virus.
        Reject = "reject",
        /// SES could not render the template.
        RenderingFailure = "rendering_failure",
        /// The message was opened.
        Open = "open",
        /// A link was clicked.
        Click = "click",
        /// Subscription preferences changed.
        Subscription = "subscription",
        /// WorkMail: a user submitted a message.
        Submission = "submission",
        /// WorkMail: a message to the organisation bounced.
        IncomingBounce = "incoming_bounce",
        /// WorkMail: the organisation received a message.
        Received = "received",
        /// WorkMail: a message reached a mailbox.
        MailboxDelivery = "mailbox_delivery",
        /// WorkMail: a mail flow rule was applied.
        RuleApplied = "rule_applied",
        /// WorkMail: a copy was sent to the journaling address.
        Journaling = "journaling",
        /// WorkMail: a DMARC policy was applied.
        DmarcPolicy = "dmarc_policy",
    }
}

text_enum! {
    /// The service that reported an event.
    Service {
        /// Amazon SES.
        Ses = "ses",
        /// Amazon WorkMail.
        WorkMail = "workmail",
    }
}

text_enum! {
    /// The channel on which an event was reported.
    Channel {
        /// Feedback notifications of a verified identity.
        IdentityFeedback = "identity_feedback",
        /// Events of a configuration set.
        EventPublishing = "event_publishing",
        /// The mail event log of WorkMail.
        WorkMailLog = "workmail_log",
    }
}

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
    /// XXH3 hash of the message ID. All rows of a message share it.
    pub fn message_key(&self) -> u64 {
        message_key(self.message_id)
    }

    /// XXH3 hash of the identity of the event, seeded with [`Self::message_key`]. Two rows are copies of one event if
    /// both keys are equal.
    ///
    /// The identity never depends on when or how the event arrived. It consists of service, kind, recipient, and for
    /// some kinds of further fields:
    ///
    /// | kind | further fields |
    /// |---|---|
    /// | `bounce` | `bounce_type` in lower case |
    /// | `delivery_delay` | `event_at`, `delay_type` |
    /// | `open`, `click`, `subscription` | `event_at`, `link` |
    /// | `rule_applied` | `link` |
    ///
    /// Both keys together have 128 bits: a chance collision of two events has a probability of about 10^-38.
    ///
    /// `buffer` is scratch space; reuse it from row to row.
    pub fn event_key(&self, buffer: &mut Vec<u8>) -> u64 {
        buffer.clear();
        let mut push_field = |bytes: &[u8]| {
            buffer.extend_from_slice(bytes);
            buffer.push(0);
        };
        push_field(self.service.as_str().as_bytes());
        push_field(self.kind.as_str().as_bytes());
        push_field(self.recipient.unwrap_or_default().as_bytes());
        match self.kind {
            EventKind::Bounce => {
                push_field(self.bounce_type.unwrap_or_default().to_ascii_lowercase().as_bytes());
            }
            EventKind::DeliveryDelay => {
                push_field(&self.event_at.to_le_bytes());
                push_field(self.delay_type.unwrap_or_default().as_bytes());
            }
            EventKind::Open | EventKind::Click | EventKind::Subscription => {
                push_field(&self.event_at.to_le_bytes());
                push_field(self.link.unwrap_or_default().as_bytes());
            }
            EventKind::RuleApplied => push_field(self.link.unwrap_or_default().as_bytes()),
            EventKind::Send
            | EventKind::Delivery
            | EventKind::Complaint
            | EventKind::Reject
            | EventKind::RenderingFailure
            | EventKind::Submission
            | EventKind::IncomingBounce
            | EventKind::Received
            | EventKind::MailboxDelivery
            | EventKind::Journaling
            | EventKind::DmarcPolicy => {}
        }
        xxh3_64_with_seed(buffer, message_key(self.message_id))
    }
}

fn message_key(message_id: &str) -> u64 {
    xxh3_64(message_id.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row with a distinct value in each field of an identity.
    fn row(kind: EventKind) -> EventRow<'static> {
        EventRow {
            kind,
            service: Service::Ses,
            channel: Channel::EventPublishing,
            event_at: 1_795_741_769_596,
            sent_at: None,
            published_at: None,
            received_at: 0,
            message_id: "010101860d89bc12-11f9d58f-9d2b-4c3e-8f0d-3a4a5b6c7d8e-000000",
            feedback_id: Some("feedback-1"),
            recipient: Some("anna@example.org"),
            recipient_domain: Some("example.org"),
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
            bounce_type: Some("Permanent"),
            bounce_subtype: Some("General"),
            complaint_type: Some("abuse"),
            complaint_subtype: None,
            delay_type: Some("MailboxFull"),
            class: None,
            counts: false,
            smtp_code: None,
            enhanced_status: None,
            diagnostic: None,
            cause: None,
            cause_rule: None,
            processing_ms: None,
            expires_at: None,
            link: Some("https://example.com/a"),
            origin: "test",
        }
    }

    /// The keys are stored: a change makes copies of stored events count twice.
    #[test]
    fn keys_of_one_event_of_each_kind_are_pinned() {
        const KEYS: [(EventKind, u64); 17] = [
            (EventKind::Send, 8_136_213_250_876_492_961),
            (EventKind::Delivery, 16_864_850_572_870_595_328),
            (EventKind::Bounce, 6_807_055_647_323_605_779),
            (EventKind::Complaint, 712_081_961_531_268_303),
            (EventKind::DeliveryDelay, 12_409_874_260_185_108_273),
            (EventKind::Reject, 12_168_127_381_527_885_108),
            (EventKind::RenderingFailure, 16_249_129_441_755_255_016),
            (EventKind::Open, 18_005_073_111_755_132_837),
            (EventKind::Click, 1_414_151_303_155_690_620),
            (EventKind::Subscription, 3_873_019_306_054_064_868),
            (EventKind::Submission, 2_703_536_334_207_581_754),
            (EventKind::IncomingBounce, 1_780_529_280_402_321_455),
            (EventKind::Received, 13_985_830_066_026_409_468),
            (EventKind::MailboxDelivery, 2_554_197_834_896_781_417),
            (EventKind::RuleApplied, 1_132_116_758_646_355_894),
            (EventKind::Journaling, 9_466_825_372_706_538_979),
            (EventKind::DmarcPolicy, 9_795_068_022_062_592_572),
        ];
        assert_eq!(row(EventKind::Send).message_key(), 13_722_583_365_869_605_234);
        let mut buffer = Vec::new();
        let keys: Vec<_> =
            KEYS.iter().map(|(kind, _)| (*kind, row(*kind).event_key(&mut buffer))).collect();
        assert_eq!(keys, KEYS);
        assert_eq!(KEYS.map(|(kind, _)| kind), *EventKind::ALL, "a kind is missing");
    }

    #[test]
    fn event_key_depends_on_exactly_the_fields_of_the_identity() {
        use EventKind::{Bounce, Click, DeliveryDelay, Open, RuleApplied, Subscription};

        let mut buffer = Vec::new();
        for kind in EventKind::ALL.iter().copied() {
            let base = row(kind);
            let changes = [
                (EventRow { service: Service::WorkMail, ..base.clone() }, true),
                (EventRow { message_id: "other", ..base.clone() }, true),
                (EventRow { recipient: Some("bert@example.org"), ..base.clone() }, true),
                (EventRow { bounce_type: Some("Transient"), ..base.clone() }, kind == Bounce),
                (
                    EventRow { event_at: base.event_at + 1, ..base.clone() },
                    matches!(kind, DeliveryDelay | Open | Click | Subscription),
                ),
                (EventRow { delay_type: Some("General"), ..base.clone() }, kind == DeliveryDelay),
                (
                    EventRow { link: Some("https://example.com/b"), ..base.clone() },
                    matches!(kind, Open | Click | Subscription | RuleApplied),
                ),
                // never part of an identity
                (EventRow { bounce_type: Some("PERMANENT"), ..base.clone() }, false),
                (EventRow { channel: Channel::IdentityFeedback, ..base.clone() }, false),
                (EventRow { received_at: 1, origin: "other", ..base.clone() }, false),
                (EventRow { feedback_id: None, bounce_subtype: None, ..base.clone() }, false),
            ];
            let key = base.event_key(&mut buffer);
            for (changed, differs) in changes {
                assert_eq!(changed.event_key(&mut buffer) != key, differs, "{kind:?}: {changed:?}");
            }
        }
    }

    #[test]
    fn fields_of_an_identity_cannot_be_confused() {
        let mut buffer = Vec::new();
        let swapped = [("a", "b"), ("b", "a"), ("ab", ""), ("", "ab")].map(|(recipient, link)| {
            EventRow { recipient: Some(recipient), link: Some(link), ..row(EventKind::RuleApplied) }
                .event_key(&mut buffer)
        });
        let distinct: std::collections::HashSet<u64> = swapped.into_iter().collect();
        assert_eq!(distinct.len(), swapped.len());
    }
}
