//! Log lines about a run: one for each durable batch, and one every five minutes with the counts since the last one.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::telemetry::counts::IngestCounts;
use crate::telemetry::metrics::Telemetry;

/// Interval of the progress lines of a run with `--follow`.
const PROGRESS_INTERVAL: Duration = Duration::from_mins(5);

/// Logs that a batch is durable.
pub(crate) fn log_durable_batch(counts: &IngestCounts, messages: u64, took: Duration) {
    tracing::debug!(
        messages,
        events = counts.events,
        rows = counts.rows,
        duplicate_rows = counts.duplicates,
        ignored = counts.ignored_total(),
        quarantined = counts.quarantined_total(),
        segments = counts.segments,
        bytes = counts.bytes,
        took_ms = took.as_millis(),
        "a batch is durable"
    );
}

/// Logs the counts of the last five minutes every five minutes, until the future is dropped.
pub async fn log_progress(telemetry: Arc<Telemetry>) {
    let mut last = CounterSnapshot::new(&telemetry, Instant::now());
    loop {
        tokio::time::sleep(PROGRESS_INTERVAL).await;
        let current = CounterSnapshot::new(&telemetry, Instant::now());
        current.log_since(last, &telemetry);
        last = current;
    }
}

/// Values of counters at one time.
#[derive(Debug, Clone, Copy, PartialEq)]
struct CounterSnapshot {
    at: Instant,
    received: u64,
    rows: u64,
    duplicates: u64,
    quarantined: u64,
    deleted: u64,
    delete_failed: u64,
    left: u64,
}

impl CounterSnapshot {
    fn new(telemetry: &Telemetry, at: Instant) -> Self {
        Self {
            at,
            received: telemetry.received.get(),
            rows: telemetry.rows.get(),
            duplicates: telemetry.duplicates.get(),
            quarantined: telemetry.quarantined_total(),
            deleted: telemetry.deleted.get(),
            delete_failed: telemetry.delete_failed.get(),
            left: telemetry.left.get(),
        }
    }

    /// Increase of each counter since `earlier`.
    fn since(self, earlier: Self) -> Self {
        Self {
            at: self.at,
            received: self.received - earlier.received,
            rows: self.rows - earlier.rows,
            duplicates: self.duplicates - earlier.duplicates,
            quarantined: self.quarantined - earlier.quarantined,
            deleted: self.deleted - earlier.deleted,
            delete_failed: self.delete_failed - earlier.delete_failed,
            left: self.left - earlier.left,
        }
    }

    fn log_since(self, earlier: Self, telemetry: &Telemetry) {
        let increase = self.since(earlier);
        let took = self.at.duration_since(earlier.at);
        let batch_age = telemetry.health.batch_age(self.at).unwrap_or_default();
        tracing::info!(
            seconds = took.as_secs(),
            received = increase.received,
            received_per_second = per_second(increase.received, took),
            rows = increase.rows,
            rows_per_second = per_second(increase.rows, took),
            duplicate_rows = increase.duplicates,
            quarantined = increase.quarantined,
            deleted = increase.deleted,
            delete_failed = increase.delete_failed,
            left = increase.left,
            in_flight = telemetry.in_flight.sum(),
            receivers = telemetry.receivers.sum(),
            lag_seconds = telemetry.oldest_message_age.max().unwrap_or_default() / 1_000,
            batch_age_seconds = batch_age.as_secs(),
            "progress since the last progress line"
        );
    }
}

/// A rate with one decimal.
#[expect(clippy::cast_precision_loss, reason = "a rounded rate for a log line")]
fn per_second(count: u64, took: Duration) -> f64 {
    let rate = count as f64 / took.as_secs_f64().max(0.001);
    (rate * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshot_since_returns_the_increase() {
        let (telemetry, start) = (Telemetry::new(), Instant::now());
        let after = |secs| CounterSnapshot::new(&telemetry, start + Duration::from_secs(secs));
        telemetry.received.inc_by(100);
        let first = after(300);
        telemetry.received.inc_by(50);
        telemetry.deleted.inc_by(40);
        let increase = after(600).since(first);
        assert_eq!((increase.received, increase.deleted, increase.rows), (50, 40, 0));
        assert!((per_second(increase.received, Duration::from_mins(5)) - 0.2).abs() < 1e-9);
        assert!(per_second(7, Duration::ZERO).is_finite());
    }
}
