//! Figures of bouncewatch: those of the store and of the consumer. All optional.

use serde::{Deserialize, Serialize};

use crate::snapshot::Snapshot;
use crate::snapshot::time::Time;

const HOUR_MS: i64 = 3_600_000;

/// Events of the account and region in the store, in the hours before the snapshot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StoreFigures {
    /// Number of hours.
    pub hours: u32,
    /// Send events.
    pub sends: u64,
    /// Events of all kinds.
    pub events: u64,
    /// Bounce rate of `check`: a fraction.
    pub bounce_rate: Option<f64>,
    /// Complaint rate of `check`: a fraction.
    pub complaint_rate: Option<f64>,
    /// Newest event in the whole store.
    pub newest: Option<Time>,
}

impl StoreFigures {
    /// Delivery attempts that SES counted in the hours of the figures; `None` if they are not known. Events of the last
    /// hour may be on their way, so it does not count.
    pub(super) fn attempts_of_ses(&self, snapshot: &Snapshot) -> Option<i64> {
        let now = snapshot.taken_at.0;
        let hours = now - i64::from(self.hours) * HOUR_MS..now - HOUR_MS;
        let points = snapshot.send_statistics.value()?.iter();
        let points = points.filter(|point| hours.contains(&point.at.0));
        Some(points.fold(0, |sum: i64, point| sum.saturating_add(point.attempts)))
    }
}

/// Figures of the store on the recipient of `--to`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RecipientFigures {
    /// The last events of the address in the order of time.
    pub events: Vec<RecipientEvent>,
    /// Why `suppress` lists the address or puts it on hold.
    pub suppressed: Option<String>,
}

/// An event of a recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipientEvent {
    /// Time of the event.
    pub at: Time,
    /// Kind in the store: `bounce`, `delivery`, ...
    pub kind: String,
    /// Cause of a bounce or a delay.
    #[serde(default)]
    pub cause: Option<String>,
    /// What to do about the cause.
    #[serde(default)]
    pub remedy: Option<String>,
    /// Reply of the server.
    #[serde(default)]
    pub text: Option<String>,
}

/// The consumer of the queues.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConsumerFigures {
    /// Messages that it received in the last 24 hours.
    pub received_24_hours: Option<u64>,
    /// Time for which it needs a message to be invisible, if it relies on the timeout of the queue.
    pub visibility_needed_secs: Option<i64>,
    /// Its last error, such as `KMS.AccessDenied`.
    pub last_error: Option<String>,
}

/// All figures.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Figures {
    /// The store.
    pub store: Option<StoreFigures>,
    /// Why the store cannot be read.
    pub store_error: Option<String>,
    /// The recipient.
    pub recipient: Option<RecipientFigures>,
    /// The consumer.
    pub consumer: Option<ConsumerFigures>,
}
