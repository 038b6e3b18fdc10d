//! An SNS notification and the SES event in it, read in one pass.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use crate::wire::envelope::Envelope;
use crate::wire::inplace::deserialize::{DocumentInString, from_str};
use crate::wire::inplace::reader::Fallback;
use crate::wire::lenient::Text;

/// An SNS notification with an SES event.
#[derive(Debug)]
pub struct Notification<'a> {
    /// ARN of the topic.
    pub topic_arn: Text<'a>,
    /// Time at which SNS accepted the message.
    pub timestamp: Text<'a>,
    /// The published event, in a box because it is large and moved several times.
    pub message: Box<Envelope<'a>>,
}

/// Reads an SNS notification that has a JSON object as its message.
///
/// # Errors
/// [`Fallback`] if it is not such a notification, or contains a form that the in-place reader does not cover.
pub fn notification_from_str(text: &str) -> Result<Notification<'_>, Fallback> {
    from_str(text)
}

impl<'de: 'a, 'a> Deserialize<'de> for Notification<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(NotificationVisitor)
    }
}

/// An envelope that is a JSON object. [`Envelope`] alone reads an array or a string as an empty envelope.
struct ObjectEnvelope<'a>(Box<Envelope<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for ObjectEnvelope<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;

        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = Box<Envelope<'de>>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                Envelope::deserialize(MapAccessDeserializer::new(map)).map(Box::new)
            }
        }

        deserializer.deserialize_map(ObjectVisitor).map(Self)
    }
}

struct NotificationVisitor;

impl<'de> Visitor<'de> for NotificationVisitor {
    type Value = Notification<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an SNS notification")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut is_notification, mut topic_arn, mut timestamp, mut message) =
            (false, Text::default(), Text::default(), None);
        while let Some(key) = map.next_key::<&'de str>()? {
            match key {
                "Type" => is_notification = map.next_value::<&'de str>()? == "Notification",
                "TopicArn" => topic_arn = map.next_value()?,
                "Timestamp" => timestamp = map.next_value()?,
                "Message" if message.is_none() => {
                    let found: DocumentInString<ObjectEnvelope<'de>> = map.next_value()?;
                    message = Some(found.0.0);
                }
                "MessageId" | "Subject" | "SignatureVersion" | "Signature" | "SigningCertURL"
                | "SigningCertUrl" | "UnsubscribeURL" | "UnsubscribeUrl" | "SequenceNumber"
                | "MessageAttributes" => {
                    map.next_value::<serde::de::IgnoredAny>()?;
                }
                // SNS does not write this key, or a second message
                _ => return Err(A::Error::custom(Fallback)),
            }
        }
        match message {
            Some(message) if is_notification => Ok(Notification { topic_arn, timestamp, message }),
            _ => Err(A::Error::custom(Fallback)),
        }
    }
}
