//! What SES itself writes: `mail` and the detail objects (facts 1.3 to 1.7 and 2.3).
//!
//! All details share one type, because their fields never clash; which kind an event is, its type word says.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::wire::lenient::{List, Put, Text, scalars_are_missing, wire_object};

wire_object! {
    /// `mail`: the message that an event is about.
    pub struct Mail<'a> {
        /// When SES accepted the message.
        pub timestamp: Text<'a> = "timestamp",
        /// SES's id of the message.
        pub message_id: Text<'a> = "messageId",
        /// The envelope sender, sometimes with a display name.
        pub source: Text<'a> = "source",
        /// ARN of the identity that was used.
        pub source_arn: Text<'a> = "sourceArn",
        /// Public address of the client.
        pub source_ip: Text<'a> = "sourceIp",
        /// The account that sent, 12 digits as text.
        pub sending_account_id: Text<'a> = "sendingAccountId",
        /// All recipients of the message, also those that this event is not about.
        pub destination: List<Recipient<'a>> = "destination",
        /// Message tags, the automatic ones included; only in event publishing.
        pub tags: Tags<'a> = "tags",
    }
}

wire_object! {
    /// The detail object of any event: `bounce`, `complaint`, `delivery`, `deliveryDelay`, ...
    pub struct Detail<'a> {
        /// When it happened.
        pub timestamp: Text<'a> = "timestamp",
        /// Id of the feedback report.
        pub feedback_id: Text<'a> = "feedbackId",
        /// `Permanent`, `Transient`, `Undetermined`.
        pub bounce_type: Text<'a> = "bounceType",
        /// `General`, `Suppressed`, ...
        pub bounce_sub_type: Text<'a> = "bounceSubType",
        /// The recipients that this event is about, under whichever name the kind gives them.
        pub recipients: List<Recipient<'a>> =
            "bouncedRecipients" | "complainedRecipients" | "delayedRecipients" | "recipients",
        /// Address of the remote server.
        pub remote_mta_ip: Text<'a> = "remoteMtaIp",
        /// Who reported: `dns; host`, or SES's own host.
        pub reporting_mta: Text<'a> = "reportingMTA",
        /// `abuse`, `not-spam`, ...
        pub complaint_feedback_type: Text<'a> = "complaintFeedbackType",
        /// `null` or `OnAccountSuppressionList`, ...
        pub complaint_sub_type: Text<'a> = "complaintSubType",
        /// Milliseconds from acceptance to hand-over.
        pub processing_time_millis: Text<'a> = "processingTimeMillis",
        /// The remote server's answer to a delivery.
        pub smtp_response: Text<'a> = "smtpResponse",
        /// Why a delivery is delayed.
        pub delay_type: Text<'a> = "delayType",
        /// When SES stops trying.
        pub expiration_time: Text<'a> = "expirationTime",
        /// Why a message was rejected.
        pub reason: Text<'a> = "reason",
        /// Why a template could not be rendered.
        pub error_message: Text<'a> = "errorMessage",
        /// The link that was clicked.
        pub link: Text<'a> = "link",
    }
}

wire_object! {
    /// The object form of a recipient.
    pub struct RecipientObject<'a> {
        /// The address as the remote server or the sender wrote it.
        pub email_address: Text<'a> = "emailAddress",
        /// DSN action: failed, delayed, delivered, relayed, expanded.
        pub action: Text<'a> = "action",
        /// DSN status, sometimes with a comment behind it.
        pub status: Text<'a> = "status",
        /// The remote server's words.
        pub diagnostic_code: Text<'a> = "diagnosticCode",
        /// WorkMail's name for the diagnostic.
        pub reason: Text<'a> = "reason",
    }
}

/// A recipient, given as a bare address or as an object.
#[derive(Debug, Default)]
pub struct Recipient<'a>(pub RecipientObject<'a>);

struct RecipientVisitor;

impl<'de> Visitor<'de> for RecipientVisitor {
    type Value = Recipient<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(bare(Cow::Borrowed(value)))
    }
    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        Ok(bare(Cow::Owned(value.to_owned())))
    }
    scalars_are_missing!();
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        super::lenient::skip_seq(seq).map(|()| Recipient::default())
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        RecipientObject::deserialize(serde::de::value::MapAccessDeserializer::new(map))
            .map(Recipient)
    }
}

fn bare(address: Cow<'_, str>) -> Recipient<'_> {
    Recipient(RecipientObject { email_address: Text(Some(address)), ..RecipientObject::default() })
}

impl<'de: 'a, 'a> Deserialize<'de> for Recipient<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RecipientVisitor)
    }
}

/// Message tags as (name, value) pairs; a tag with several values appears several times.
///
/// SES sends an object of arrays; plain strings as values and a list of `{name, value}` are read as well.
#[derive(Debug, Default)]
pub struct Tags<'a>(pub Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl Tags<'_> {
    /// The first value of a tag.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_ref())
    }
}

wire_object! {
    /// One entry of a list of tags.
    pub struct TagObject<'a> {
        /// The tag's name.
        pub name: Text<'a> = "name" | "Name" | "key" | "Key",
        /// The tag's value.
        pub value: Text<'a> = "value" | "Value",
    }
}

impl Put for Tags<'_> {
    fn put(&mut self, value: Self) {
        if !value.0.is_empty() {
            *self = value;
        }
    }
}

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
            for value in values.0.into_iter().filter_map(|value| value.0) {
                pairs.push((name.clone(), value));
            }
        }
        Ok(Tags(pairs))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(tag) = seq.next_element::<TagObject<'de>>()? {
            if let (Some(name), Some(value)) = (tag.name.0, tag.value.0) {
                pairs.push((name, value));
            }
        }
        Ok(Tags(pairs))
    }
    fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Tags::default())
    }
    scalars_are_missing!();
}

impl<'de: 'a, 'a> Deserialize<'de> for Tags<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TagsVisitor)
    }
}
