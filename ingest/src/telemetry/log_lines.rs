//! What a run says of itself in the log: each batch, what was set aside, and every few minutes how it goes. No line has
//! a mailbox in it, and none comes more often than it can be read.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use crate::telemetry::metrics::{Counts, Telemetry};

/// How often a follower says how it goes.
const EVERY: Duration = Duration::from_mins(5);
/// The least time between two lines on documents that were set aside for the same reason.
const QUIET: Duration = Duration::from_mins(1);

/// Says what was set aside or left, but never in a flood.
#[derive(Debug, Default)]
pub(crate) struct Hush {
    set_aside: Said,
    left: Said,
}

/// What happens often, is said the first time at once, and then as the sum of what came since.
#[derive(Debug, Default)]
struct Said(Mutex<BTreeMap<&'static str, (Instant, u64)>>);

impl Said {
    /// Notes that something happened; how often it did, where that is to be said now.
    fn note(&self, what: &'static str, count: u64, now: Instant) -> Option<u64> {
        let mut said = self.0.lock().expect("nobody panics while holding this lock");
        match said.get_mut(what) {
            Some((at, silent)) if now.duration_since(*at) < QUIET => {
                *silent += count;
                None
            }
            Some((at, silent)) => {
                *at = now;
                Some(count + std::mem::take(silent))
            }
            None => {
                said.insert(what, (now, 0));
                Some(count)
            }
        }
    }
}

impl Hush {
    /// Says what a batch set aside, and which messages it left to their queue. Only who follows is warned: a drain says it in its summary.
    pub(crate) fn set_aside(&self, counts: &Counts, follow: bool, now: Instant) {
        for (reason, count) in &counts.quarantined {
            let Some(count) = self.set_aside.note(reason, *count, now) else { continue };
            if follow {
                tracing::warn!(
                    reason,
                    count,
                    "documents were set aside; `bouncewatch store quarantine list` shows them"
                );
            } else {
                tracing::info!(reason, count, "documents were set aside");
            }
        }
        for (reason, count) in &counts.poison {
            if let Some(count) = self.left.note(reason, *count, now) {
                tracing::info!(
                    reason,
                    count,
                    "messages that cannot be read are left to their queue"
                );
            }
        }
    }
}

/// Says that a batch is durable.
pub(crate) fn durable(counts: &Counts, messages: u64, took: Duration) {
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

/// Says every few minutes how it goes, until it is dropped.
pub async fn keep(telemetry: Arc<Telemetry>) {
    let mut seen = Seen::of(&telemetry, Instant::now());
    loop {
        tokio::time::sleep(EVERY).await;
        seen.say_since(&telemetry, Instant::now());
    }
}

/// What had been counted at a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Seen {
    at: Instant,
    received: u64,
    rows: u64,
    duplicates: u64,
    quarantined: u64,
    deleted: u64,
    delete_failed: u64,
    left: u64,
}

impl Seen {
    fn of(telemetry: &Telemetry, at: Instant) -> Self {
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

    /// What was counted since an earlier moment.
    fn since(self, before: Self) -> Self {
        Self {
            at: self.at,
            received: self.received - before.received,
            rows: self.rows - before.rows,
            duplicates: self.duplicates - before.duplicates,
            quarantined: self.quarantined - before.quarantined,
            deleted: self.deleted - before.deleted,
            delete_failed: self.delete_failed - before.delete_failed,
            left: self.left - before.left,
        }
    }

    fn say_since(&mut self, telemetry: &Telemetry, now: Instant) {
        let before = std::mem::replace(self, Self::of(telemetry, now));
        let more = self.since(before);
        let took = now.duration_since(before.at);
        let batch_age = telemetry.vitals.batch_age(now).unwrap_or_default();
        tracing::info!(
            seconds = took.as_secs(),
            received = more.received,
            received_per_second = per_second(more.received, took),
            rows = more.rows,
            rows_per_second = per_second(more.rows, took),
            duplicate_rows = more.duplicates,
            quarantined = more.quarantined,
            deleted = more.deleted,
            delete_failed = more.delete_failed,
            left = more.left,
            held = telemetry.held.sum(),
            receivers = telemetry.receivers.sum(),
            lag_seconds = telemetry.oldest_message_age.max().unwrap_or_default() / 1_000,
            batch_age_seconds = batch_age.as_secs(),
            "still at work; counts are those since the last such line"
        );
    }
}

/// A rate with one decimal.
#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn per_second(count: u64, took: Duration) -> f64 {
    let rate = count as f64 / took.as_secs_f64().max(0.001);
    (rate * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_often_is_said_once_a_minute() {
        let (said, start) = (Said::default(), Instant::now());
        let note = |what, count, secs| said.note(what, count, start + Duration::from_secs(secs));
        assert_eq!(note("not_json", 2, 0), Some(2));
        assert_eq!(note("not_json", 3, 30), None);
        assert_eq!(note("no_time", 1, 30), Some(1));
        assert_eq!(note("not_json", 4, 59), None);
        assert_eq!(note("not_json", 5, 60), Some(12));
        assert_eq!(note("not_json", 1, 119), None);
        assert_eq!(note("not_json", 1, 120), Some(2));
    }

    #[test]
    fn rates_are_those_since_the_last_line() {
        let (telemetry, start) = (Telemetry::new(), Instant::now());
        let after = |secs| Seen::of(&telemetry, start + Duration::from_secs(secs));
        telemetry.received.inc_by(100);
        let first = after(300);
        telemetry.received.inc_by(50);
        telemetry.deleted.inc_by(40);
        let more = after(600).since(first);
        assert_eq!((more.received, more.deleted, more.rows), (50, 40, 0));
        assert!((per_second(more.received, Duration::from_mins(5)) - 0.2).abs() < 1e-9);
        assert!(per_second(7, Duration::ZERO).is_finite());
    }
}
