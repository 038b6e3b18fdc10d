//! An event as the scan reads it. No polars.

use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::time::DAY_MS;

use crate::scan::event_rows::RowFields;
use crate::timeline::{Basis, Outcome};

/// Maximum difference between the clocks that stamp the events of one message.
pub(super) const CLOCK_SLACK_MS: i64 = 3_600_000;
/// Maximum time from the submission of a WorkMail message to its events. The WorkMail log contains
/// no submission time.
const WORKMAIL_DELAY_MAX_MS: i64 = 14 * DAY_MS;
/// Send time of a message without a known send time.
pub(super) const UNKNOWN_TIME: i64 = i64::MAX;

/// Fixed-size fields of a row, or of an event with its copies merged.
#[derive(Debug, Clone, Copy)]
pub(super) struct ScannedEvent {
    pub(super) message: u64,
    pub(super) key: u64,
    pub(super) at: i64,
    /// When the message was sent, or [`UNKNOWN_TIME`].
    pub(super) sent_at: i64,
    pub(super) outcome: Outcome,
}

impl ScannedEvent {
    /// Returns the time that assigns the event to windows.
    pub(super) fn time(&self, basis: Basis) -> i64 {
        match basis {
            // a message without send time counts as sent at its first event
            Basis::Send if self.sent_at != UNKNOWN_TIME => self.sent_at,
            Basis::Send | Basis::Event => self.at,
        }
    }

    /// Returns the earliest time at which the message can have been sent.
    pub(super) fn earliest_send_time(&self, service: Service) -> i64 {
        match service {
            _ if self.sent_at != UNKNOWN_TIME => self.sent_at,
            Service::Ses => i64::MIN,
            Service::WorkMail => self.at.saturating_sub(WORKMAIL_DELAY_MAX_MS),
        }
    }
}

impl RowFields for ScannedEvent {
    fn keys(&self) -> (u64, u64) {
        (self.message, self.key)
    }

    fn merge(&mut self, copy: Self) {
        self.at = self.at.min(copy.at);
        self.sent_at = self.sent_at.min(copy.sent_at);
        self.outcome = self.outcome.max(copy.outcome);
    }
}
