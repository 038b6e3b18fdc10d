//! What SNS sends, with the SES event in it, read in one pass.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use crate::wire::envelope::Envelope;
use crate::wire::inplace::{INSIDE, Unusual, document};
use crate::wire::lenient::Text;

/// An SNS notification with the SES event in it.
#[derive(Debug, Default)]
pub struct Notification<'a> {
    /// ARN of the topic.
    pub topic_arn: Text<'a>,
    /// When SNS took the message.
    pub timestamp: Text<'a>,
    /// What was published.
    pub message: Envelope<'a>,
}

/// Reads an SNS notification whose message is a JSON object.
///
/// # Errors
/// If it is anything else, or holds anything unusual.
pub fn notification(text: &str) -> Result<Notification<'_>, Unusual> {
    document(text)
}

/// The document inside a string.
pub(super) struct Inside<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Inside<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InsideVisitor<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for InsideVisitor<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a document inside a string")
            }
            fn visit_newtype_struct<D: Deserializer<'de>>(self, inside: D) -> Result<T, D::Error> {
                T::deserialize(inside)
            }
        }

        let visitor = InsideVisitor(std::marker::PhantomData);
        deserializer.deserialize_newtype_struct(INSIDE, visitor).map(Self)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Notification<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(NotificationVisitor)
    }
}

struct NotificationVisitor;

impl<'de> Visitor<'de> for NotificationVisitor {
    type Value = Notification<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an SNS notification")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = Notification::default();
        let (mut is_notification, mut messages) = (false, 0);
        while let Some(key) = map.next_key::<&'de str>()? {
            match key {
                "Type" => is_notification = map.next_value::<&'de str>()? == "Notification",
                "TopicArn" => found.topic_arn = map.next_value()?,
                "Timestamp" => found.timestamp = map.next_value()?,
                "Message" => {
                    found.message = map.next_value::<Inside<Envelope<'de>>>()?.0;
                    messages += 1;
                }
                "MessageId" | "Subject" | "SignatureVersion" | "Signature" | "SigningCertURL"
                | "SigningCertUrl" | "UnsubscribeURL" | "UnsubscribeUrl" | "SequenceNumber"
                | "MessageAttributes" => {
                    map.next_value::<serde::de::IgnoredAny>()?;
                }
                // more than SNS writes: what it means is for the general reader to say
                _ => return Err(A::Error::custom(Unusual)),
            }
        }
        if is_notification && messages == 1 { Ok(found) } else { Err(A::Error::custom(Unusual)) }
    }
}
