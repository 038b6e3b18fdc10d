//! When alerts clear and repeat, and which windows and groupings a run evaluates.

/// Settings of `[alert]` that decide when a channel is notified.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertPolicy {
    /// Time without reaching a level after which the level falls, milliseconds.
    pub clear_after_ms: i64,
    /// Fraction of a threshold, 0 to 1: an alert keeps its level while the rate reaches this
    /// fraction.
    pub clear_below: f64,
    /// Time after which an active alert is repeated, milliseconds; `None` for never.
    pub renotify_after_ms: Option<i64>,
}

/// Windows and groupings that a run evaluates. Alerts outside of it do not change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlertScope {
    /// Windows, as on the command line.
    pub windows: Vec<String>,
    /// Groupings as dimension names, account and region included.
    pub groupings: Vec<Vec<String>>,
}
