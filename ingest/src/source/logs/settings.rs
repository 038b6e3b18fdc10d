//! [`LogsSettings`]: how a log group is read.

/// How a log group is read.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogsSettings {
    /// Whether to follow the group until the run is stopped; if not, the run ends when it finds no newer event.
    pub follow: bool,
    /// Start of a group without cursor, epoch milliseconds; `None` for the start of the group.
    pub since: Option<i64>,
}
