//! Times of a snapshot: milliseconds since 1970 in the types, RFC 3339 in JSON.

use std::fmt;

use bouncewatch_schemas::text::utc_minute;
use bouncewatch_schemas::time::{format_ms, parse_ms};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A time in milliseconds since 1970; RFC 3339 in JSON and when printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub i64);

impl Time {
    /// Seconds from this time to a later one; 0 if `later` is earlier.
    pub const fn secs_until(self, later: Self) -> i64 {
        let secs = later.0.saturating_sub(self.0) / 1_000;
        if secs < 0 { 0 } else { secs }
    }
}

impl Time {
    /// The time for people: `2026-11-20 00:00 UTC`.
    pub fn to_minute(self) -> String {
        utc_minute(&self.to_string())
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_ms(self.0))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time = parse_ms(&text).map(Self);
        time.ok_or_else(|| de::Error::custom(format!("`{text}` is not a time in RFC 3339")))
    }
}
