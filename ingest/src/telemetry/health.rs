//! Health of a run: workers, sources and the store record their state in [`Health`];
//! [`Health::check`] evaluates it.

use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;

use crate::telemetry::gauges::GaugeSlots;

/// The store counts as stuck if a document is not durable after this multiple of the batch age.
const STUCK_BATCH_AGES: u32 = 5;
/// Minimum time after which the store counts as stuck.
const STUCK_AFTER_MIN: Duration = Duration::from_mins(1);
/// The run is unhealthy if receiving fails for longer than this.
const RECEIVE_FAILING_MAX: Duration = Duration::from_mins(5);

/// Recorded state from which the health of a run is evaluated.
#[derive(Debug, Default)]
pub struct Health {
    /// Arrival time of the oldest document that is not durable, one slot per worker.
    pub not_durable_since: Arc<GaugeSlots<Instant>>,
    /// Time since which receiving fails, one slot per queue or log group.
    pub receive_failing_since: Arc<GaugeSlots<Instant>>,
    store_failure: OnceLock<String>,
    stopping: AtomicBool,
}

/// Why a run is unhealthy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unhealthy {
    /// The store cannot be written; the run ends. Contains the error.
    StoreFailed(String),
    /// The oldest document that is not durable exceeds the age limit. Contains its age.
    StoreStuck(Duration),
    /// Receiving has been failing for too long. Contains the duration.
    ReceiveFailing(Duration),
    /// The run is stopping.
    Stopping,
}

impl std::fmt::Display for Unhealthy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::StoreFailed(why) => {
                f.write_str("the store failed: ")?;
                // print a multi-line error as one line
                why.chars().try_for_each(|c| f.write_char(if c.is_control() { ' ' } else { c }))
            }
            Self::StoreStuck(age) => {
                write!(f, "no batch was made durable for {} s while documents wait", age.as_secs())
            }
            Self::ReceiveFailing(since) => {
                write!(f, "receiving has been failing for {} s", since.as_secs())
            }
            Self::Stopping => f.write_str("the run is stopping"),
        }
    }
}

impl Health {
    /// Records that the store cannot be written. The first error is kept.
    pub fn record_store_failure(&self, error: &dyn std::fmt::Display) {
        self.store_failure.get_or_init(|| error.to_string());
    }

    /// Records that the run is stopping.
    pub fn record_stopping(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Age of the oldest document that is not durable; `None` if all documents are durable.
    pub fn batch_age(&self, now: Instant) -> Option<Duration> {
        self.not_durable_since.min().map(|since| now.saturating_duration_since(since))
    }

    /// Evaluates the health at `now`. `stuck_after` is the longest time that a document may wait to become durable.
    ///
    /// # Errors
    /// The reason if the run is unhealthy.
    pub fn check(&self, now: Instant, stuck_after: Duration) -> Result<(), Unhealthy> {
        if let Some(why) = self.store_failure.get() {
            return Err(Unhealthy::StoreFailed(why.clone()));
        }
        if let Some(age) = self.batch_age(now).filter(|age| *age > stuck_after) {
            return Err(Unhealthy::StoreStuck(age));
        }
        let failing =
            self.receive_failing_since.min().map(|since| now.saturating_duration_since(since));
        if let Some(since) = failing.filter(|since| *since > RECEIVE_FAILING_MAX) {
            return Err(Unhealthy::ReceiveFailing(since));
        }
        if self.stopping.load(Ordering::Acquire) {
            return Err(Unhealthy::Stopping);
        }
        Ok(())
    }
}

/// The longest time that a document may wait to become durable, derived from the batch age.
pub fn stuck_after(batch_age: Duration) -> Duration {
    (batch_age * STUCK_BATCH_AGES).max(STUCK_AFTER_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BATCH_AGE: Duration = Duration::from_secs(20);

    #[test]
    fn health_fails_above_each_limit_and_recovers() {
        let (health, start) = (Health::default(), Instant::now());
        let check = |secs| health.check(start + Duration::from_secs(secs), stuck_after(BATCH_AGE));
        let (worker, queue) =
            (health.not_durable_since.slot(), health.receive_failing_since.slot());
        assert_eq!(check(1_000), Ok(()));
        worker.set(start);
        assert_eq!(health.batch_age(start + BATCH_AGE), Some(BATCH_AGE));
        assert_eq!(check(100), Ok(()));
        assert_eq!(check(101), Err(Unhealthy::StoreStuck(Duration::from_secs(101))));
        worker.clear();
        assert_eq!(check(101), Ok(()));
        queue.set(start);
        assert_eq!(check(300), Ok(()));
        assert_eq!(check(301), Err(Unhealthy::ReceiveFailing(Duration::from_secs(301))));
        queue.clear();
        health.record_stopping();
        assert_eq!(check(1), Err(Unhealthy::Stopping));
        health.record_store_failure(&"disk full\nreally");
        health.record_store_failure(&"another");
        let unhealthy = check(1).unwrap_err();
        assert_eq!(unhealthy.to_string(), "the store failed: disk full really");
    }

    #[test]
    fn stuck_after_is_at_least_a_minute() {
        assert_eq!(stuck_after(Duration::from_secs(1)), Duration::from_mins(1));
        assert_eq!(stuck_after(Duration::from_mins(2)), Duration::from_mins(10));
    }
}
