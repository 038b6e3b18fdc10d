//! The levels of checks and alerts.

use serde::{Deserialize, Serialize};

text_enum! {
    /// Alert level of a rate or a finding, in order of severity. The status of a run is its worst level.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    AlertLevel {
        /// Below the thresholds, or not significant.
        Ok = "ok",
        /// No denominator, a stale feed, or not checked.
        Unknown = "unknown",
        /// At or above the rate at which SES reviews an account; a fault that harms some messages.
        Warning = "warning",
        /// At or above the rate at which SES may pause sending; a fault that stops mail.
        Critical = "critical",
    }
}

impl AlertLevel {
    /// Exit code of a Nagios plugin: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Warning => 1,
            Self::Critical => 2,
            Self::Unknown => 3,
        }
    }

    /// Upper-case name, as Nagios prints it.
    pub const fn as_upper(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Unknown => "UNKNOWN",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_sort_by_severity() {
        let mut levels =
            [AlertLevel::Warning, AlertLevel::Unknown, AlertLevel::Ok, AlertLevel::Critical];
        levels.sort_unstable();
        assert_eq!(
            levels,
            [AlertLevel::Ok, AlertLevel::Unknown, AlertLevel::Warning, AlertLevel::Critical]
        );
        assert_eq!(levels.map(AlertLevel::exit_code), [0, 3, 1, 2]);
    }
}
