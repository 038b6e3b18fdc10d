//! [`QueueSettings`]: settings for reading a queue, and limits of SQS.

use std::time::Duration;

/// Maximum number of messages in one call of the SQS API.
pub(super) const MESSAGES_PER_CALL: usize = 10;
/// Wait time of a long poll with `--follow`, seconds; the maximum of SQS.
pub(super) const POLL_SECS_FOLLOW: i32 = 20;
/// Maximum visibility timeout of SQS, seconds (12 hours).
const VISIBILITY_SECS_MAX: u64 = 43_200;

/// Settings for reading a queue.
#[derive(Debug, Clone, Copy)]
pub struct QueueSettings {
    /// Whether to follow the queue until the run is stopped; if not, the run ends when the queue is drained.
    pub follow: bool,
    /// Visibility timeout of a received message; extended while the message is in flight.
    pub visibility: Duration,
    /// Maximum number of receivers that poll at the same time.
    pub receivers_max: usize,
    /// Whether a drain waits for messages that are in flight at other consumers.
    pub wait_in_flight: bool,
    /// Time for which deletes are retried after the run is stopped.
    pub last_deletes: Duration,
}

impl QueueSettings {
    /// Maximum number of concurrent delete calls, and of concurrent visibility calls. It is greater
    /// than the number of receivers, so that deletes keep up with them.
    pub(super) fn concurrent_calls_max(&self) -> usize {
        (2 * self.receivers_max).max(8)
    }

    /// The default visibility timeout: four times the batch age, at least one minute, at most twelve hours.
    pub fn visibility_for(batch_age: Duration) -> Duration {
        let secs = (batch_age.as_secs().saturating_mul(4)).clamp(60, VISIBILITY_SECS_MAX);
        Duration::from_secs(secs)
    }
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self {
            follow: false,
            visibility: Duration::from_secs(80),
            receivers_max: 16,
            wait_in_flight: false,
            last_deletes: Duration::from_secs(5),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visibility_for_a_batch_age_is_4_times_the_age_within_limits() {
        for (age, expected) in [(1, 60), (20, 80), (600, 2_400), (86_400, 43_200)] {
            let visibility = QueueSettings::visibility_for(Duration::from_secs(age));
            assert_eq!(visibility, Duration::from_secs(expected));
        }
    }
}
