//! [`LogsSettings`]: settings for reading a log group.

/// Settings for reading a log group.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogsSettings {
    /// Whether to follow the group until the run is stopped; if not, the run ends when it finds no newer event.
    pub follow: bool,
    /// Time from which a group without cursor is read, epoch milliseconds; `None` for all events.
    pub since: Option<i64>,
}
