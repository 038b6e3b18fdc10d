//! What is remembered between runs: which alarms there are, and what each channel was told of them. One readable JSON
//! file holds it (`file`); how it changes is in `advance`.

use std::collections::BTreeMap;

use bouncewatch_schemas::time::{format_ms, parse_ms};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::check::levels::Level;

/// Version of the file.
pub const VERSION: u32 = 1;

/// A moment: epoch milliseconds, RFC 3339 in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub i64);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format_ms(self.0))
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_ms(&text)
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom(format!("not a time: `{text}`")))
    }
}

/// Words of a scope and their values.
pub type ScopeMap = BTreeMap<String, Option<String>>;

/// What an alarm is about. Its windows share it, so that a rate that crosses a threshold in one window after the other
/// is one alarm.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// Whose mail: `ses` or `workmail`.
    pub service: String,
    /// `bounce_rate`, `complaint_rate`, [`DENOMINATOR`] or [`FEED`].
    pub metric: String,
    /// Of whom; empty for the feed.
    pub scope: ScopeMap,
}

/// The metric of a scope whose attempts nobody knows.
pub const DENOMINATOR: &str = "denominator";
/// The metric of a feed that is silent.
pub const FEED: &str = "feed";

/// Everything that is remembered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Version of the file.
    pub version: u32,
    /// The moment of the last run, by service.
    pub runs: BTreeMap<String, Time>,
    /// Alarms that stand, and those whose end somebody still has to be told; in order of their keys.
    pub alarms: Vec<Alarm>,
}

impl Default for State {
    fn default() -> Self {
        Self { version: VERSION, runs: BTreeMap::new(), alarms: Vec::new() }
    }
}

/// One alarm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alarm {
    /// What it is about.
    #[serde(flatten)]
    pub key: Key,
    /// The worst level of its windows.
    pub level: Level,
    /// Since when it has this level.
    pub since: Time,
    /// When it was raised.
    pub raised_at: Time,
    /// The worst level since.
    pub worst: Level,
    /// When it ended, where somebody still has to be told so.
    pub cleared_at: Option<Time>,
    /// The last run that looked at it.
    pub seen_at: Time,
    /// The highest rate since it was raised.
    pub peak: Option<Peak>,
    /// Its windows that reached a level since it was raised.
    pub windows: BTreeMap<String, WindowState>,
    /// What each channel was told.
    pub told: BTreeMap<String, Told>,
}

/// One window of an alarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowState {
    /// Its level: one that was reached stays until it was not reached for a while.
    pub level: Level,
    /// Since when.
    pub since: Time,
    /// The last time that it fell since the alarm was raised.
    pub fell: Option<Fall>,
    /// Since when levels that it has are not reached.
    pub below_since: BTreeMap<Level, Time>,
}

/// A window that fell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fall {
    /// From which level.
    pub from: Level,
    /// When.
    pub at: Time,
}

/// What a channel was told of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The level that people believe; one that fell is lowered with it.
    pub level: Level,
    /// When they were told.
    pub at: Time,
    /// When they first heard of it.
    pub since: Time,
    /// A window reached its level once more after it had fallen: that is to be told again.
    pub again: bool,
}

/// A rate at its highest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Peak {
    /// The rate, a fraction.
    pub rate: f64,
    /// Bounces or complaints.
    pub count: u64,
    /// Attempts.
    pub attempts: u64,
    /// In which window.
    pub window: String,
    /// When.
    pub at: Time,
}
