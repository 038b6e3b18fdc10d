//! The objects of an SES event: `mail` and the detail objects (`bounce`, `complaint`, ...).
//!
//! All details share one type, because their fields do not conflict. The event type determines the kind of an event.
//!
//! Source: SES developer guide, "Amazon SNS notification contents" and "Contents of event data".

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::wire::lenient::{List, MergeField, Text, TimeText, scalars_as_default, wire_object};

wire_object! {
    /// The object `mail`: the message of an event.
    pub struct Mail<'a> {
        /// Time at which SES accepted the message.
        pub timestamp: TimeText<'a> = "timestamp",
        /// Message ID of SES.
        pub message_id: Text<'a> = "messageId",
        /// Envelope sender, sometimes with a display name.
        pub source: Text<'a> = "source",
        /// ARN of the sending identity.
        pub source_arn: Text<'a> = "sourceArn",
        /// Public IP address of the client.
        pub source_ip: Text<'a> = "sourceIp",
        /// AWS account that sent, 12 digits.
        pub sending_account_id: Text<'a> = "sendingAccountId",
        /// All recipients of the message, including those that the event is not about.
        pub destination: List<Recipient<'a>> = "destination",
        /// Message tags, including those of SES; only in event publishing.
        pub tags: Tags<'a> = "tags",
    }
    unread "headersTruncated" | "headers" | "commonHeaders" | "callerIdentity"
}

wire_object! {
    /// The detail object of any event: `bounce`, `complaint`, `delivery`, `deliveryDelay`, ...
    pub struct Detail<'a> {
        /// Time of the event.
        pub timestamp: TimeText<'a> = "timestamp",
        /// ID of the feedback report.
        pub feedback_id: Text<'a> = "feedbackId",
        /// `Permanent`, `Transient`, `Undetermined`.
        pub bounce_type: Text<'a> = "bounceType",
        /// `General`, `Suppressed`, ...
        pub bounce_sub_type: Text<'a> = "bounceSubType",
        /// The recipients of the event. The key depends on the event type.
        pub recipients: List<Recipient<'a>> =
            "bouncedRecipients" | "complainedRecipients" | "delayedRecipients" | "recipients",
        /// IP address of the remote server.
        pub remote_mta_ip: Text<'a> = "remoteMtaIp",
        /// Server that reported: `dns; HOST`.
        pub reporting_mta: Text<'a> = "reportingMTA",
        /// `abuse`, `not-spam`, ...
        pub complaint_feedback_type: Text<'a> = "complaintFeedbackType",
        /// `null` or `OnAccountSuppressionList`, ...
        pub complaint_sub_type: Text<'a> = "complaintSubType",
        /// Milliseconds from acceptance to delivery.
        pub processing_time_millis: Text<'a> = "processingTimeMillis",
        /// Reply of the remote server to a delivery.
        pub smtp_response: Text<'a> = "smtpResponse",
        /// Reason of a delay: `MailboxFull`, ...
        pub delay_type: Text<'a> = "delayType",
        /// Time at which SES stops trying.
        pub expiration_time: TimeText<'a> = "expirationTime",
        /// Reason of a reject.
        pub reason: Text<'a> = "reason",
        /// Error of a rendering failure.
        pub error_message: Text<'a> = "errorMessage",
        /// The clicked link.
        pub link: Text<'a> = "link",
    }
    unread "ipAddress" | "userAgent" | "linkTags" | "isBotEvent" | "arrivalDate"
}

wire_object! {
    /// A recipient as an object.
    pub struct RecipientObject<'a> {
        /// Email address, as the remote server or the sender wrote it.
        pub email_address: Text<'a> = "emailAddress",
        /// DSN action: `failed`, `delayed`, `delivered`, `relayed`, `expanded`.
        pub action: Text<'a> = "action",
        /// DSN status, sometimes followed by a comment.
        pub status: Text<'a> = "status",
        /// Reply of the remote server.
        pub diagnostic_code: Text<'a> = "diagnosticCode",
        /// Diagnostic in WorkMail events.
        pub reason: Text<'a> = "reason",
    }
}

/// A recipient: an email address or an object.
#[derive(Debug, Default)]
pub struct Recipient<'a>(pub RecipientObject<'a>);

struct RecipientVisitor;

impl<'de> Visitor<'de> for RecipientVisitor {
    type Value = Recipient<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Self::Value, E> {
        refuse_json(value)?;
        Ok(recipient_from_address(Cow::Borrowed(value)))
    }
    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        refuse_json(value)?;
        Ok(recipient_from_address(Cow::Owned(value.to_owned())))
    }
    scalars_as_default!();
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        super::lenient::skip_seq(seq).map(|()| Recipient::default())
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        RecipientObject::deserialize(serde::de::value::MapAccessDeserializer::new(map))
            .map(Recipient)
    }
}

/// Start of the error for recipients or tags that are JSON in a string.
pub const NESTED_JSON: &str = "recipients or tags are JSON in a string";

/// An error if a text is JSON, so that its content is not lost.
fn refuse_json<E: Error>(text: &str) -> Result<(), E> {
    if text.trim_start().starts_with(['{', '[']) { Err(E::custom(NESTED_JSON)) } else { Ok(()) }
}

fn recipient_from_address(address: Cow<'_, str>) -> Recipient<'_> {
    Recipient(RecipientObject { email_address: Text(Some(address)), ..RecipientObject::default() })
}

impl<'de: 'a, 'a> Deserialize<'de> for Recipient<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RecipientVisitor)
    }
}

/// Message tags as (name, value) pairs. A tag with several values has several pairs.
///
/// SES writes an object of arrays. Strings as values and a list of `{name, value}` are accepted too.
#[derive(Debug, Default)]
pub struct Tags<'a>(pub Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl Tags<'_> {
    /// The first value of a tag; `None` if there is none.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_ref())
    }
}

wire_object! {
    /// An entry of a list of tags.
    pub struct TagObject<'a> {
        /// Name.
        pub name: Text<'a> = "name" | "key",
        /// Value or values.
        pub value: List<Text<'a>> = "value" | "values",
    }
}

impl MergeField for Tags<'_> {
    fn merge(&mut self, value: Self) {
        if !value.0.is_empty() {
            *self = value;
        }
    }
    fn is_missing(&self) -> bool {
        self.0.is_empty()
    }
}

/// Maximum number of pairs that are read, many more than a message can have.
const PAIRS_MAX: usize = 4 * 1024;

struct TagsVisitor;

impl<'de> Visitor<'de> for TagsVisitor {
    type Value = Tags<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::with_capacity(8);
        while let Some(name) = map.next_key::<Text<'de>>()? {
            let values = map.next_value::<List<Text<'de>>>()?;
            let Text(Some(name)) = name else { continue };
            let room = PAIRS_MAX - pairs.len();
            let values = values.0.into_iter().filter_map(|value| value.0).take(room);
            pairs.extend(values.map(|value| (name.clone(), value)));
        }
        Ok(Tags(pairs))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(tag) = seq.next_element::<TagObject<'de>>()? {
            let Text(Some(name)) = tag.name else { continue };
            let room = PAIRS_MAX - pairs.len();
            let values = tag.value.0.into_iter().filter_map(|value| value.0).take(room);
            pairs.extend(values.map(|value| (name.clone(), value)));
        }
        Ok(Tags(pairs))
    }
    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        refuse_json(value).map(|()| Tags::default())
    }
    scalars_as_default!();
}

impl<'de: 'a, 'a> Deserialize<'de> for Tags<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TagsVisitor)
    }
}
