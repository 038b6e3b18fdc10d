//! Identity of an event: the two keys by which copies of an event match.
//!
//! `message_key` is the hash of the message ID, and `event_key` the hash of the event's own fields with the message key
//! as seed. Two rows are copies of one event if both keys are equal. The identity never depends on when or how the event
//! arrived (invariant I-3). It consists of service, kind, recipient, and for some kinds of further fields:
//!
//! | kind | further fields |
//! |---|---|
//! | `bounce` | `bounce_type` in lower case |
//! | `complaint` | `feedback_id`, or `event_at` if there is none |
//! | `delivery_delay` | `event_at`, `delay_type` |
//! | `open`, `click`, `subscription` | `event_at`, `link` |
//! | `rule_applied` | `link` |
//!
//! Both keys together have 128 bits: a chance collision of two events has a probability of about 10^-38.
//!
//! Format version 1 had no feedback ID in the identity of a complaint: [`EventIdentity::upgrade_key`] computes the key of
//! today from the columns and the key of a row of version 1.

use std::borrow::Cow;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::address;
use crate::kind::EventKind;

/// XXH3 hash of a message ID. All rows of a message share it.
pub fn message_key(message_id: &str) -> u64 {
    xxh3_64(message_id.as_bytes())
}

/// The fields of a row that can be part of its identity. Each field is the column of the same name; kind and service
/// are text, because a newer version can have stored kinds that this version does not know.
#[derive(Debug, Clone, Copy)]
#[expect(
    missing_docs,
    reason = "each field is the column of the same name, which `table::COLUMNS` documents"
)]
pub struct EventIdentity<'a> {
    pub message_key: u64,
    pub service: &'a str,
    pub kind: &'a str,
    pub recipient: Option<&'a str>,
    pub event_at: i64,
    pub feedback_id: Option<&'a str>,
    pub bounce_type: Option<&'a str>,
    pub delay_type: Option<&'a str>,
    pub link: Option<&'a str>,
}

impl EventIdentity<'_> {
    /// Hash of the identity. `buffer` is scratch space; reuse it from row to row.
    pub fn event_key(&self, buffer: &mut Vec<u8>) -> u64 {
        let key = self.key_without_report(buffer);
        self.with_report(key, buffer)
    }

    /// [`Self::event_key`] of a row of format version 1 that has the key `stored`.
    ///
    /// The stored key is used where it is right, because the recipient of a redacted row is not the address from which
    /// its key was computed.
    pub fn upgrade_key(&self, stored: u64, buffer: &mut Vec<u8>) -> u64 {
        let recipient = self.recipient.and_then(|text| address::normalise(Cow::Borrowed(text)));
        let key = if recipient.as_deref() == self.recipient {
            stored
        } else {
            EventIdentity { recipient: recipient.as_deref(), ..*self }.key_without_report(buffer)
        };
        self.with_report(key, buffer)
    }

    /// The key of format version 1.
    fn key_without_report(&self, buffer: &mut Vec<u8>) -> u64 {
        buffer.clear();
        push_field(buffer, self.service.as_bytes());
        push_field(buffer, self.kind.as_bytes());
        push_field(buffer, self.recipient.unwrap_or_default().as_bytes());
        match EventKind::parse(self.kind) {
            Some(EventKind::Bounce) => {
                let bounce_type = self.bounce_type.unwrap_or_default().to_ascii_lowercase();
                push_field(buffer, bounce_type.as_bytes());
            }
            Some(EventKind::DeliveryDelay) => {
                push_field(buffer, &self.event_at.to_le_bytes());
                push_field(buffer, self.delay_type.unwrap_or_default().as_bytes());
            }
            Some(EventKind::Open | EventKind::Click | EventKind::Subscription) => {
                push_field(buffer, &self.event_at.to_le_bytes());
                push_field(buffer, self.link.unwrap_or_default().as_bytes());
            }
            Some(EventKind::RuleApplied) => {
                push_field(buffer, self.link.unwrap_or_default().as_bytes());
            }
            _ => {}
        }
        xxh3_64_with_seed(buffer, self.message_key)
    }

    /// Adds the report to the key of a complaint: a recipient can report one message twice, e.g. as `not-spam` and
    /// later as `abuse`.
    fn with_report(&self, key: u64, buffer: &mut Vec<u8>) -> u64 {
        if self.kind != EventKind::Complaint.as_str() {
            return key;
        }
        buffer.clear();
        match self.feedback_id {
            Some(id) => push_field(buffer, id.as_bytes()),
            None => push_field(buffer, &self.event_at.to_le_bytes()),
        }
        xxh3_64_with_seed(buffer, key)
    }
}

