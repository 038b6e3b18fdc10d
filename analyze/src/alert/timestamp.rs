//! Times in the alert state.

use bouncewatch_schemas::time::{format_ms, parse_ms};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A time: epoch milliseconds, RFC 3339 in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub i64);

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format_ms(self.0))
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_ms(&text)
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom(format!("not a time: `{text}`")))
    }
}
