//! [`LogThrottle`]: logs quarantined documents and poison messages, at most once a minute per
//! reason.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::telemetry::counts::IngestCounts;

/// Minimum time between two log lines with the same reason.
const LOG_INTERVAL: Duration = Duration::from_mins(1);

/// Logs the quarantined documents and the poison messages of batches. One per run, shared by the workers.
#[derive(Debug)]
pub(crate) struct LogThrottle {
    /// Log level of quarantined documents.
    level: QuarantineLevel,
    quarantined: ThrottledCounter,
    left: ThrottledCounter,
}

/// Log level of quarantined documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QuarantineLevel {
    /// For a run that follows its sources.
    Warn,
    /// For a drain, which reports quarantined documents in its summary.
    Info,
}

/// Counts by reason. The first count of a reason is logged at once, later ones as a sum per [`LOG_INTERVAL`].
#[derive(Debug, Default)]
struct ThrottledCounter(Mutex<BTreeMap<&'static str, (Instant, u64)>>);

impl ThrottledCounter {
    /// Adds a count. Returns the count to log now, or `None` if the last log line is too recent.
    fn add(&self, reason: &'static str, count: u64, now: Instant) -> Option<u64> {
        let mut reasons = self.0.lock().expect("lock is never poisoned");
        match reasons.get_mut(reason) {
            Some((logged_at, unlogged)) if now.duration_since(*logged_at) < LOG_INTERVAL => {
                *unlogged += count;
                None
            }
            Some((logged_at, unlogged)) => {
                *logged_at = now;
                Some(count + std::mem::take(unlogged))
            }
            None => {
                reasons.insert(reason, (now, 0));
                Some(count)
            }
        }
    }
}

impl LogThrottle {
    /// A throttle that has logged nothing.
    pub(crate) fn new(level: QuarantineLevel) -> Self {
        Self { level, quarantined: ThrottledCounter::default(), left: ThrottledCounter::default() }
    }

    /// Logs the quarantined documents and the poison messages of a batch.
    pub(crate) fn log_batch(&self, counts: &IngestCounts, now: Instant) {
        for (reason, count) in &counts.quarantined {
            let Some(count) = self.quarantined.add(reason, *count, now) else { continue };
            match self.level {
                QuarantineLevel::Warn => tracing::warn!(
                    reason,
                    count,
                    "documents quarantined; run `bouncewatch store quarantine list` to list them"
                ),
                QuarantineLevel::Info => tracing::info!(reason, count, "documents quarantined"),
            }
        }
        for (reason, count) in &counts.poison {
            if let Some(count) = self.left.add(reason, *count, now) {
                tracing::info!(reason, count, "poison messages left in the queue");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttled_counter_returns_the_sum_once_a_minute() {
        let (counter, start) = (ThrottledCounter::default(), Instant::now());
        let add =
            |reason, count, secs| counter.add(reason, count, start + Duration::from_secs(secs));
        assert_eq!(add("not_json", 2, 0), Some(2));
        assert_eq!(add("not_json", 3, 30), None);
        assert_eq!(add("no_time", 1, 30), Some(1));
        assert_eq!(add("not_json", 4, 59), None);
        assert_eq!(add("not_json", 5, 60), Some(12));
        assert_eq!(add("not_json", 1, 119), None);
        assert_eq!(add("not_json", 1, 120), Some(2));
    }
}