fn push_field(buffer: &mut Vec<u8>, bytes: &[u8]) {
    buffer.extend_from_slice(bytes);
    buffer.push(0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Channel, EventRow, Service};

    /// A row with a distinct value in each field of an identity.
    fn row(kind: EventKind) -> EventRow<'static> {
        EventRow {
            event_at: 1_795_741_769_596,
            message_id: "010101860d89bc12-11f9d58f-9d2b-4c3e-8f0d-3a4a5b6c7d8e-000000",
            feedback_id: Some("feedback-1"),
            recipient: Some("anna@example.org"),
            bounce_type: Some("Permanent"),
            bounce_subtype: Some("General"),
            complaint_type: Some("abuse"),
            delay_type: Some("MailboxFull"),
            link: Some("https://example.com/a"),
            ..EventRow::of_kind(kind)
        }
    }

    /// The keys are stored: a change makes copies of stored events count twice.
    #[test]
    fn keys_of_one_event_of_each_kind_are_pinned() {
        const KEYS: [(EventKind, u64); 21] = [
            (EventKind::Send, 8_136_213_250_876_492_961),
            (EventKind::Delivery, 16_864_850_572_870_595_328),
            (EventKind::Bounce, 6_807_055_647_323_605_779),
            (EventKind::Complaint, 10_820_125_847_969_709_403),
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
            (EventKind::SendingDisabled, 16_825_924_992_261_281_375),
            (EventKind::SendingEnabled, 4_144_688_908_991_892_297),
            (EventKind::SendingFindingOpen, 5_573_946_404_731_903_815),
            (EventKind::SendingFindingResolved, 12_211_359_770_973_141_581),
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
        use EventKind::{Bounce, Click, Complaint, DeliveryDelay, Open, RuleApplied, Subscription};

        let mut buffer = Vec::new();
        for kind in EventKind::ALL.iter().copied() {
            let base = row(kind);
            let upper_case = base.message_id.to_ascii_uppercase();
            let changes = [
                (EventRow { service: Service::WorkMail, ..base.clone() }, true),
                (EventRow { message_id: "other", ..base.clone() }, true),
                // message IDs are compared byte for byte
                (EventRow { message_id: &upper_case, ..base.clone() }, true),
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
                (EventRow { feedback_id: Some("feedback-2"), ..base.clone() }, kind == Complaint),
                (EventRow { feedback_id: None, ..base.clone() }, kind == Complaint),
                // never part of an identity
                (EventRow { bounce_type: Some("PERMANENT"), ..base.clone() }, false),
                (EventRow { channel: Channel::IdentityFeedback, ..base.clone() }, false),
                (EventRow { received_at: 1, origin: "other", ..base.clone() }, false),
                (
                    EventRow {
                        bounce_subtype: None,
                        reported_recipient: Some("b"),
                        ..base.clone()
                    },
                    false,
                ),
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

    #[test]
    fn complaint_without_feedback_id_is_identified_by_its_time() {
        let mut buffer = Vec::new();
        let report = EventRow { feedback_id: None, ..row(EventKind::Complaint) };
        let later = EventRow { event_at: report.event_at + 1, ..report.clone() };
        assert_ne!(report.event_key(&mut buffer), later.event_key(&mut buffer));
        let known = EventRow { feedback_id: Some("feedback-1"), ..later.clone() };
        let known_earlier = EventRow { feedback_id: Some("feedback-1"), ..report };
        assert_eq!(known.event_key(&mut buffer), known_earlier.event_key(&mut buffer));
    }

    /// Keys of format version 1, as released.
    #[test]
    fn keys_of_version_1_are_upgraded() {
        const COMPLAINT: u64 = 712_081_961_531_268_303;
        const BOUNCE: u64 = 6_807_055_647_323_605_779;
        let mut buffer = Vec::new();
        let mut upgrade = |row: &EventRow<'_>, stored: u64| {
            let upgraded = row.identity().upgrade_key(stored, &mut buffer);
            (upgraded, row.event_key(&mut buffer))
        };
        let (upgraded, today) = upgrade(&row(EventKind::Complaint), COMPLAINT);
        assert_eq!(upgraded, today);
        let (upgraded, today) = upgrade(&row(EventKind::Bounce), BOUNCE);
        assert_eq!((upgraded, today), (BOUNCE, BOUNCE));
        // the key of a redacted row was computed from the true address
        for recipient in [Some("h-0123@example.org"), Some("d-0123@example.org"), None] {
            let redacted = EventRow { recipient, ..row(EventKind::Complaint) };
            let (upgraded, _) = upgrade(&redacted, COMPLAINT);
            assert_eq!(upgraded, today_of(&row(EventKind::Complaint)), "{recipient:?}");
        }
        // another normal form of the recipient
        for (stored, normal) in [
            ("info@exämple.com", "info@xn--exmple-cua.com"),
            ("\"jane\"@example.com", "jane@example.com"),
        ] {
            for kind in [EventKind::Bounce, EventKind::Complaint, EventKind::Send] {
                let old = EventRow { recipient: Some(stored), ..row(kind) };
                let (upgraded, _) = upgrade(&old, 1);
                assert_eq!(upgraded, today_of(&EventRow { recipient: Some(normal), ..row(kind) }));
            }
        }
    }

    fn today_of(row: &EventRow<'_>) -> u64 {
        row.event_key(&mut Vec::new())
    }
}
