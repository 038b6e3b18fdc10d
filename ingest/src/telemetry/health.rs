//! Whether a run is well. Whoever works notes what matters here; whoever asks gets a verdict of that moment.

use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;

use crate::telemetry::gauges::Slots;

/// Batch ages after which a document that is not durable is a sign that the store is stuck.
const STUCK_BATCH_AGES: u32 = 5;
/// The least time after which it is one.
const STUCK_AFTER_MIN: Duration = Duration::from_mins(1);
/// Time after which receiving that fails is no hiccup.
const RECEIVING_FAILS_MAX: Duration = Duration::from_mins(5);

/// What tells whether a run is well.
#[derive(Debug, Default)]
pub struct Vitals {
    /// When the oldest document was taken that is not durable, by worker.
    pub waiting: Arc<Slots<Instant>>,
    /// Since when receiving fails, by queue.
    pub receiving_fails: Arc<Slots<Instant>>,
    store_failure: OnceLock<String>,
    stopping: AtomicBool,
}

/// Why a run is not well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ill {
    /// The store cannot be written; the run ends.
    StoreFailed(String),
    /// Documents wait for longer than they should to become durable.
    Stuck(Duration),
    /// Nothing can be received.
    ReceivingFails(Duration),
    /// The run was asked to end, or ends by itself.
    Stopping,
}

impl std::fmt::Display for Ill {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::StoreFailed(why) => {
                f.write_str("the store failed: ")?;
                // one line, whatever an error has to say
                why.chars().try_for_each(|c| f.write_char(if c.is_control() { ' ' } else { c }))
            }
            Self::Stuck(age) => {
                write!(f, "nothing was made durable for {} s, and documents wait", age.as_secs())
            }
            Self::ReceivingFails(since) => {
                write!(f, "receiving has been failing for {} s", since.as_secs())
            }
            Self::Stopping => f.write_str("the run is stopping"),
        }
    }
}

impl Vitals {
    /// Notes that the store cannot be written, and why; the first reason stays.
    pub fn store_failed(&self, error: &dyn std::fmt::Display) {
        self.store_failure.get_or_init(|| error.to_string());
    }

    /// Notes that the run ends.
    pub fn stopping(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// How long the oldest document that is not durable has waited, if there is one.
    pub fn batch_age(&self, now: Instant) -> Option<Duration> {
        self.waiting.min().map(|since| now.saturating_duration_since(since))
    }

    /// The verdict. `stuck_after` is how long a document may wait to become durable.
    ///
    /// # Errors
    /// Why the run is not well.
    pub fn verdict(&self, now: Instant, stuck_after: Duration) -> Result<(), Ill> {
        if let Some(why) = self.store_failure.get() {
            return Err(Ill::StoreFailed(why.clone()));
        }
        if let Some(age) = self.batch_age(now).filter(|age| *age > stuck_after) {
            return Err(Ill::Stuck(age));
        }
        let fails = self.receiving_fails.min().map(|since| now.saturating_duration_since(since));
        if let Some(since) = fails.filter(|since| *since > RECEIVING_FAILS_MAX) {
            return Err(Ill::ReceivingFails(since));
        }
        if self.stopping.load(Ordering::Acquire) {
            return Err(Ill::Stopping);
        }
        Ok(())
    }
}

/// How long a document may wait to become durable, for a batch age.
pub fn stuck_after(batch_age: Duration) -> Duration {
    (batch_age * STUCK_BATCH_AGES).max(STUCK_AFTER_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_well_until_something_lasts_too_long() {
        let (vitals, start) = (Vitals::default(), Instant::now());
        let after = |secs| vitals.verdict(start + Duration::from_secs(secs), stuck_after(TWENTY));
        let (worker, queue) = (vitals.waiting.slot(), vitals.receiving_fails.slot());
        assert_eq!(after(1_000), Ok(()));
        worker.set(start);
        assert_eq!(vitals.batch_age(start + TWENTY), Some(TWENTY));
        assert_eq!(after(100), Ok(()));
        assert_eq!(after(101), Err(Ill::Stuck(Duration::from_secs(101))));
        worker.clear();
        assert_eq!(after(101), Ok(()));
        queue.set(start);
        assert_eq!(after(300), Ok(()));
        assert_eq!(after(301), Err(Ill::ReceivingFails(Duration::from_secs(301))));
        queue.clear();
        vitals.stopping();
        assert_eq!(after(1), Err(Ill::Stopping));
        vitals.store_failed(&"disk full\nreally");
        vitals.store_failed(&"another");
        let ill = after(1).unwrap_err();
        assert_eq!(ill.to_string(), "the store failed: disk full really");
    }

    const TWENTY: Duration = Duration::from_secs(20);

    #[test]
    fn a_short_batch_age_leaves_a_slow_store_its_time() {
        assert_eq!(stuck_after(Duration::from_secs(1)), Duration::from_mins(1));
        assert_eq!(stuck_after(Duration::from_mins(2)), Duration::from_mins(10));
    }
}
