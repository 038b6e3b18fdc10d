//! What requests to SQS cost: an estimate from list prices. README tells where they are from.

use std::time::Duration;

use crate::source::sqs::POLL_SECS_FOLLOW;

/// Dollars for a million requests to a standard queue.
const STANDARD_DOLLARS: f64 = 0.40;
/// Dollars for a million requests to a FIFO queue.
const FIFO_DOLLARS: f64 = 0.50;
/// Bytes of one request; what is larger is charged as several.
const CHUNK_BYTES: usize = 64 * 1024;
/// What is meant by a month: 30 days.
const MONTH_SECS: u64 = 30 * 24 * 60 * 60;
/// The least time from which a month is guessed: below it, the start of a run would weigh too much.
const LONG_ENOUGH: Duration = Duration::from_mins(10);

/// Requests that SQS charges for.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Billed {
    /// Requests to standard queues.
    pub standard: u64,
    /// Requests to FIFO queues.
    pub fifo: u64,
}

/// The requests as which one with so many bytes is charged.
pub(crate) fn chunks(bytes: usize) -> u64 {
    u64::try_from(bytes.div_ceil(CHUNK_BYTES).max(1)).unwrap_or(u64::MAX)
}

impl Billed {
    /// All requests.
    pub fn requests(self) -> u64 {
        self.standard + self.fifo
    }

    /// What they cost, without the first million of a month, which an account has for nothing.
    #[expect(clippy::cast_precision_loss, reason = "an estimate; exact up to 9 * 10^15 requests")]
    pub fn dollars(self) -> f64 {
        (self.standard as f64 * STANDARD_DOLLARS + self.fifo as f64 * FIFO_DOLLARS) / 1_000_000.0
    }

    /// What following queues costs in a month in which nothing comes: one receiver of each stays, and asks as seldom
    /// as SQS allows.
    pub fn idle_month(standard_queues: u64, fifo_queues: u64) -> Self {
        let polls = MONTH_SECS / u64::from(POLL_SECS_FOLLOW.unsigned_abs());
        Self { standard: standard_queues * polls, fifo: fifo_queues * polls }
    }

    /// A month at the pace of a run that took so long; `None` where that is too short to tell.
    pub fn month(self, took: Duration) -> Option<Self> {
        let month = |requests: u64| {
            let scaled = u128::from(requests) * u128::from(MONTH_SECS) * 1_000 / took.as_millis();
            u64::try_from(scaled).unwrap_or(u64::MAX)
        };
        (took >= LONG_ENOUGH)
            .then(|| Self { standard: month(self.standard), fifo: month(self.fifo) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(left: f64, right: f64) -> bool {
        (left - right).abs() < 1e-9
    }

    #[test]
    fn idle_followers_make_a_long_poll_every_twenty_seconds() {
        let idle = Billed::idle_month(1, 0);
        assert_eq!(idle, Billed { standard: 129_600, fifo: 0 });
        assert!(close(idle.dollars(), 0.051_84));
        assert!(close(Billed::idle_month(0, 2).dollars(), 0.129_6));
    }

    #[test]
    fn a_month_is_guessed_from_runs_that_took_long_enough() {
        let billed = Billed { standard: 1_000, fifo: 10 };
        assert_eq!(billed.month(Duration::from_secs(599)), None);
        let month = billed.month(Duration::from_hours(1)).unwrap();
        assert_eq!(month, Billed { standard: 720_000, fifo: 7_200 });
        assert!(close(month.dollars(), 0.291_6));
    }

    #[test]
    fn what_is_large_is_charged_several_times() {
        let of = [0, 1, 65_536, 65_537, 1_048_576].map(chunks);
        assert_eq!(of, [1, 1, 1, 2, 16]);
    }
}
