//! Estimates the price of SQS requests, from list prices of us-east-1 (2026,
//! cloudburn.io/blog/amazon-sqs-pricing); `docs/src/consumer.md` describes the estimate.

use std::time::Duration;

use crate::source::sqs::settings::POLL_SECS_FOLLOW;
use crate::telemetry::billed_requests::BilledRequests;

/// Price of one million requests to a standard queue, US dollars.
const STANDARD_DOLLARS: f64 = 0.40;
/// Price of one million requests to a FIFO queue, US dollars.
const FIFO_DOLLARS: f64 = 0.50;
/// Payload size that SQS charges as one request, bytes.
const CHUNK_BYTES: usize = 64 * 1024;
/// A month of 30 days.
const MONTH_SECS: u64 = 30 * 24 * 60 * 60;
/// Minimum duration of a run for an extrapolation to a month. In a shorter run, requests at the
/// start dominate.
const EXTRAPOLATE_AFTER: Duration = Duration::from_mins(10);

/// Number of requests that SQS charges for one call with a payload of `bytes`.
pub(super) fn billed_chunks(bytes: usize) -> u64 {
    u64::try_from(bytes.div_ceil(CHUNK_BYTES).max(1)).unwrap_or(u64::MAX)
}

impl BilledRequests {
    /// Price in US dollars. The free first million requests per month of an account are not subtracted.
    #[expect(clippy::cast_precision_loss, reason = "an estimate; exact up to 9 * 10^15 requests")]
    pub fn dollars(self) -> f64 {
        (self.standard as f64 * STANDARD_DOLLARS + self.fifo as f64 * FIFO_DOLLARS) / 1_000_000.0
    }

    /// Requests per month of an idle consumer with `--follow`: one receiver per queue, long polls
    /// of 20 s.
    pub fn idle_month(standard_queues: u64, fifo_queues: u64) -> Self {
        let polls = MONTH_SECS / u64::from(POLL_SECS_FOLLOW.unsigned_abs());
        Self { standard: standard_queues * polls, fifo: fifo_queues * polls }
    }

    /// Extrapolates the requests of a run with duration `took` to a month; `None` if the run is
    /// shorter than ten minutes.
    pub fn month(self, took: Duration) -> Option<Self> {
        let month = |requests: u64| {
            let scaled = u128::from(requests) * u128::from(MONTH_SECS) * 1_000 / took.as_millis();
            u64::try_from(scaled).unwrap_or(u64::MAX)
        };
        (took >= EXTRAPOLATE_AFTER)
            .then(|| Self { standard: month(self.standard), fifo: month(self.fifo) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_close(left: f64, right: f64) -> bool {
        (left - right).abs() < 1e-9
    }

    #[test]
    fn idle_month_has_one_poll_per_20_seconds() {
        let idle = BilledRequests::idle_month(1, 0);
        assert_eq!(idle, BilledRequests { standard: 129_600, fifo: 0 });
        assert!(is_close(idle.dollars(), 0.051_84));
        assert!(is_close(BilledRequests::idle_month(0, 2).dollars(), 0.129_6));
    }

    #[test]
    fn month_extrapolates_runs_of_10_minutes_or_more() {
        let billed = BilledRequests { standard: 1_000, fifo: 10 };
        assert_eq!(billed.month(Duration::from_secs(599)), None);
        let month = billed.month(Duration::from_hours(1)).unwrap();
        assert_eq!(month, BilledRequests { standard: 720_000, fifo: 7_200 });
        assert!(is_close(month.dollars(), 0.291_6));
    }

    #[test]
    fn billed_chunks_rounds_up_to_64_kb() {
        let chunks = [0, 1, 65_536, 65_537, 1_048_576].map(billed_chunks);
        assert_eq!(chunks, [1, 1, 1, 2, 16]);
    }
}
