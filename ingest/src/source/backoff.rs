//! [`Backoff`]: exponential pauses between retries, with jitter, so that clients that failed together do not retry
//! together.

use std::time::Duration;

/// Base of the pauses: the pause after failure N is 200 ms * 2^N.
const PAUSE: Duration = Duration::from_millis(200);
/// Maximum pause.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Consecutive failures after which a drain gives up; a run with `--follow` retries without limit.
const FAILURES_MAX: u32 = 6;

/// Counter of consecutive failures, for the next pause.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Records a failure. Returns the pause before the retry; `None` if a drain must give up.
    pub(super) fn pause(&mut self, follow: bool) -> Option<Duration> {
        self.failures += 1;
        if !follow && self.failures >= FAILURES_MAX {
            return None;
        }
        let pause = PAUSE.saturating_mul(1 << self.failures.min(10)).min(PAUSE_MAX);
        Some(pause.mul_f64(jitter()))
    }
}

/// A random factor between 0.5 and 1.
pub(super) fn jitter() -> f64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let random =
        u32::try_from(RandomState::new().build_hasher().finish() >> 32).unwrap_or_default();
    0.5 + f64::from(random) / f64::from(u32::MAX) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_a_drain_gives_up_after_6_failures() {
        let mut backoff = Backoff::default();
        let pauses: Vec<Option<Duration>> = (0..7).map(|_| backoff.pause(false)).collect();
        for (at, pause) in pauses.iter().take(5).enumerate() {
            let longest = Duration::from_millis(400 << at);
            assert!(pause.is_some_and(|pause| longest / 2 <= pause && pause <= longest));
        }
        assert_eq!(pauses[5..], [None, None]);
        let mut backoff = Backoff::default();
        let longest = (0..1_000).filter_map(|_| backoff.pause(true)).max();
        assert!(longest.is_some_and(|pause| pause <= PAUSE_MAX && pause > PAUSE_MAX / 2));
    }
}
